//! What is known of a shared store: whether it answers, and what must be told once it does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mect_fleet::store::{Event, EventKind, Record, StoreError, StoreState};
use mect_fleet::{Fleet, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Events kept for the journal; beyond it the oldest are lost. A store that comes and goes makes two a time.
const MAX_NEWS: usize = 1000;

/// Shared by who writes and who replays; tells the fleet, and so the pages.
pub struct Outage {
    fleet: Arc<Fleet>,
    metrics: Metrics,
    known: Mutex<Known>,
    /// Wakes the replay: there is something to find out.
    pub(super) noticed: Notify,
}

struct Known {
    last_answer: Instant,
    news: Vec<Event>,
    /// Records in the spool that were dropped and told already.
    told_dropped: u64,
    /// One that the store took lately.
    taken: Option<Record>,
}

impl Outage {
    /// The store answered just now.
    pub fn new(fleet: Arc<Fleet>, metrics: Metrics) -> Self {
        metrics.store_up.set(1);
        let known = Known { last_answer: Instant::now(), news: Vec::new(), told_dropped: 0, taken: None };
        Self { fleet, metrics, known: Mutex::new(known), noticed: Notify::new() }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.fleet.store_state().is_lost()
    }

    /// Nobody has heard of the store for that long.
    pub(super) fn silence(&self) -> Duration {
        self.known().last_answer.elapsed()
    }

    /// A call failed or was not answered.
    pub(super) fn lost(&self, error: &StoreError) {
        let mut known = self.known();
        if self.is_lost() {
            return tracing::debug!(%error, "the store still does not answer");
        }
        let since = Timestamp::now();
        tracing::error!(%error, "the store does not answer; records go to the spool");
        self.metrics.store_up.set(0);
        self.fleet.set_store_state(StoreState::Lost { since });
        known.put(Event { at: since, kind: EventKind::StoreLost, server: None, detail: error.to_string() });
        self.noticed.notify_one();
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        let mut known = self.known();
        known.last_answer = Instant::now();
        if let StoreState::Lost { since } = self.fleet.store_state() {
            let after = Timestamp::now().since(since);
            tracing::info!("the store answers again after {} s", after.as_secs());
            self.metrics.store_up.set(1);
            self.fleet.set_store_state(StoreState::Answers);
            self.noticed.notify_one();
        }
    }

    /// A batch was stored. It was answered, too.
    pub(super) fn took(&self, batch: &[Record]) {
        self.answered();
        if let Some(record) = batch.last() {
            self.known().taken = Some(record.clone());
        }
    }

    /// A record that the store took lately, and so would take again.
    pub(super) fn taken(&self) -> Option<Record> {
        self.known().taken.clone()
    }

    /// The store answered, and refused a batch, which went to the spool.
    pub(super) fn refused(&self, error: &StoreError) {
        tracing::warn!(%error, "the store refused a batch; it is looked through from the spool");
        self.answered();
        self.noticed.notify_one();
    }

    /// What the journal should hear now that the spool is empty; `dropped` records were lost since the start.
    pub(super) fn take_news(&self, dropped: u64) -> Vec<Event> {
        let mut known = self.known();
        let at = Timestamp::now();
        let surplus = dropped.saturating_sub(std::mem::replace(&mut known.told_dropped, dropped));
        if surplus > 0 {
            let detail = format!("{surplus} records were lost");
            known.put(Event { at, kind: EventKind::SpoolDropped, server: None, detail });
        }
        if known.news.last().is_some_and(|event| event.kind != EventKind::StoreBack) {
            known.put(Event { at, kind: EventKind::StoreBack, server: None, detail: String::new() });
        }
        std::mem::take(&mut known.news)
    }

    /// Keeps news that the journal did not take.
    pub(super) fn put_back(&self, mut news: Vec<Event>) {
        let mut known = self.known();
        news.append(&mut known.news);
        known.news = news;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, event: Event) {
        if self.news.len() >= MAX_NEWS {
            self.news.remove(0);
        }
        self.news.push(event);
    }
}
