//! Follows the fleet once for all readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mect_fleet::store::{Event, Journal, StoreState};
use mect_fleet::{Fleet, FleetView, Timestamp};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

use super::change;
use super::ring::{Draft, Found, Next, Ring};
use crate::patience;
use crate::rest::v1::events::EventView;

/// Streams at a time.
const MAX_STREAMS: usize = 512;
/// Streams of one account at a time: nobody takes them all.
const MAX_STREAMS_OF_ACCOUNT: usize = 64;
/// The journal is looked at so often: other collectors write into it as well.
const LOOK: Duration = Duration::from_secs(2);
/// Entries of the journal that are compared with those of the look before.
const RECENT: usize = 100;

/// The events of this process, and who reads them.
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    /// The number of the latest event.
    head: watch::Sender<u64>,
    is_started: AtomicBool,
    seats: Arc<Mutex<HashMap<String, usize>>>,
}

impl Feed {
    /// Follows nothing yet.
    pub(crate) fn new() -> Self {
        let mut instance = [0; 4];
        // Without a random source the time of the start tells processes apart as well.
        if getrandom::fill(&mut instance).is_err() {
            instance = (Timestamp::now().as_millis() as u32).to_be_bytes();
        }
        Self {
            ring: Mutex::new(Ring::new(format!("{:08x}", u32::from_be_bytes(instance)))),
            head: watch::Sender::new(0),
            is_started: AtomicBool::new(false),
            seats: Arc::default(),
        }
    }

    /// Starts to follow the fleet, at the first reader: without one it costs nothing. From then on it goes on, so that
    /// who comes back finds what he missed.
    pub(super) fn start(self: &Arc<Self>, fleet: &Arc<Fleet>, journal: &Arc<dyn Journal>) {
        if !self.is_started.swap(true, Ordering::AcqRel) {
            let mut views = fleet.subscribe();
            // Now, not when the task runs: what is published from here on is news.
            let known = views.borrow_and_update().clone();
            let (feed, fleet) = (Arc::clone(self), Arc::clone(fleet));
            tokio::spawn(Follower { feed, fleet, journal: Arc::clone(journal), views, known }.run());
        }
    }

    /// A seat for a reader, as long as it is held; none when too many are taken.
    pub(super) fn sit_down(&self, account: &str) -> Option<Seat> {
        let mut seats = lock(&self.seats);
        let taken: usize = seats.values().sum();
        let own = seats.entry(account.to_owned()).or_default();
        if taken >= MAX_STREAMS || *own >= MAX_STREAMS_OF_ACCOUNT {
            return None;
        }
        *own += 1;
        Some(Seat { account: account.to_owned(), seats: Arc::clone(&self.seats) })
    }

    /// The place from which on all is new, and what a reader is told there: the view of now.
    pub(super) fn here(&self, view: &[u8]) -> (u64, Bytes) {
        let ring = lock(&self.ring);
        (ring.head(), ring.event("view", view))
    }

    /// The place after the event with that id, and what a reader is told there.
    pub(super) fn resume(&self, id: &str) -> (u64, Bytes) {
        let ring = lock(&self.ring);
        match ring.find(id) {
            Found::Place(place) => (place, Bytes::new()),
            Found::TooOld => (ring.head(), ring.notice("too_old", "What came after that event is forgotten")),
            Found::Unknown => (ring.head(), ring.notice("unknown", "That event is not of this process")),
        }
    }

    /// What comes after a place.
    pub(super) fn after(&self, place: u64) -> Next {
        lock(&self.ring).after(place)
    }

    /// The number of the latest event, as it changes.
    pub(super) fn heads(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    fn push(&self, draft: Draft) {
        let head = {
            let mut ring = lock(&self.ring);
            ring.push(draft);
            ring.head()
        };
        self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader's seat; free again when it is dropped.
pub(super) struct Seat {
    account: String,
    seats: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        if let Some(own) = seats.get_mut(&self.account) {
            *own = own.saturating_sub(1);
        }
        seats.retain(|_, own| *own > 0);
    }
}

/// The task that fills the ring.
struct Follower {
    feed: Arc<Feed>,
    fleet: Arc<Fleet>,
    journal: Arc<dyn Journal>,
    views: watch::Receiver<Arc<FleetView>>,
    /// The view that readers know.
    known: Arc<FleetView>,
}

impl Follower {
    async fn run(mut self) {
        let mut told = recent(&*self.journal).await;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.views.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow().await;
                }
                _ = looks.tick() => {
                    // The journal of a store that does not answer is read when it is back.
                    if let Some(now) = recent(&*self.journal).await {
                        if let Some(before) = &told {
                            self.feed.push(news(before, &now));
                        }
                        told = Some(now);
                    }
                }
            }
        }
    }

    /// Tells readers of the newest view.
    async fn follow(&mut self) {
        let new = self.views.borrow_and_update().clone();
        let old = std::mem::replace(&mut self.known, Arc::clone(&new));
        let lost = store_lost_since(&self.fleet);
        // Thousands of servers may have changed: not on a thread that serves others.
        if let Ok(draft) = spawn_blocking(move || change::between(&old, &new, lost)).await {
            self.feed.push(draft);
        }
    }
}

/// Since when the store does not answer.
pub(super) fn store_lost_since(fleet: &Fleet) -> Option<Timestamp> {
    match fleet.store_state() {
        StoreState::Lost { since } => Some(since),
        StoreState::Answers => None,
    }
}

async fn recent(journal: &dyn Journal) -> Option<Vec<Event>> {
    patience::short(journal.events(None, Timestamp::MAX, RECENT)).await.ok()
}

/// Entries of the journal that were not there before, oldest first. One that slipped into the newest hundred because
/// others went is no news.
fn news(before: &[Event], now: &[Event]) -> Draft {
    let oldest = if before.len() < RECENT { None } else { before.last().map(|event| event.at) };
    let mut draft = Draft::default();
    let is_new = |event: &&Event| !before.contains(event) && oldest.is_none_or(|oldest| event.at >= oldest);
    for event in now.iter().rev().filter(is_new) {
        draft.put("event", serde_json::to_vec(&EventView::from(event)).unwrap_or_default());
    }
    draft
}
