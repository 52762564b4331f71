//! Makes a batch durable, whatever it takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::spool::Spool;
use mect_fleet::store::{Record, Recorded, Recorder, StoreError};
use mect_fleet::{ServerId, Standing};
use tokio::task::spawn_blocking;

use super::outage::Outage;
use crate::metrics::Metrics;

/// Pause after a failed attempt, doubled up to the limit.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// See [`RETRY_AFTER`].
const RETRY_AT_MOST: Duration = Duration::from_secs(10);
/// A shared store that takes longer for a batch counts as away: as long as the driver looks for a primary, and short
/// enough that a reader sees a scrape within seconds whatever happens.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Where batches become durable.
pub enum Keeper {
    /// A store that this collector has for itself: it is there as long as the disk is.
    Own {
        /// The store.
        store: Arc<dyn Recorder>,
        /// Counts.
        metrics: Metrics,
    },
    /// A store behind a network.
    Spooled(Spooled),
}

/// A shared store, and the spool that stands in for it.
pub struct Spooled {
    pub(super) store: Arc<dyn Recorder>,
    /// Takes what the store does not.
    pub(super) spool: Arc<Spool>,
    /// What is known of the store; told by this and by the replay.
    pub(super) outage: Arc<Outage>,
    pub(super) metrics: Metrics,
}

impl Keeper {
    /// Makes a batch durable, however often it has to be tried: recording is idempotent.
    pub(super) async fn keep(&self, batch: &Arc<Vec<Record>>) -> Recorded {
        match self {
            Self::Own { store, metrics } => keep(store, metrics, batch).await,
            Self::Spooled(spooled) => spooled.keep(batch).await,
        }
    }
}

async fn keep(store: &Arc<dyn Recorder>, metrics: &Metrics, batch: &Arc<Vec<Record>>) -> Recorded {
    let mut pause = RETRY_AFTER;
    loop {
        match store.record(Arc::clone(batch)).await {
            Ok(recorded) => {
                metrics.store_up.set(1);
                return recorded;
            }
            Err(error) => {
                metrics.store_up.set(0);
                metrics.record_failures.inc();
                tracing::error!(%error, records = batch.len(), "not recorded; trying again in {pause:?}");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_AT_MOST);
    }
}

impl Spooled {
    /// In the store if that answers, else in the spool. A batch that the store was given and did not acknowledge goes
    /// to the spool too: stored twice it still counts once.
    async fn keep(&self, batch: &Arc<Vec<Record>>) -> Recorded {
        let mut pause = RETRY_AFTER;
        let mut try_store = !self.outage.is_lost();
        let mut refused = None;
        loop {
            if try_store {
                match in_time(ANSWER_WITHIN, self.store.record(Arc::clone(batch))).await {
                    Ok(recorded) => {
                        self.outage.took(batch);
                        return recorded;
                    }
                    Err(error) => {
                        self.metrics.record_failures.inc();
                        match error {
                            StoreError::Rejected(_) => refused = Some(error),
                            error => self.outage.lost(&error),
                        }
                    }
                }
            }
            let (spool, spooled) = (Arc::clone(&self.spool), Arc::clone(batch));
            match spawn_blocking(move || spool.append(&spooled)).await {
                Ok(Ok(())) => {
                    if let Some(error) = refused {
                        self.outage.refused(&error);
                    }
                    return Recorded::default();
                }
                Ok(Err(error)) => {
                    let records = batch.len();
                    tracing::error!(%error, records, "neither store nor spool takes records; trying again in {pause:?}");
                }
                Err(panic) => tracing::error!(%panic, "the spool failed; trying again in {pause:?}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_AT_MOST);
            // The spool is no way out: the store may be back, and the replay has no batch of its own to find out with.
            try_store = true;
        }
    }
}

/// The standings to go on from: what the store knows, but for servers of which the spool knows more.
pub fn newest_standings(
    stored: Vec<(ServerId, Standing)>,
    spooled: HashMap<ServerId, Standing>,
) -> Vec<(ServerId, Standing)> {
    let mut newest: HashMap<_, _> = stored.into_iter().collect();
    for (server, standing) in spooled {
        let known = newest.entry(server).or_default();
        if known.age() < standing.age() {
            *known = standing;
        }
    }
    newest.into_iter().collect()
}

/// What the store answers, or that it did not.
pub(super) async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let silent = || StoreError::Backend(format!("no answer within {patience:?}").into());
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| Err(silent()))
}
