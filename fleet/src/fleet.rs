//! The fleet at work: the one place where new facts and operator intent meet the view.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::server::{FlagsPatch, Server, ServerId};
use crate::store::{Inventory, Record, Registration, Result};
use crate::time::Timestamp;
use crate::view::{FleetView, Index, ServerView, Standing};

/// Holds the current [`FleetView`], takes durable facts from the recorder and intent from the web.
pub struct Fleet {
    inventory: Arc<dyn Inventory>,
    /// Held from the store's answer to the view's change, so that both see edits in the same order.
    editing: tokio::sync::Mutex<()>,
    working: Mutex<Working>,
    published: watch::Sender<Arc<FleetView>>,
}

/// The next snapshot in the making.
#[derive(Default)]
struct Working {
    /// In the order of the index.
    servers: Vec<Arc<ServerView>>,
    index: Arc<Index>,
    version: u64,
    changed: bool,
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
            Arc::new(ServerView { server: Arc::new(server), standing, monitored: false })
        });
        let mut working = Working { servers: servers.collect(), changed: true, ..Working::default() };
        working.index = Arc::new(Index::order(&mut working.servers));
        let fleet = Self {
            inventory,
            editing: tokio::sync::Mutex::default(),
            working: Mutex::new(working),
            published: watch::Sender::default(),
        };
        fleet.publish(Timestamp::now());
        Ok(fleet)
    }

    /// The current snapshot.
    pub fn view(&self) -> Arc<FleetView> {
        Arc::clone(&self.published.borrow())
    }

    /// Snapshots as they are published, the current one included.
    pub fn subscribe(&self) -> watch::Receiver<Arc<FleetView>> {
        self.published.subscribe()
    }

    /// Shows a batch that the store has made durable. Seen by readers at the next [`publish`](Self::publish).
    pub fn apply(&self, batch: &[Record]) {
        let mut working = self.working();
        for record in batch {
            working.change(record.report.server, |view| view.standing.clone_from(&record.standing));
        }
    }

    /// Publishes a snapshot if anything changed since the last one.
    pub fn publish(&self, now: Timestamp) {
        let mut working = self.working();
        if !std::mem::take(&mut working.changed) {
            return;
        }
        working.version += 1;
        let view = FleetView::new(working.version, now, working.servers.clone(), Arc::clone(&working.index));
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
        }
        drop(working);
        self.publish(now);
    }

    /// Makes discovered servers known, durably, and publishes them.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        let _editing = self.editing.lock().await;
        let servers = self.inventory.register(registrations, now).await?;
        self.working().put(&servers);
        self.publish(now);
        Ok(servers)
    }

    /// Operator intent: sets flags of the server with that address, durably, and publishes it. `None`: no such server.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn set_flags(&self, ip: &str, patch: FlagsPatch, now: Timestamp) -> Result<Option<Server>> {
        let _editing = self.editing.lock().await;
        let server = self.inventory.set_flags(ip, patch).await?;
        if let Some(server) = &server {
            self.working().put(std::slice::from_ref(server));
            self.publish(now);
        }
        Ok(server)
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        // Every change under the lock replaces whole entries: a panic elsewhere cannot leave one half done.
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Working {
    /// Changes one server, if it is known. Snapshots that hold the old state keep it.
    fn change(&mut self, id: ServerId, change: impl FnOnce(&mut ServerView)) {
        if let Some(view) = self.index.place(id).and_then(|place| self.servers.get_mut(place)) {
            change(Arc::make_mut(view));
            self.changed = true;
        }
    }

    /// Takes over servers as the inventory has them now.
    fn put(&mut self, servers: &[Server]) {
        let mut reorder = false;
        for server in servers {
            match self.index.place(server.id) {
                Some(place) => {
                    let renamed = |known: &Server| (&known.hostname, &known.ip) != (&server.hostname, &server.ip);
                    reorder |= self.servers.get(place).is_some_and(|view| renamed(&view.server));
                    self.change(server.id, |view| view.server = Arc::new(server.clone()));
                }
                None => {
                    let (server, standing) = (Arc::new(server.clone()), Standing::default());
                    self.servers.push(Arc::new(ServerView { server, standing, monitored: false }));
                    reorder = true;
                }
            }
        }
        if reorder {
            self.index = Arc::new(Index::order(&mut self.servers));
            self.changed = true;
        }
    }
}
