//! How receivers of samples fare, looked up when `/metrics` is read.

use std::fmt;
use std::sync::atomic::Ordering;

use mect_fleet::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::remote_write::{Count, Counts};

/// Name without prefix, help, and value of each receiver.
type Row = (&'static str, &'static str, fn(&Count) -> u64);

const COUNTERS: [Row; 4] = [
    ("samples", "Samples that a receiver took", |count| count.taken),
    ("rejected_samples", "Samples that a receiver refused; lost", |count| count.refused),
    ("dropped_samples", "Samples lost because the queue was full, or the disk failed", |count| count.dropped),
    ("failures", "Requests that a receiver did not take now; sent again", |count| count.failures),
];
const GAUGES: [Row; 1] = [("queue_samples", "Samples that wait to be sent", |count| count.waiting)];

struct Receivers(Counts);

impl fmt::Debug for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receivers")
    }
}

impl Collector for Receivers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let receivers: Vec<_> = self.0.receivers.iter().map(|receiver| (receiver.name(), receiver.count())).collect();
        for (name, help, value) in COUNTERS {
            let name = format!("mect_remote_write_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (receiver, count) in &receivers {
                ConstCounter::new(value(count)).encode(family.encode_family(&[("receiver", *receiver)])?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let name = format!("mect_remote_write_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (receiver, count) in &receivers {
                ConstGauge::new(value(count) as i64).encode(family.encode_family(&[("receiver", *receiver)])?)?;
            }
        }
        let help = "Disk that the queue takes";
        let name = "mect_remote_write_queue";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        for (receiver, count) in &receivers {
            ConstGauge::new(count.bytes as i64).encode(family.encode_family(&[("receiver", *receiver)])?)?;
        }
        let help = "Age of the oldest sample that waits to be sent";
        let name = "mect_remote_write_oldest";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (receiver, count) in &receivers {
            let age = count.oldest.map_or(0.0, |at| Timestamp::now().since(at).as_secs_f64());
            ConstGauge::new(age).encode(family.encode_family(&[("receiver", *receiver)])?)?;
        }
        let help = "Scrapes that were not sent to any receiver, because remote write could not keep up";
        let missed = encoder.encode_descriptor("mect_remote_write_missed_scrapes", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.missed.load(Ordering::Relaxed)).encode(missed)
    }
}

/// Registers what is known of receivers.
pub fn register_remote_write(registry: &mut Registry, counts: Counts) {
    registry.register_collector(Box::new(Receivers(counts)));
}
