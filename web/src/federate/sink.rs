//! Where series go that are told: into an answer, or to whoever sends them on.

use mect_fleet::Timestamp;
use mect_fleet::collecting::SeriesLabel;

use super::origin::Origin;

/// What kind of series it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// As Prometheus says of all that it federates.
    Untyped,
}

/// Takes series.
pub(super) trait Sink {
    /// One sample of a series of that name and kind, with its own labels beside those of its origin.
    fn add(&mut self, series: (&str, Kind), origin: &Origin, labels: &[SeriesLabel<'_>], value: f64, at: Timestamp);
}
