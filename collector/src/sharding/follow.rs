//! Reads into the view what other collectors recorded, and what operators changed through them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{Changes, Result};
use mect_fleet::{Fleet, ServerId, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The view of what others scrape is at most this much older than the store. With a live bus it is younger.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Servers that others deleted leave the view within this time: finding them takes a list of all.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// The loop that follows.
pub struct Follower {
    changes: Arc<dyn Changes>,
    fleet: Arc<Fleet>,
    /// Says that there is something new.
    look: Arc<Notify>,
    cursor: Timestamp,
}

impl Follower {
    /// Follows from the beginning.
    pub fn new(changes: Arc<dyn Changes>, fleet: Arc<Fleet>, look: Arc<Notify>) -> Self {
        Self { changes, fleet, look, cursor: Timestamp::default() }
    }

    /// Follows until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut compared = Instant::now();
        let look = Arc::clone(&self.look);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = look.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.catch_up().await {
                tracing::debug!(%error, "cannot follow other collectors; trying again");
                continue;
            }
            if compared.elapsed() >= COMPARE_EVERY {
                compared = Instant::now();
                if let Err(error) = self.compare().await {
                    tracing::debug!(%error, "cannot look for deleted servers; trying again");
                }
            }
        }
    }

    async fn catch_up(&mut self) -> Result<()> {
        let changed = self.changes.changed(self.cursor).await?;
        self.cursor = changed.next;
        self.fleet.absorb(&changed.servers);
        Ok(())
    }

    async fn compare(&self) -> Result<()> {
        let known: HashSet<ServerId> = self.fleet.view().servers().iter().map(|view| view.server.id).collect();
        let mut kept = self.changes.identities().await?;
        // One that was added meanwhile may be missing in the answer.
        kept.extend(self.fleet.view().servers().iter().map(|view| view.server.id).filter(|id| !known.contains(id)));
        self.fleet.retain(&kept);
        Ok(())
    }
}
