//! What the collector says of itself at `/metrics`, under the prefix `mect_`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mect_fleet::spool::{self, Spool};
use mect_fleet::{FailureReason, Fleet, Health, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::pages::Pages;

mod redis;
mod remote_write;

pub use redis::register_redis;
pub use remote_write::register_remote_write;

/// Label of scrapes: `success`, or the failure reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScrapeResult {
    /// The result.
    pub result: &'static str,
}

/// Label of transitions: the state entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Entered {
    /// The state.
    pub to: &'static str,
}

/// Label of failures that do not let a server turn down: why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Doubted {
    /// The doubt.
    pub why: &'static str,
}

/// Label of readings of sources that name targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceKind {
    /// The key of the configuration.
    pub source: &'static str,
}

/// A kind of source that is read again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `[[file_sd]]`
    File,
    /// `[[http_sd]]`
    Http,
}

impl Source {
    const ALL: [Self; 2] = [Self::File, Self::Http];

    const fn kind(self) -> SourceKind {
        SourceKind {
            source: match self {
                Self::File => "file_sd",
                Self::Http => "http_sd",
            },
        }
    }
}

/// The collector's own metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Scrapes by result.
    pub scrapes: Family<ScrapeResult, Counter>,
    /// How long scrapes took.
    pub scrape_duration: Histogram,
    /// How late scrapes started.
    pub scrape_lag: Histogram,
    /// Regular ticks that passed unused.
    pub ticks_skipped: Counter,
    /// Page bytes read, after decompression.
    pub page_bytes: Counter,
    /// Samples read.
    pub samples: Counter,
    /// Targets known.
    pub targets: Gauge,
    /// Readings of sources that could not be used.
    pub unusable_sources: Family<SourceKind, Counter>,
    /// Scrapes under way.
    pub in_flight: Gauge,
    /// Records that wait for the store.
    pub queue: Gauge,
    /// Records made durable.
    pub recorded: Counter,
    /// Failed attempts to record a batch.
    pub record_failures: Counter,
    /// Records that came after another collector had taken their server over. Of those from the spool the heartbeats
    /// are kept.
    pub refused: Counter,
    /// Records that the store refused one by one, while it took others.
    pub set_aside: Counter,
    /// Records brought from the spool to the store.
    pub replayed: Counter,
    /// 1 while the store takes records.
    pub store_up: Gauge,
    /// Flips of health by state entered.
    pub transitions: Family<Entered, Counter>,
    /// Failed scrapes that may be our own network's fault, by the doubt.
    pub doubted: Family<Doubted, Counter>,
    /// Servers that would be down, were their failures not doubted.
    pub unverified: Gauge,
    /// Shards whose lease is held.
    pub shards_held: Gauge,
    /// Collectors that take part.
    pub collectors: Gauge,
    /// Leases that ran out and were taken by others.
    pub leases_lost: Counter,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            scrapes: Family::default(),
            scrape_duration: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            scrape_lag: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            ticks_skipped: Counter::default(),
            page_bytes: Counter::default(),
            samples: Counter::default(),
            targets: Gauge::default(),
            unusable_sources: Family::default(),
            in_flight: Gauge::default(),
            queue: Gauge::default(),
            recorded: Counter::default(),
            record_failures: Counter::default(),
            refused: Counter::default(),
            set_aside: Counter::default(),
            replayed: Counter::default(),
            store_up: Gauge::default(),
            transitions: Family::default(),
            doubted: Family::default(),
            unverified: Gauge::default(),
            shards_held: Gauge::default(),
            collectors: Gauge::default(),
            leases_lost: Counter::default(),
        };
        // There from the start: what is told for the first time has no rate.
        for result in std::iter::once("success").chain(FailureReason::ALL.iter().map(|reason| reason.name())) {
            drop(metrics.scrapes.get_or_create(&ScrapeResult { result }));
        }
        let mect = registry.sub_registry_with_prefix("mect");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        mect.register("collector_build", "Version of the collector", version);
        mect.register("scrapes", "Scrapes by result", metrics.scrapes.clone());
        let duration = "From start to last byte or failure";
        mect.register_with_unit("scrape_duration", duration, Unit::Seconds, metrics.scrape_duration.clone());
        let lag = "From when a scrape was due to its start";
        mect.register_with_unit("scrape_lag", lag, Unit::Seconds, metrics.scrape_lag.clone());
        mect.register("scrape_ticks_skipped", "Regular ticks that passed unused", metrics.ticks_skipped.clone());
        mect.register_with_unit("page", "Page bytes read", Unit::Bytes, metrics.page_bytes.clone());
        mect.register("samples", "Samples read", metrics.samples.clone());
        mect.register("targets", "Targets known", metrics.targets.clone());
        let unusable = "Target files and lists that could not be used, each time that they changed or were asked for";
        mect.register("discovery_failures", unusable, metrics.unusable_sources.clone());
        mect.register("scrapes_in_flight", "Scrapes under way", metrics.in_flight.clone());
        mect.register("record_queue", "Records that wait for the store", metrics.queue.clone());
        mect.register("records", "Records made durable", metrics.recorded.clone());
        mect.register("record_failures", "Failed attempts to record", metrics.record_failures.clone());
        mect.register(
            "records_refused",
            "Records that came after another collector had taken their server over",
            metrics.refused.clone(),
        );
        let aside = "Records that the store refuses by themselves, kept in spool/refused.jsonl";
        mect.register("records_set_aside", aside, metrics.set_aside.clone());
        mect.register("records_replayed", "Records brought from the spool to the store", metrics.replayed.clone());
        mect.register("store_up", "1 while the store takes records", metrics.store_up.clone());
        mect.register("transitions", "Flips of health", metrics.transitions.clone());
        let doubted = "Failed scrapes that may be the fault of the collector's own network";
        mect.register("scrapes_doubted", doubted, metrics.doubted.clone());
        let unverified = "Servers whose failures are doubted, so that they do not turn down";
        mect.register("unverified_servers", unverified, metrics.unverified.clone());
        mect.register("shards_held", "Shards whose lease is held", metrics.shards_held.clone());
        mect.register("collectors", "Collectors that share the fleet", metrics.collectors.clone());
        mect.register("leases_lost", "Leases that ran out and were taken by others", metrics.leases_lost.clone());
        // Both are there from the start: what begins to count must not begin to exist.
        for source in Source::ALL {
            drop(metrics.unusable_sources.get_or_create(&source.kind()));
        }
        metrics
    }

    /// Counts a reading of a source that could not be used.
    pub fn count_unusable(&self, source: Source) {
        self.unusable_sources.get_or_create(&source.kind()).inc();
    }
}

/// What is looked up when `/metrics` is read: servers by health, pages without room, the size of the data directory, and the
/// spool.
struct OnDemand {
    fleet: Arc<Fleet>,
    pages: Arc<Pages>,
    data_dir: PathBuf,
    spool: Option<Arc<Spool>>,
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Collector for OnDemand {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let view = self.fleet.view();
        let mut servers = encoder.encode_descriptor("mect_servers", "Servers by health", None, MetricType::Gauge)?;
        for health in Health::ALL {
            let count = ConstGauge::new(view.count(health) as i64);
            count.encode(servers.encode_family(&[("health", health.name())])?)?;
        }
        let help = "Servers whose latest page is not kept for /federate, because it is large and there is no room";
        let not_kept = encoder.encode_descriptor("mect_pages_not_kept", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.pages.not_kept() as i64).encode(not_kept)?;
        let help = "Size of the data directory";
        let size = encoder.encode_descriptor("mect_store", help, Some(&Unit::Bytes), MetricType::Gauge)?;
        ConstGauge::new(directory_bytes(&self.data_dir) as i64).encode(size)?;
        self.spool.as_ref().map_or(Ok(()), |spool| encode_spool(&spool.stats(), &mut encoder))
    }
}

fn encode_spool(stats: &spool::Stats, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let bytes = encoder.encode_descriptor("mect_spool", "Size of the spool", Some(&Unit::Bytes), MetricType::Gauge)?;
    ConstGauge::new(stats.bytes as i64).encode(bytes)?;
    let help = "Records in the spool that wait for the store";
    let records = encoder.encode_descriptor("mect_spool_records", help, None, MetricType::Gauge)?;
    ConstGauge::new(stats.records as i64).encode(records)?;
    let help = "Records lost because the spool was full";
    let dropped = encoder.encode_descriptor("mect_spool_dropped_records", help, None, MetricType::Counter)?;
    ConstCounter::new(stats.dropped_records).encode(dropped)?;
    let help = "Batches in the spool that the disk damaged; lost";
    let damaged = encoder.encode_descriptor("mect_spool_damaged_batches", help, None, MetricType::Counter)?;
    ConstCounter::new(stats.damaged_frames).encode(damaged)?;
    let help = "Age of the oldest record in the spool";
    let oldest = encoder.encode_descriptor("mect_spool_oldest", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    let age = stats.oldest.map_or(0.0, |at| Timestamp::now().since(at).as_secs_f64());
    ConstGauge::new(age).encode(oldest)
}

/// Bytes of the files in a directory; what cannot be read counts as nothing.
fn directory_bytes(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

/// Registers what is looked up on demand.
pub fn register_on_demand(
    registry: &mut Registry,
    fleet: Arc<Fleet>,
    pages: Arc<Pages>,
    data_dir: PathBuf,
    spool: Option<Arc<Spool>>,
) {
    registry.register_collector(Box::new(OnDemand { fleet, pages, data_dir, spool }));
}
