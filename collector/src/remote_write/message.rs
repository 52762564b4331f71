//! The messages of remote write, as far as we send them, written by hand after the specification
//! (prometheus.io/docs/specs/prw, versions 1.0 and 2.0).

use prost::Message;

/// `prometheus.WriteRequest` of version 1.0.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestOne {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<SeriesOne>,
}

/// `prometheus.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SeriesOne {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
}

/// `prometheus.Label`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `prometheus.Sample`, and `io.prometheus.write.v2.Sample`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

/// `io.prometheus.write.v2.Request`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestTwo {
    /// Every text once. The first is empty.
    #[prost(string, repeated, tag = "4")]
    pub(super) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) series: Vec<SeriesTwo>,
}

/// `io.prometheus.write.v2.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SeriesTwo {
    /// Places in the symbols: name, value, name, value, …
    #[prost(uint32, repeated, tag = "1")]
    pub(super) label_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, optional, tag = "5")]
    pub(super) metadata: Option<Metadata>,
}

/// `io.prometheus.write.v2.Metadata`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Metadata {
    /// One of [`UNSPECIFIED`] and [`GAUGE`].
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
}

/// Of `Metadata.MetricType`.
pub(super) const UNSPECIFIED: i32 = 0;
/// Of `Metadata.MetricType`.
pub(super) const GAUGE: i32 = 2;
