//! Geolocation: where servers stand by their addresses, from databases that the operator has on disk. Asks nobody.
//!
//! The weakest of three sources: an edit by hand and the labels of a target go before. Each collector locates the servers
//! that are its own, so that collectors with different databases do not undo each other's work.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::installation::Database;
use mect_fleet::store::Result;
use mect_fleet::{Fleet, ServerId, ServerPatch, Timestamp};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::discovery::TargetSet;

mod database;
mod record;

pub use database::Databases;

/// The files are looked at this often: they change once or twice a week.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Servers changed by one call to the store.
const AT_ONCE: usize = 1000;

/// Keeps the servers located.
pub struct Geolocation {
    databases: Databases,
    fleet: Arc<Fleet>,
    /// The servers that this collector looks after.
    ours: watch::Receiver<TargetSet>,
    told: watch::Sender<Vec<Database>>,
}

impl Geolocation {
    /// Nothing is read yet.
    pub fn new(databases: Databases, fleet: Arc<Fleet>, ours: watch::Receiver<TargetSet>) -> Self {
        let told = watch::Sender::new(databases.told());
        Self { databases, fleet, ours, told }
    }

    /// The databases, as they are read.
    pub fn subscribe(&self) -> watch::Receiver<Vec<Database>> {
        self.told.subscribe()
    }

    /// Locates servers as they come and as the databases change, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.databases.is_empty() {
            return stop.cancelled().await;
        }
        let mut views = self.fleet.subscribe();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut inventory = None;
        loop {
            let is_look = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => true,
                Ok(()) = views.changed() => false,
                Ok(()) = self.ours.changed() => { inventory = None; false }
            };
            let mut is_new = false;
            if is_look {
                let mut databases = std::mem::take(&mut self.databases);
                // Reading and checking a large file takes seconds: not on a thread that serves others.
                let read = spawn_blocking(move || {
                    let is_new = databases.refresh();
                    (databases, is_new)
                });
                match read.await {
                    Ok((databases, changed)) => (self.databases, is_new) = (databases, changed),
                    Err(lost) => return tracing::error!(error = %lost, "geolocation ended"),
                }
                self.told.send_replace(self.databases.told());
            }
            let version = self.fleet.view().inventory_version();
            if !is_new && inventory == Some(version) {
                continue;
            }
            match self.locate().await {
                Ok(()) => inventory = Some(version),
                Err(error) => {
                    inventory = None;
                    tracing::debug!(%error, "servers cannot be located; trying again");
                }
            }
        }
    }

    /// Tells the inventory what the databases say of the servers that are ours, where it does not know.
    async fn locate(&self) -> Result<()> {
        let view = self.fleet.view();
        let ours: Vec<ServerId> = self.ours.borrow().iter().map(|target| target.server).collect();
        let moved = ours.into_iter().filter_map(|id| {
            let server = &view.by_id(id)?.server;
            // What nobody knows stays as it was looked up before.
            let place = self.databases.place_of(server.ip.parse().ok()?).filter(|place| !place.is_unknown())?;
            (server.layers.database.place != place)
                .then(|| (id, ServerPatch { located: Some(place), ..ServerPatch::default() }))
        });
        let moved: Vec<_> = moved.collect();
        for edits in moved.chunks(AT_ONCE) {
            self.fleet.edit_many(edits.to_vec(), Timestamp::now()).await?;
        }
        if !moved.is_empty() {
            tracing::info!(servers = moved.len(), "servers located");
        }
        Ok(())
    }
}
