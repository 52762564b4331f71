//! The fleet at work: the one place where new facts and operator intent meet the view.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::peers::Peers;
use crate::server::{Server, ServerId};
use crate::store::{Inventory, Record, Result, StoreState};
use crate::time::Timestamp;
use crate::view::{FleetView, Index, STALE_INTERVALS, ServerView, Standing};

mod edit;

/// How often servers are scraped unless [`Fleet::set_interval`] says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);
/// In the time after which a server is stale, it is looked at this often: a pass over 50,000 servers is not for every
/// second.
const STALE_CHECKS: u32 = 20;

/// Holds the current [`FleetView`], takes durable facts from the recorder and intent from the web.
pub struct Fleet {
    inventory: Arc<dyn Inventory>,
    /// Told of edits and standings.
    peers: Peers,
    /// Held from the store's answer to the view's change, so that both see edits in the same order.
    editing: tokio::sync::Mutex<()>,
    working: Mutex<Working>,
    published: watch::Sender<Arc<FleetView>>,
    store_state: watch::Sender<StoreState>,
}

/// The next snapshot in the making.
#[derive(Default)]
struct Working {
    /// In the order of the index.
    servers: Vec<Arc<ServerView>>,
    index: Arc<Index>,
    version: u64,
    /// Grows when a server comes, goes, or is changed in the inventory.
    inventory_version: u64,
    changed: bool,
    stale_after: Duration,
    /// When every server was last looked at for staleness; `None` when it must be done at the next occasion.
    stale_checked: Option<Timestamp>,
    /// When the next drain or maintenance ends by itself; `None` when every server must be looked at for it.
    next_end: Option<Timestamp>,
}

impl Fleet {
    /// The fleet as the store remembers it. No server is monitored yet.
    ///
    /// # Errors
    /// The inventory cannot be read.
    pub async fn load(inventory: Arc<dyn Inventory>, standings: Vec<(ServerId, Standing)>) -> Result<Self> {
        let mut standings: HashMap<_, _> = standings.into_iter().collect();
        let servers = inventory.servers().await?.into_iter().map(|server| {
            let standing = standings.remove(&server.id).unwrap_or_default();
            Arc::new(ServerView::new(Arc::new(server), standing))
        });
        let stale_after = DEFAULT_INTERVAL.mul_f64(STALE_INTERVALS);
        let mut working = Working { servers: servers.collect(), changed: true, stale_after, ..Working::default() };
        working.index = Arc::new(Index::order(&mut working.servers));
        let fleet = Self {
            inventory,
            peers: Peers::default(),
            editing: tokio::sync::Mutex::default(),
            working: Mutex::new(working),
            published: watch::Sender::default(),
            store_state: watch::Sender::default(),
        };
        fleet.publish(Timestamp::now());
        Ok(fleet)
    }

    /// Tells `peers` of every edit and every recorded standing from now on.
    #[must_use]
    pub fn telling(mut self, peers: Peers) -> Self {
        self.peers = peers;
        self
    }

    /// The current snapshot.
    pub fn view(&self) -> Arc<FleetView> {
        Arc::clone(&self.published.borrow())
    }

    /// Snapshots as they are published, the current one included.
    pub fn subscribe(&self) -> watch::Receiver<Arc<FleetView>> {
        self.published.subscribe()
    }

    /// Whether the store answers.
    pub fn store_state(&self) -> StoreState {
        *self.store_state.borrow()
    }

    /// Tells everybody whether the store answers.
    pub fn set_store_state(&self, state: StoreState) {
        self.store_state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }

    /// Says how often servers are scraped: what is older than [`STALE_INTERVALS`] of it is stale. 120 s until then.
    pub fn set_interval(&self, interval: Duration) {
        let mut working = self.working();
        working.stale_after = interval.mul_f64(STALE_INTERVALS);
        working.stale_checked = None;
    }

    /// Shows a batch that the store has made durable. Seen by readers at the next [`publish`](Self::publish).
    pub fn apply(&self, batch: &[Record]) {
        let mut working = self.working();
        for record in batch {
            working.change(record.report.server, |view| {
                // What was under way when another collector took the server over, and was spooled, comes too late.
                if view.standing.epoch <= record.standing.epoch {
                    view.standing.clone_from(&record.standing);
                    view.stale = false;
                }
            });
        }
        drop(working);
        self.peers.tell_standings(batch.iter().map(|record| (record.report.server, &record.standing)));
    }

    /// Publishes a snapshot if anything changed since the last one, grew stale, or a drain or maintenance ended.
    pub fn publish(&self, now: Timestamp) {
        let mut working = self.working();
        working.mark_stale(now);
        working.mark_periods(now);
        if !std::mem::take(&mut working.changed) {
            return;
        }
        working.version += 1;
        let mut view = FleetView::new(working.version, now, working.servers.clone(), Arc::clone(&working.index));
        view.inventory_version = working.inventory_version;
        // Sent under the lock: a later snapshot can never be overtaken by an earlier one.
        self.published.send_replace(Arc::new(view));
    }

    /// Says which servers are scraped, and publishes it.
    pub fn set_monitored(&self, monitored: &HashSet<ServerId>, now: Timestamp) {
        let mut working = self.working();
        let differs = |view: &&Arc<ServerView>| view.monitored != monitored.contains(&view.server.id);
        let changed: Vec<_> = working.servers.iter().filter(differs).map(|view| view.server.id).collect();
        for id in changed {
            working.change(id, |view| view.monitored = !view.monitored);
            // What nobody is to scrape any more is not stale.
            working.stale_checked = None;
        }
        drop(working);
        self.publish(now);
    }

    /// Takes over what another collector recorded or changed. A standing that is not newer than ours is left aside.
    /// Seen by readers at the next [`publish`](Self::publish).
    pub fn absorb(&self, changed: &[(Server, Standing)]) {
        let mut working = self.working();
        let differs =
            |(server, _): &&(Server, Standing)| working.place(server.id).is_none_or(|view| *view.server != *server);
        let servers: Vec<_> = changed.iter().filter(differs).map(|(server, _)| server.clone()).collect();
        working.put(&servers);
        working.absorb(changed.iter().map(|(server, standing)| (server.id, standing)));
        // What others recorded may be old already.
        working.stale_checked = None;
    }

    /// Takes over standings that another collector has made durable just now, as far as they are newer than ours.
    /// Servers that are not known are left aside. Seen by readers at the next [`publish`](Self::publish).
    pub fn absorb_standings(&self, standings: &[(ServerId, Standing)]) {
        self.working().absorb(standings.iter().map(|(server, standing)| (*server, standing)));
    }

    /// Takes over the standings of servers that nobody but this collector judged since the epoch `since`: what it knows
    /// from before then is left, whether newer or not, because somebody else has overtaken it.
    pub fn take_over(&self, standings: &[(ServerId, Standing)], since: u64) {
        let mut working = self.working();
        for (server, standing) in standings {
            let known = working.place(*server).map(|view| view.standing.age());
            if known.is_some_and(|known| known.epoch < since || known < standing.age()) {
                working.set_standing(*server, standing);
            }
        }
    }

    /// Forgets every server that is not among `identities`: another collector deleted it. Seen by readers at the next
    /// [`publish`](Self::publish).
    pub fn retain(&self, identities: &HashSet<ServerId>) {
        self.working().retain(|id| identities.contains(&id));
    }

    /// The server as it is now, published or not.
    pub fn server(&self, id: ServerId) -> Option<Arc<ServerView>> {
        self.working().place(id).cloned()
    }

    /// The newest standing of a server, published or not.
    pub fn standing(&self, id: ServerId) -> Option<Standing> {
        self.working().place(id).map(|view| view.standing.clone())
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        // Every change under the lock replaces whole entries: a panic elsewhere cannot leave one half done.
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Working {
    fn place(&self, id: ServerId) -> Option<&Arc<ServerView>> {
        self.servers.get(self.index.place(id)?)
    }

    /// Marks the servers that grew stale, or are no longer.
    fn mark_stale(&mut self, now: Timestamp) {
        let pause = self.stale_after / STALE_CHECKS;
        if self.stale_checked.is_some_and(|at| at <= now && now.since(at) < pause) {
            return;
        }
        self.stale_checked = Some(now);
        let patience = self.stale_after;
        for view in self.servers.iter_mut().filter(|view| view.is_overdue(now, patience) != view.stale) {
            Arc::make_mut(view).stale ^= true;
            self.changed = true;
        }
    }

    /// Marks the servers that are draining or in maintenance, and those that no longer are.
    fn mark_periods(&mut self, now: Timestamp) {
        if self.next_end.is_some_and(|end| now < end) {
            return;
        }
        let mut next_end = Timestamp::MAX;
        for view in &mut self.servers {
            let periods = view.periods_at(now);
            if periods != (view.draining, view.in_maintenance) {
                let view = Arc::make_mut(view);
                (view.draining, view.in_maintenance) = periods;
                self.changed = true;
            }
            let ends = [view.server.draining, view.server.maintenance].into_iter().flatten();
            let ends = ends.filter_map(|period| period.until).filter(|until| now < *until);
            next_end = ends.fold(next_end, Timestamp::min);
        }
        self.next_end = Some(next_end);
    }

    /// Keeps the servers that `keep` names.
    fn retain(&mut self, keep: impl Fn(ServerId) -> bool) {
        let before = self.servers.len();
        self.servers.retain(|view| keep(view.server.id));
        if self.servers.len() != before {
            self.inventory_version += 1;
            self.index = Arc::new(Index::order(&mut self.servers));
            self.changed = true;
        }
    }

    /// Changes one server, if it is known. Snapshots that hold the old state keep it.
    fn change(&mut self, id: ServerId, change: impl FnOnce(&mut ServerView)) {
        if let Some(view) = self.index.place(id).and_then(|place| self.servers.get_mut(place)) {
            change(Arc::make_mut(view));
            self.changed = true;
        }
    }

    /// Takes over the standings that are newer.
    fn absorb<'a>(&mut self, standings: impl Iterator<Item = (ServerId, &'a Standing)>) {
        for (server, standing) in standings {
            if self.place(server).is_some_and(|view| view.standing.age() < standing.age()) {
                self.set_standing(server, standing);
            }
        }
    }

    fn set_standing(&mut self, server: ServerId, standing: &Standing) {
        self.change(server, |view| {
            view.standing.clone_from(standing);
            view.stale = false;
        });
    }

    /// Takes over servers as the inventory has them now.
    fn put(&mut self, servers: &[Server]) {
        let mut reorder = false;
        for server in servers {
            match self.index.place(server.id) {
                Some(place) => {
                    let renamed = |known: &Server| (&known.hostname, &known.ip) != (&server.hostname, &server.ip);
                    reorder |= self.servers.get(place).is_some_and(|view| renamed(&view.server));
                    if self.servers.get(place).is_some_and(|view| *view.server != *server) {
                        self.inventory_version += 1;
                        self.change(server.id, |view| view.server = Arc::new(server.clone()));
                    }
                }
                None => {
                    let server = Arc::new(server.clone());
                    self.inventory_version += 1;
                    self.servers.push(Arc::new(ServerView::new(server, Standing::default())));
                    reorder = true;
                }
            }
        }
        if !servers.is_empty() {
            self.next_end = None;
        }
        if reorder {
            self.index = Arc::new(Index::order(&mut self.servers));
            self.changed = true;
        }
    }
}

#[cfg(test)]
mod tests;
