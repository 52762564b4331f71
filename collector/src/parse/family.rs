//! Metric families and whole pages: what both formats are read into.

use std::borrow::Cow;

use super::kind::{Format, Kind};
use super::labels::Labels;
use super::line::Sample;
use super::quoted::unescape;

/// A metric family: the series that one `TYPE` line speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    /// The name in the `TYPE`, `UNIT` or `HELP` line, else the name of the samples.
    pub name: Cow<'a, str>,
    /// The declared kind; `None` without a `TYPE` line.
    pub kind: Option<Kind>,
    /// The unit, which is also the name's last part; `None` without a `UNIT` line, or where it is empty.
    pub unit: Option<&'a str>,
    pub(super) format: Format,
    pub(super) raw_help: Option<&'a str>,
    pub(super) has_samples: bool,
}

impl<'a> Family<'a> {
    pub(super) const fn new(name: Cow<'a, str>, format: Format) -> Self {
        Self { name, kind: None, unit: None, format, raw_help: None, has_samples: false }
    }

    /// The HELP text, decoded; `None` without a `HELP` line.
    pub fn help(&self) -> Option<Cow<'a, str>> {
        // Only OpenMetrics escapes quotes there.
        self.raw_help.map(|raw| unescape(raw, self.format == Format::OpenMetrics))
    }

    /// The kind, or that of a family without a `TYPE` line.
    pub fn kind_or_default(&self) -> Kind {
        self.kind.unwrap_or(match self.format {
            Format::Text => Kind::Untyped,
            Format::OpenMetrics => Kind::Unknown,
        })
    }

    pub(super) fn suffixes(&self) -> &'static [&'static str] {
        self.kind_or_default().suffixes(self.format)
    }

    pub(super) fn owns(&self, series: &str) -> bool {
        let is_ours = |suffix: &str| match suffix {
            // Asked apart: comparing nothing with nothing is slow where a processor has masked loads.
            "" => self.suffixes().iter().any(|ours| ours.is_empty()),
            _ => self.suffixes().contains(&suffix),
        };
        series.strip_prefix(&*self.name).is_some_and(is_ours)
    }
}

/// A reference from a sample to data outside, such as a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar<'a> {
    /// Its own labels, often a trace's id.
    pub labels: Labels<'a>,
    /// Its value.
    pub value: f64,
    /// When it was seen, in seconds since the epoch.
    pub timestamp_seconds: Option<f64>,
}

/// A valid page. It borrows from the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<'a> {
    pub(super) samples: Vec<Sample<'a>>,
    pub(super) families: Vec<Family<'a>>,
    pub(super) exemplars: Vec<Exemplar<'a>>,
}

impl<'a> Page<'a> {
    /// The samples in page order.
    pub fn samples(&self) -> &[Sample<'a>] {
        &self.samples
    }

    /// The families in the order in which the page first names them; some may have no samples.
    pub fn families(&self) -> &[Family<'a>] {
        &self.families
    }

    /// The family of a sample of this page; `None` for a sample of another one.
    pub fn family_of(&self, sample: &Sample<'_>) -> Option<&Family<'a>> {
        self.families.get(usize::try_from(sample.family).ok()?).filter(|family| family.owns(&sample.name))
    }

    /// The exemplar of a sample of this page, if it has one.
    pub fn exemplar_of(&self, sample: &Sample<'_>) -> Option<&Exemplar<'a>> {
        self.exemplars.get(usize::try_from(sample.exemplar?.get()).ok()?.checked_sub(1)?)
    }
}
