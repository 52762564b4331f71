//! Empties the spool into the shared store, beside the live batches; and while the store is away, finds out when it is
//! back: the oldest spooled batch is the question.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::spool::{Oldest, Spool, SpoolError};
use mect_fleet::store::{Journal, Record, Recorder, Store, StoreError};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, Spooled, in_time};
use super::outage::Outage;
use crate::metrics::Metrics;

/// Records stored in one call at most: several times a live batch, so that the store's cost per call hardly counts, and little
/// enough that live batches, which wait behind it in the store, wait for a fraction of a second.
const BATCH_RECORDS: usize = 5000;
/// While the store is away it is asked this often; while nothing is spooled, it is looked for new work this often.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A collector that records nothing for this long, because its interval is long, asks whether the store is there: pages
/// should know before somebody edits.
const ASK_AFTER_SILENCE: Duration = Duration::from_secs(5);
/// A call that takes longer has failed. Longer than for a live batch: this one is larger, and nobody waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// See [`ANSWER_WITHIN`], for a question.
const QUESTION_WITHIN: Duration = Duration::from_secs(3);

/// The replay of one spool into one store.
pub struct Replay {
    store: Arc<dyn Recorder>,
    journal: Arc<dyn Journal>,
    spool: Arc<Spool>,
    pub(super) outage: Arc<Outage>,
    metrics: Metrics,
    /// Records of the next call: one batch when it is a question, twice as many with every answer.
    records: usize,
}

impl Replay {
    /// What records through `spool` while `store` is away, and what brings it there afterwards.
    pub fn new(store: &Store, spool: Arc<Spool>, outage: Outage, metrics: &Metrics) -> (Keeper, Self) {
        let outage = Arc::new(outage);
        let waiting = spool.stats().records;
        if waiting > 0 {
            tracing::info!(records = waiting, "records wait in the spool from an earlier run");
        }
        let spooled = Spooled {
            store: store.recorder.clone(),
            spool: Arc::clone(&spool),
            outage: Arc::clone(&outage),
            metrics: metrics.clone(),
        };
        let (store, journal, metrics) = (store.recorder.clone(), store.journal.clone(), metrics.clone());
        (Keeper::Spooled(spooled), Self { store, journal, spool, outage, metrics, records: 1 })
    }

    /// Runs until `stop`. What is left in the spool then is for the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(goes_on) = stop.run_until_cancelled(self.step()).await {
            if !goes_on {
                let pause = tokio::time::timeout(ASK_EVERY, self.outage.noticed.notified());
                if stop.run_until_cancelled(pause).await.is_none() {
                    return;
                }
                // Woken by the loss itself: the next question a moment later.
                if self.outage.is_lost() && stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Stores the oldest batches, or asks the store; true when there may be more to do at once.
    async fn step(&mut self) -> bool {
        match self.oldest(self.records).await {
            Ok(Some(oldest)) => self.store(oldest).await,
            Ok(None) => {
                self.ask().await;
                false
            }
            Err(error) => {
                tracing::error!(%error, "the spool cannot be read; trying again");
                false
            }
        }
    }

    async fn store(&mut self, mut oldest: Oldest) -> bool {
        let records = Arc::new(std::mem::take(&mut oldest.records));
        let mut culprits = Vec::new();
        let stored = match self.replay(Arc::clone(&records)).await {
            Err(error @ StoreError::Rejected(_)) => match self.sort_out(&records, error).await {
                Ok(found) => {
                    culprits = found;
                    self.set_aside(&records, &culprits).await
                }
                Err(error) => Err(error),
            },
            stored => stored,
        };
        if let Err(error) = stored {
            self.metrics.record_failures.inc();
            self.outage.lost(&error);
            // Refused with all there was: more of it may show that others are taken.
            let is_refused = matches!(error, StoreError::Rejected(_));
            self.records = if is_refused { (self.records * 2).min(BATCH_RECORDS) } else { 1 };
            return false;
        }
        self.records = (self.records * 2).min(BATCH_RECORDS);
        // Counted first: who finds the spool empty finds the numbers complete.
        self.metrics.replayed.inc_by((records.len() - culprits.len()) as u64);
        self.metrics.set_aside.inc_by(culprits.len() as u64);
        let spool = Arc::clone(&self.spool);
        if let Err(panic) = spawn_blocking(move || spool.stored(&oldest)).await {
            tracing::error!(%panic, "the spool failed; stored records may be stored again, which does no harm");
        }
        self.outage.answered();
        true
    }

    pub(super) async fn replay(&self, records: Arc<Vec<Record>>) -> Result<(), StoreError> {
        let recorded = in_time(ANSWER_WITHIN, self.store.replay(records)).await?;
        self.metrics.refused.inc_by(recorded.refused.len() as u64);
        Ok(())
    }

    async fn set_aside(&self, records: &[Record], culprits: &[usize]) -> Result<(), StoreError> {
        let spool = Arc::clone(&self.spool);
        let culprits: Vec<_> = culprits.iter().map(|place| records[*place].clone()).collect();
        let written = spawn_blocking(move || spool.set_aside(&culprits)).await;
        written.map_err(std::io::Error::other).and_then(|written| written.map_err(std::io::Error::other)).map_err(
            |error| {
                tracing::error!(%error, "refused records cannot be set aside; trying again");
                StoreError::Backend(Box::new(error))
            },
        )
    }

    /// With nothing to store: finds out whether the store is there, and tells the journal what happened.
    async fn ask(&self) {
        if self.outage.is_lost() || self.outage.silence() > ASK_AFTER_SILENCE {
            match in_time(QUESTION_WITHIN, self.journal.events(None, Timestamp::now(), 1)).await {
                Ok(_) => self.outage.answered(),
                Err(error) => self.outage.lost(&error),
            }
        }
        if self.outage.is_lost() {
            return;
        }
        let news = self.outage.take_news(self.spool.stats().dropped_records);
        if news.is_empty() {
            return;
        }
        if let Err(error) = in_time(QUESTION_WITHIN, self.journal.append_events(news.clone())).await {
            tracing::warn!(%error, "the journal did not take the events of the outage; trying again");
            self.outage.put_back(news);
        }
    }

    async fn oldest(&self, records: usize) -> Result<Option<Oldest>, SpoolError> {
        let spool = Arc::clone(&self.spool);
        spawn_blocking(move || spool.oldest(records)).await.unwrap_or_else(|panic| {
            let source = std::io::Error::other(panic);
            Err(SpoolError::Io { doing: "read", path: "the spool".into(), source })
        })
    }
}
