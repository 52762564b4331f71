//! Sends samples to other databases as they come, over Prometheus' remote write: history for fleets that outgrow one store.
//!
//! What is recorded is told: for each scrape of a server its series with the scrape's own time, and once an interval the
//! sums over the fleet. Requests are made at once and wait on disk, so that a receiver that is away, and a kill of this
//! process, cost nothing as long as there is room.
//!
//! | module | holds |
//! |---|---|
//! | `telling` | which samples there are, and which series ended |
//! | `digest` | tells whether two sets of series are the same without keeping them |
//! | `request`, `message` | samples in the form in which they are sent |
//! | `receiver` | one receiver: its requests in the making and its queue |
//! | `part` | a request on its way, whole or divided |
//! | `sender` | brings the queue of one receiver to it |
//! | `verdict` | what an answer means |

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mect_fleet::Fleet;
use mect_fleet::store::{History, Record};
use mect_web::Teller;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::discovery::TargetSet;
use crate::pages::Pages;
use crate::scrape::Accesses;

mod digest;
mod message;
mod part;
mod receiver;
mod request;
mod sender;
mod telling;
mod verdict;

pub use receiver::{Count, Counts, Receiver};
pub use sender::Sender;
use telling::Telling;

/// Batches of records that wait to be told. One that finds no place is not sent: recording never waits for this.
const WAITING_BATCHES: usize = 16;
/// Directory of the queues, in the data directory.
const DIRECTORY: &str = "remote_write";

/// What it is built from.
pub struct Parts {
    /// Where servers are looked up.
    pub fleet: Arc<Fleet>,
    /// Where uptimes come from.
    pub history: Arc<dyn History>,
    /// Where pages are kept.
    pub pages: Arc<Pages>,
    /// The targets that this collector scrapes.
    pub ours: watch::Receiver<TargetSet>,
    /// All targets.
    pub all: watch::Receiver<TargetSet>,
}

/// Where the writer of records tells what it recorded.
pub struct Tap {
    batches: mpsc::Sender<Arc<Vec<Record>>>,
    missed: Arc<AtomicU64>,
}

impl Tap {
    /// Tells a batch. Waits for nobody.
    pub fn tell(&self, batch: Arc<Vec<Record>>) {
        if let Err(error) = self.batches.try_send(batch) {
            let records = error.into_inner().len() as u64;
            self.missed.fetch_add(records, Ordering::Relaxed);
            tracing::warn!(records, "remote write cannot keep up; these scrapes are not sent");
        }
    }
}

/// The loop that turns records into requests.
pub struct RemoteWrite {
    batches: mpsc::Receiver<Arc<Vec<Record>>>,
    missed: Arc<AtomicU64>,
    teller: Arc<Teller>,
    telling: Telling,
    interval: Duration,
    receivers: Vec<Arc<Receiver>>,
}

/// What is to be told next.
enum Next {
    Scrapes(Arc<Vec<Record>>),
    Fleet,
}

impl RemoteWrite {
    /// For the receivers that the configuration names, with queues in its data directory; `None` where it names none.
    ///
    /// # Errors
    /// A queue cannot be opened.
    pub fn open(config: &Config, parts: Parts) -> anyhow::Result<Option<(Tap, Self)>> {
        if config.remote_write.is_empty() {
            return Ok(None);
        }
        let directory = config.store.data_dir.join(DIRECTORY);
        let open = |receiver| Receiver::open(receiver, &directory).map(Arc::new);
        let receivers = config.remote_write.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        warn_of_others(&directory, &receivers);
        let (batches, waiting) = mpsc::channel(WAITING_BATCHES);
        let (missed, teller) =
            (Arc::default(), Arc::new(Teller::new(config.federation.job.clone(), parts.history.clone())));
        let telling = Telling::new(parts, Arc::clone(&teller), &receivers);
        let tap = Tap { batches, missed: Arc::clone(&missed) };
        let interval = config.scrape.interval();
        Ok(Some((tap, Self { batches: waiting, missed, teller, telling, interval, receivers })))
    }

    /// A sender for each receiver.
    ///
    /// # Errors
    /// The URL of one cannot be used.
    pub fn senders(&self, config: &Config, accesses: &Arc<Accesses>) -> anyhow::Result<Vec<Sender>> {
        let settings = config.remote_write.iter().zip(&self.receivers);
        settings.map(|(settings, receiver)| Sender::new(settings, Arc::clone(receiver), accesses)).collect()
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        Counts { missed: Arc::clone(&self.missed), receivers: self.receivers.clone() }
    }

    /// Makes requests of what is told until the writer of records ended, then waits for `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { mut batches, teller, mut telling, interval, .. } = self;
        // Before that, nobody can say how the fleet is.
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => Next::Scrapes(batch),
                    None => break,
                },
                _ = ticks.tick() => Next::Fleet,
            };
            let uptimes = teller.uptimes().await;
            let told = spawn_blocking(move || {
                match next {
                    Next::Scrapes(batch) => telling.scrapes(&batch, &uptimes),
                    Next::Fleet => telling.fleet(&uptimes),
                }
                telling
            });
            match told.await {
                Ok(told) => telling = told,
                Err(error) => return tracing::error!(%error, "remote write ended abnormally"),
            }
        }
        stop.cancelled().await;
    }
}

/// Tells of queues of receivers that the configuration no longer names.
fn warn_of_others(directory: &Path, receivers: &[Arc<Receiver>]) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        if !receivers.iter().any(|receiver| receiver.name() == name) {
            let path = directory.join(name);
            tracing::warn!(path = %path.display(), "a queue that no [[remote_write]] empties; delete it if it is not needed");
        }
    }
}
