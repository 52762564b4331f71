//! One receiver: its requests in the making, its queue on disk, and what became of the samples.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use mect_fleet::Timestamp;
use mect_fleet::spool::{self, Outbox, Outgoing};
use mect_web::Kind;
use tokio::sync::Notify;

use super::request::Requests;
use crate::config::{self, Series};

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Who is sent samples.
pub struct Receiver {
    name: String,
    takes_raw: bool,
    requests: Mutex<Requests>,
    outbox: Outbox,
    /// There is something new in the outbox.
    pub(super) news: Notify,
    /// The disk took the latest requests.
    is_kept: AtomicBool,
    unkept: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
}

/// What is counted of all receivers.
pub struct Counts {
    /// Scrapes that were not told, because the loop could not keep up.
    pub(crate) missed: Arc<AtomicU64>,
    pub(crate) receivers: Vec<Arc<Receiver>>,
}

/// What is counted of one receiver since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Samples that it took.
    pub taken: u64,
    /// Samples that it refused; they are not sent again.
    pub refused: u64,
    /// Samples that were lost here: no room in the queue, or no disk for it.
    pub dropped: u64,
    /// Requests that it did not answer, or not now; they are sent again.
    pub failures: u64,
    /// Samples that wait.
    pub waiting: u64,
    /// Disk that the queue takes.
    pub bytes: u64,
    /// Of when the oldest waiting sample is.
    pub oldest: Option<Timestamp>,
}

impl Receiver {
    /// With its queue in a directory of its name in `directory`.
    pub(super) fn open(settings: &config::RemoteWrite, directory: &Path) -> anyhow::Result<Self> {
        let name = settings.name.clone();
        let options = spool::Options { capacity_bytes: settings.queue_mib as u64 * MIB, ..Default::default() };
        let outbox = Outbox::open(&directory.join(&name), options)
            .with_context(|| format!("the queue of remote_write `{name}` cannot be opened"))?;
        let requests = Requests::new(settings.protocol, settings.external_labels.clone(), settings.max_samples);
        Ok(Self {
            name,
            takes_raw: settings.send == Series::All,
            requests: Mutex::new(requests),
            outbox,
            news: Notify::new(),
            is_kept: AtomicBool::new(true),
            unkept: AtomicU64::default(),
            taken: AtomicU64::default(),
            refused: AtomicU64::default(),
            failures: AtomicU64::default(),
        })
    }

    /// What metrics and logs call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is counted of it.
    pub fn count(&self) -> Count {
        let stats = self.outbox.stats();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Count {
            taken: of(&self.taken),
            refused: of(&self.refused),
            dropped: stats.dropped_records + of(&self.unkept),
            failures: of(&self.failures),
            waiting: stats.records,
            bytes: stats.bytes,
            oldest: stats.oldest,
        }
    }

    /// It gets what servers say themselves, too.
    pub(super) fn takes_raw(&self) -> bool {
        self.takes_raw
    }

    /// Adds a sample to a request in the making.
    pub(super) fn add(&self, series: (&str, Kind), labels: &[(&str, &str)], value: f64, at: Timestamp) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).add(series, labels, value, at);
    }

    /// Puts the requests into the queue. What the disk does not take is lost: what is scraped next must not wait for it.
    pub(super) fn keep(&self) {
        let entries = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        if entries.is_empty() {
            return;
        }
        match self.outbox.append(&entries) {
            Ok(()) => self.is_kept.store(true, Ordering::Relaxed),
            Err(error) => {
                let samples = entries.iter().map(|entry| u64::from(entry.records)).sum();
                self.unkept.fetch_add(samples, Ordering::Relaxed);
                if self.is_kept.swap(false, Ordering::Relaxed) {
                    tracing::error!(receiver = self.name, %error, samples, "samples are lost; further ones are only counted");
                }
            }
        }
        self.news.notify_one();
    }

    /// The oldest request of the queue.
    pub(super) fn oldest(&self) -> spool::Result<Option<Outgoing>> {
        self.outbox.oldest()
    }

    /// A request is done with: so many of its samples were taken.
    pub(super) fn done(&self, request: &Outgoing, taken: u64) {
        self.outbox.sent(request);
        self.taken.fetch_add(taken, Ordering::Relaxed);
        self.refused.fetch_add(u64::from(request.records).saturating_sub(taken), Ordering::Relaxed);
    }

    /// A request failed and is sent again.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
