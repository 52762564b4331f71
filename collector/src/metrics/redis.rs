//! How the way to Redis fares, looked up when `/metrics` is read.

use std::fmt;
use std::sync::Arc;

use mect_fleet::redis::Link;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

struct Redis(Arc<Link>);

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Collector for Redis {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "1 when Redis answered the last call";
        let up = encoder.encode_descriptor("mect_redis_up", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.0.is_up())).encode(up)?;
        let help = "Calls that Redis did not answer, or refused";
        let errors = encoder.encode_descriptor("mect_redis_errors", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.errors()).encode(errors)?;
        let help = "Messages on Redis that were not believed";
        let refused = encoder.encode_descriptor("mect_redis_messages_refused", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.refused()).encode(refused)
    }
}

/// Registers what is known of the way to Redis.
pub fn register_redis(registry: &mut Registry, link: Arc<Link>) {
    registry.register_collector(Box::new(Redis(link)));
}
