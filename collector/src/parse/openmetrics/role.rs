//! What a sample is to its metric, and what its value may be.

use super::line::RawSample;
use crate::parse::error::Fault;
use crate::parse::kind::Kind;

/// The part of a metric that a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The only value of a gauge or an unknown metric.
    Value,
    Total,
    Created,
    Sum,
    Count,
    Bucket,
    Quantile,
    State,
    Info,
}

impl Role {
    /// The role of a sample whose name adds `suffix` to its family's; `None` where the kind has no such sample.
    pub(super) fn of(kind: Kind, suffix: &str) -> Option<Self> {
        use Kind as K;
        Some(match (kind, suffix) {
            (K::Gauge | K::Unknown | K::Untyped, "") => Self::Value,
            (K::Counter, "_total") => Self::Total,
            (K::Counter | K::Histogram | K::Summary, "_created") => Self::Created,
            (K::Histogram | K::Summary, "_sum") | (K::GaugeHistogram, "_gsum") => Self::Sum,
            (K::Histogram | K::Summary, "_count") | (K::GaugeHistogram, "_gcount") => Self::Count,
            (K::Histogram | K::GaugeHistogram, "_bucket") => Self::Bucket,
            (K::Summary, "") => Self::Quantile,
            (K::StateSet, "") => Self::State,
            (K::Info, "_info") => Self::Info,
            _ => return None,
        })
    }

    /// One bit, for the roles that a metric point has at most once.
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Value | Self::Info => 1,
            Self::Total => 2,
            Self::Created => 4,
            Self::Sum => 8,
            Self::Count => 16,
            Self::Bucket | Self::Quantile | Self::State => 0,
        }
    }

    /// Checks the value.
    pub(super) fn check_value(self, kind: Kind, sample: &RawSample<'_>) -> Result<(), Fault> {
        let value = sample.value.value;
        let (is_allowed, expected) = match self {
            Self::Value => return Ok(()),
            Self::Total => (value >= 0.0, "a total that is neither negative nor NaN"),
            Self::Created => (value.is_finite(), "a time in seconds"),
            Self::Sum if kind == Kind::GaugeHistogram => (!value.is_nan(), "a sum that is not NaN"),
            Self::Sum => (value >= 0.0, "a sum that is neither negative nor NaN"),
            Self::Count => (value >= 0.0 && sample.value.is_integer(), "a count: a whole number, not negative"),
            Self::Bucket => {
                (value >= 0.0 && sample.value.is_integer(), "a bucket's count: a whole number, not negative")
            }
            // NaN says that there were no events.
            Self::Quantile => (value >= 0.0 || value.is_nan(), "a quantile's value that is not negative"),
            Self::State => (value == 0.0 || value == 1.0, "0 or 1 as the value of a state"),
            Self::Info => (value == 1.0, "1 as the value of an info"),
        };
        if is_allowed { Ok(()) } else { Err(Fault::syntax(sample.value_at, expected)) }
    }
}
