//! The kinds of metric families, and the names that their samples have in each format.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The kind of a metric family, from its `TYPE` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Only grows, or starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Series `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Quantiles, and the series `_sum` and `_count`.
    Summary,
    /// Declared `untyped`, or not declared. Text format only.
    #[default]
    Untyped,
    /// A histogram of what is there now: series `_bucket`, `_gsum` and `_gcount`. OpenMetrics only.
    GaugeHistogram,
    /// Text in labels; the value of the series `_info` is 1. OpenMetrics only.
    Info,
    /// Named states, each true (1) or false (0). OpenMetrics only.
    StateSet,
    /// Declared `unknown`, or not declared. OpenMetrics only.
    Unknown,
}

/// Which of the two formats a page is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0 as text.
    OpenMetrics,
}

/// A name of no format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not allowed; give text or openmetrics")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "text" => Ok(Self::Text),
            "openmetrics" => Ok(Self::OpenMetrics),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::OpenMetrics => "openmetrics",
        })
    }
}

impl Kind {
    /// The kind that a `TYPE` line of the text format names.
    pub(super) fn of_text(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "untyped" => Self::Untyped,
            _ => return None,
        })
    }

    /// The kind that a `TYPE` line of OpenMetrics names.
    pub(super) fn of_openmetrics(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "gaugehistogram" => Self::GaugeHistogram,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" => Self::Unknown,
            "untyped" => return None,
            other => return Self::of_text(other),
        })
    }

    /// The word for it in a `TYPE` line.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// What the names of its samples add to the family's name; an empty suffix is the name itself.
    pub(super) const fn suffixes(self, format: Format) -> &'static [&'static str] {
        match (format, self) {
            (Format::Text, Self::Histogram) => &["", "_bucket", "_sum", "_count"],
            (Format::Text, Self::Summary) => &["", "_sum", "_count"],
            (Format::Text, _) => &[""],
            (Format::OpenMetrics, Self::Counter) => &["_total", "_created"],
            (Format::OpenMetrics, Self::Histogram) => &["_bucket", "_count", "_sum", "_created"],
            (Format::OpenMetrics, Self::GaugeHistogram) => &["_bucket", "_gcount", "_gsum"],
            (Format::OpenMetrics, Self::Summary) => &["", "_count", "_sum", "_created"],
            (Format::OpenMetrics, Self::Info) => &["_info"],
            (Format::OpenMetrics, Self::Gauge | Self::StateSet | Self::Unknown | Self::Untyped) => &[""],
        }
    }
}
