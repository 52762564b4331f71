//! The fleet at work: the one place where new facts and operator intent meet the view.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::server::{FlagsPatch, Server, ServerId};
use crate::store::{Inventory, Record, Registration, Result};
use crate::time::Timestamp;
use crate::view::{FleetView, ServerView, Standing};

/// Holds the current [`FleetView`], takes durable facts from the recorder and intent from the web.
pub struct Fleet {
    inventory: Arc<dyn Inventory>,
    /// Held from the store's answer to the view's change, so that both see edits in the same order.
    editing: tokio::sync::Mutex<()>,
    working: Mutex<Working>,
    published: watch::Sender<Arc<FleetView>>,
}

#[derive(Default)]
struct Working {
    servers: HashMap<ServerId, Arc<ServerView>>,
    version: u64,
    changed: bool,
}

impl Fleet {
    /// The fleet as the store remembers it.
    ///
    /// # Errors
    /// The inventory cannot be read.
    pub async fn load(inventory: Arc<dyn Inventory>, standings: Vec<(ServerId, Standing)>) -> Result<Self> {
        let mut standings: HashMap<_, _> = standings.into_iter().collect();
        let servers = inventory.servers().await?.into_iter().map(|server| {
            let standing = standings.remove(&server.id).unwrap_or_default();
            (server.id, Arc::new(ServerView { server: Arc::new(server), standing }))
        });
        let working = Working { servers: servers.collect(), version: 0, changed: true };
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
            if let Some(view) = working.servers.get_mut(&record.report.server) {
                let server = Arc::clone(&view.server);
                *view = Arc::new(ServerView { server, standing: record.standing.clone() });
                working.changed = true;
            }
        }
    }

    /// Publishes a snapshot if anything changed since the last one.
    pub fn publish(&self, now: Timestamp) {
        let mut working = self.working();
        if !std::mem::take(&mut working.changed) {
            return;
        }
        working.version += 1;
        let view = FleetView::new(working.version, now, working.servers.values().cloned().collect());
        // Sent under the lock: a later snapshot can never be overtaken by an earlier one.
        self.published.send_replace(Arc::new(view));
    }

    /// Makes discovered servers known, durably, and publishes them.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        let _editing = self.editing.lock().await;
        let servers = self.inventory.register(registrations, now).await?;
        servers.iter().for_each(|server| self.put(server));
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
            self.put(server);
            self.publish(now);
        }
        Ok(server)
    }

    fn put(&self, server: &Server) {
        let mut working = self.working();
        let standing = working.servers.get(&server.id).map(|view| view.standing.clone()).unwrap_or_default();
        working.servers.insert(server.id, Arc::new(ServerView { server: Arc::new(server.clone()), standing }));
        working.changed = true;
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        // Every change under the lock is a single insertion: a panic elsewhere cannot leave it half done.
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
