//! The metrics of one family: what belongs together, in which order, and only once.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::decimal::Number;
use super::fingerprint::Fingerprints;
use super::labels::Pair;
use super::line::RawSample;
use super::point::Point;
use super::role::Role;
use crate::parse::error::{Fault, ParseError};
use crate::parse::family::Family;
use crate::parse::kind::Kind;
use crate::parse::line::{Sample, SampleTime};
use crate::parse::lines::PageLine;

/// The metrics of the family that is being read.
pub(super) struct Metrics<'a> {
    kind: Kind,
    /// Labels of the current metric, without the label that its kind reserves.
    group: Vec<Pair<'a>>,
    /// The last line of the current metric; `None` before the first.
    last: Option<PageLine<'a>>,
    /// Position of a sample of the current metric.
    example: usize,
    /// All metrics of the family, once it has more than one.
    known: Fingerprints,
    point: Point<'a>,
}

/// The label that tells samples of one metric of this kind apart.
fn reserved(kind: Kind, family: &str) -> Option<&str> {
    match kind {
        Kind::Histogram | Kind::GaugeHistogram => Some("le"),
        Kind::Summary => Some("quantile"),
        Kind::StateSet => Some(family),
        _ => None,
    }
}

/// The labels that make a metric: an empty one is as good as none.
fn of_metric<'s, 'a>(pairs: &'s [Pair<'a>], reserved: Option<&str>) -> impl Iterator<Item = &'s Pair<'a>> + Clone {
    pairs.iter().filter(move |pair| !pair.value.raw.is_empty() && reserved.is_none_or(|name| !pair.is_named(name)))
}

impl<'a> Metrics<'a> {
    pub(super) fn new() -> Self {
        Self {
            kind: Kind::Unknown,
            group: Vec::new(),
            last: None,
            example: 0,
            known: Fingerprints::new(),
            point: Point::default(),
        }
    }

    /// Begins another family.
    pub(super) fn begin(&mut self, kind: Kind) {
        self.kind = kind;
        self.last = None;
        self.known.clear();
    }

    /// Ends the family.
    pub(super) fn finish(&self) -> Result<(), ParseError> {
        let Some(last) = self.last else { return Ok(()) };
        self.point.finish(self.kind).map_err(|expected| {
            let end = last.text.len();
            Fault::syntax(end, expected).on(last.number, last.text)
        })
    }

    /// Takes the next sample, which has `pairs` for labels; `samples` are those before.
    pub(super) fn take(
        &mut self,
        line: PageLine<'a>,
        family: &Family<'a>,
        (role, sample, pairs): (Role, &RawSample<'a>, &[Pair<'a>]),
        samples: &[Sample<'a>],
    ) -> Result<(), ParseError> {
        let here = |fault: Fault| fault.on(line.number, line.text);
        let reserved = reserved(self.kind, &family.name);
        let own = reserved.and_then(|name| pairs.iter().find(|pair| pair.is_named(name)));
        if own.is_some() && !matches!(role, Role::Bucket | Role::Quantile | Role::State) {
            return Err(here(Fault::syntax(0, "no label \"le\" or \"quantile\" beside buckets and quantiles")));
        }
        if self.last.is_some() && self.is_current(pairs, reserved) {
            if self.is_later(sample).map_err(here)? {
                self.finish()?;
                self.point.begin(sample.timestamp);
            }
        } else {
            self.finish()?;
            self.enter(sample, pairs, reserved, samples).map_err(here)?;
        }
        self.last = Some(line);
        self.point.add(self.kind, role, sample, own.map(|pair| pair.value)).map_err(here)
    }

    fn is_current(&self, pairs: &[Pair<'a>], reserved: Option<&str>) -> bool {
        let mut expected = self.group.iter();
        for pair in of_metric(pairs, reserved) {
            match expected.next() {
                Some(known) if known.name.means(pair.name) => {
                    if !known.value.means(pair.value) {
                        return false;
                    }
                }
                // Another order, or another set.
                _ => {
                    return of_metric(pairs, reserved).count() == self.group.len()
                        && sorted(of_metric(pairs, reserved).map(Pair::decode))
                            == sorted(self.group.iter().map(Pair::decode));
                }
            }
        }
        expected.next().is_none()
    }

    /// True when the sample of the current metric begins its next point.
    fn is_later(&self, sample: &RawSample<'a>) -> Result<bool, Fault> {
        match (self.point.timestamp, sample.timestamp) {
            (None, None) => Ok(false),
            (Some(before), Some(now)) => match now.compare(before) {
                Some(Ordering::Equal) => Ok(false),
                Some(Ordering::Greater) => Ok(true),
                _ => Err(Fault::syntax(sample.timestamp_at, "timestamps that increase within a metric")),
            },
            _ => Err(Fault::syntax(sample.timestamp_at, "a timestamp on every sample of a metric, or on none")),
        }
    }

    /// Begins a metric, which must be new.
    fn enter(
        &mut self,
        sample: &RawSample<'a>,
        pairs: &[Pair<'a>],
        reserved: Option<&str>,
        samples: &[Sample<'a>],
    ) -> Result<(), Fault> {
        if self.last.is_some() {
            if self.known.is_empty() {
                let fingerprint = self.known.of(self.group.iter());
                self.known.known_or_keep(fingerprint, self.example, |_| true);
            }
            let has_same_labels =
                |position: usize| samples.get(position).is_some_and(|earlier| is_same(earlier, pairs, reserved));
            let fingerprint = self.known.of(of_metric(pairs, reserved));
            if let Some(earlier) = self.known.known_or_keep(fingerprint, samples.len(), has_same_labels) {
                // Labels of an info's metric and of its points look the same: only time tells that it is well.
                let is_later = samples.get(*earlier).is_some_and(|earlier| follows(sample.timestamp, earlier));
                if !(self.kind == Kind::Info && is_later) {
                    return Err(Fault::syntax(0, "the samples of a metric together, and each metric only once"));
                }
                *earlier = samples.len();
            }
        }
        self.group.clear();
        self.group.extend(of_metric(pairs, reserved));
        self.example = samples.len();
        self.point.begin(sample.timestamp);
        Ok(())
    }
}

/// True when a sample before has the labels of the metric with `pairs`.
fn is_same(earlier: &Sample<'_>, pairs: &[Pair<'_>], reserved: Option<&str>) -> bool {
    let labels = earlier.labels.iter().filter(|label| !label.value.is_empty());
    let labels = labels.filter(|label| reserved.is_none_or(|name| label.name != name));
    sorted(labels.map(|label| (label.name, label.value))) == sorted(of_metric(pairs, reserved).map(Pair::decode))
}

/// In an order of their own, to be compared with others.
fn sorted<'a>(labels: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    labels
}

fn follows(now: Option<Number<'_>>, earlier: &Sample<'_>) -> bool {
    matches!((now, earlier.timestamp), (Some(now), Some(SampleTime::Seconds(before))) if now.value > before)
}
