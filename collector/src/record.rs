//! The way from a judged scrape to the store and, once durable, to the view.
//!
//! The queue is bounded by permits: the engine takes one before it starts a scrape, so every scrape that ran has its
//! place, nothing is dropped, and a disk that is too slow shows as skipped ticks instead of as memory.
//!
//! | module | holds |
//! |---|---|
//! | `keeper` | makes a batch durable: in a store of our own, or in a shared one with a spool behind it |
//! | `outage` | what is known of the shared store: away or not, and what to tell about it later |
//! | `replay` | empties the spool into the shared store, and finds out when it is back |
//! | `refusal` | finds the records that the store refuses while it takes all others |

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::Record;
use mect_fleet::{FailureReason, Fleet, Health, Timestamp, Transition};
use tokio::sync::mpsc;

use crate::metrics::{Entered, Metrics};
use crate::remote_write::Tap;

mod keeper;
mod outage;
mod refusal;
mod replay;

#[cfg(test)]
mod tests;

pub use keeper::{Keeper, Spooled, newest_standings};
pub use outage::Outage;
pub use replay::Replay;

/// Places in the queue. Every scrape under way holds one from its start on, 5,600 where a fleet of 50,000 is silent; the others
/// are for what waits while the store is slow.
pub(crate) const QUEUE_RECORDS: usize = 16 * 1024;
/// Records that one commit holds at most.
const BATCH_RECORDS: usize = 2048;
/// After the first record of a batch, others are waited for this long: a commit costs a flush to disk, and half a
/// second is little against a bound of 200 s. The queue holds what comes meanwhile at 8,000 scrapes a second.
const BATCH_WINDOW: Duration = Duration::from_millis(500);

/// The engine's end of the queue.
pub type Queue = mpsc::Sender<Record>;

/// The recorder's end.
pub struct Writer {
    records: mpsc::Receiver<Record>,
    keeper: Keeper,
    fleet: Arc<Fleet>,
    metrics: Metrics,
    tap: Option<Tap>,
}

impl Writer {
    /// A queue and its writer.
    pub fn new(keeper: Keeper, fleet: Arc<Fleet>, metrics: Metrics) -> (Queue, Self) {
        let (queue, records) = mpsc::channel(QUEUE_RECORDS);
        (queue, Self { records, keeper, fleet, metrics, tap: None })
    }

    /// Tells `tap` of every batch that was recorded.
    #[must_use]
    pub fn telling(self, tap: Option<Tap>) -> Self {
        Self { tap, ..self }
    }

    /// Writes until every sender is gone and the queue is empty.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.records.recv_many(&mut batch, BATCH_RECORDS).await > 0 {
            // Asleep, not listening: the engine is spared waking this task for every single record.
            tokio::time::sleep(BATCH_WINDOW).await;
            while batch.len() < BATCH_RECORDS
                && let Ok(record) = self.records.try_recv()
            {
                batch.push(record);
            }
            self.metrics.queue.set(self.records.len() as i64);
            self.write(Arc::new(std::mem::take(&mut batch))).await;
        }
        self.fleet.publish(Timestamp::now());
    }

    /// Makes a batch durable, then shows it; but for what another collector has taken over, which is neither.
    async fn write(&self, mut batch: Arc<Vec<Record>>) {
        let recorded = self.keeper.keep(&batch).await;
        if !recorded.refused.is_empty() {
            self.metrics.refused.inc_by(recorded.refused.len() as u64);
            let refused: HashSet<_> = recorded.refused.into_iter().collect();
            let mut places = 0..;
            Arc::make_mut(&mut batch).retain(|_| places.next().is_some_and(|place| !refused.contains(&place)));
        }
        self.metrics.recorded.inc_by(batch.len() as u64);
        batch.iter().filter_map(|record| record.transition.as_ref()).for_each(|transition| self.tell(transition));
        self.fleet.apply(&batch);
        if let Some(tap) = &self.tap {
            tap.tell(batch);
        }
    }

    fn tell(&self, transition: &Transition) {
        let Transition { server, from, to, reason, checks, .. } = transition;
        self.metrics.transitions.get_or_create(&Entered { to: to.name() }).inc();
        // The start of a large fleet is no news of any one server.
        if (*from, *to) == (Health::Pending, Health::Active) {
            return tracing::debug!(%server, "first heartbeat");
        }
        let reason = reason.map(FailureReason::name);
        tracing::info!(%server, from = from.name(), to = to.name(), reason, checks, "health changed");
    }
}
