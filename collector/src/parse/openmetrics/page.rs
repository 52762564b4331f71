//! A whole page of OpenMetrics.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::families::Families;
use super::labels::Pair;
use super::line::{EOF, Line, RawSample, line};
use super::metric::Metrics;
use super::role::Role;
use crate::parse::Limits;
use crate::parse::error::{ErrorKind, Fault, ParseError, error_at, not_utf8};
use crate::parse::family::{Exemplar, Page};
use crate::parse::kind::Kind;
use crate::parse::line::{Sample, SampleTime};
use crate::parse::lines::{Lines, PageLine};
use crate::parse::page::TYPICAL_LINE_BYTES;

/// Reads a page in the OpenMetrics text format, version 1.0. See the [module](super) for every rule.
///
/// # Errors
/// The page breaks a rule or a limit: where, and what was expected there. Nothing of it can be used then.
pub fn openmetrics<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Page<'a>, ParseError> {
    let page = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    let mut reader = Reader::new(bytes.len(), limits);
    let mut lines = Lines::new(page);
    for this in lines.by_ref() {
        if reader.read(this)? {
            return match lines.next() {
                Some(after) => Err(Fault::syntax(0, "nothing after \"# EOF\"").on(after.number, after.text)),
                None => reader.finish(),
            };
        }
    }
    Err(error_at(bytes, bytes.len(), ErrorKind::Truncated, "\"# EOF\" as the last line", None))
}

struct Reader<'a> {
    limits: Limits,
    families: Families<'a>,
    metrics: Metrics<'a>,
    samples: Vec<Sample<'a>>,
    exemplars: Vec<Exemplar<'a>>,
    /// Labels of the line that is being read.
    pairs: Vec<Pair<'a>>,
    scratch: Vec<Pair<'a>>,
}

impl<'a> Reader<'a> {
    fn new(page_bytes: usize, limits: &Limits) -> Self {
        Self {
            limits: *limits,
            families: Families::new(limits.families),
            metrics: Metrics::new(),
            samples: Vec::with_capacity(limits.samples.min(page_bytes / TYPICAL_LINE_BYTES)),
            exemplars: Vec::new(),
            pairs: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes a line; true when it is the last one.
    fn read(&mut self, this: PageLine<'a>) -> Result<bool, ParseError> {
        let here = |fault: Fault| fault.on(this.number, this.text);
        if this.text.len() > self.limits.line_bytes {
            return Err(here(Fault::limit(self.limits.line_bytes, "no line longer than the limit")));
        }
        if !this.is_ended && this.text != EOF {
            let (at, kind) = (this.text.len(), ErrorKind::Truncated);
            return Err(here(Fault { at, kind, expected: "\"# EOF\" at the end of the page" }));
        }
        match line(this.text, self.limits.labels, &mut self.pairs, &mut self.scratch).map_err(here)? {
            Line::Eof => return Ok(true),
            Line::Type { name, kind } => {
                self.turn_to(this, name)?;
                self.families.set_kind(kind).map_err(here)?;
            }
            Line::Help { name, text } => {
                self.turn_to(this, name)?;
                self.families.set_help(text).map_err(here)?;
            }
            Line::Unit { name, unit } => {
                self.turn_to(this, name)?;
                self.families.set_unit(unit).map_err(here)?;
            }
            Line::Sample(sample) => self.sample(this, sample)?,
        }
        Ok(false)
    }

    /// Makes the family of this name the current one.
    fn turn_to(&mut self, this: PageLine<'a>, name: Cow<'a, str>) -> Result<(), ParseError> {
        if self.families.is_other(&name) {
            self.finish_family()?;
            self.families.begin(this, name).map_err(|fault| fault.on(this.number, this.text))?;
            self.metrics.begin(Kind::Unknown);
        }
        Ok(())
    }

    fn finish_family(&mut self) -> Result<(), ParseError> {
        self.metrics.finish()?;
        self.families.check_names()
    }

    /// What a sample of this name is to the current family; `None` where it is none of its samples.
    fn role(&self, name: &str) -> Option<Role> {
        let family = self.families.current()?;
        Role::of(family.kind_or_default(), name.strip_prefix(&*family.name)?)
    }

    fn sample(&mut self, this: PageLine<'a>, sample: RawSample<'a>) -> Result<(), ParseError> {
        let here = |fault: Fault| fault.on(this.number, this.text);
        if self.samples.len() == self.limits.samples {
            return Err(here(Fault::limit(0, "no more samples than the limit")));
        }
        let role = match self.role(&sample.name) {
            Some(role) => role,
            None => {
                // Not of the family before: begins one that nothing describes.
                self.finish_family()?;
                self.families.begin(this, sample.name.clone()).map_err(here)?;
                Role::Value
            }
        };
        let position = self.families.all.len().saturating_sub(1);
        let Some(family) = self.families.all.last_mut() else { return Ok(()) };
        if !family.has_samples {
            family.has_samples = true;
            self.metrics.begin(family.kind_or_default());
        }
        if let Some(family) = self.families.current() {
            self.metrics.take(this, family, (role, &sample, &self.pairs), &self.samples)?;
        }
        let exemplar = sample.exemplar.map(|exemplar| {
            self.exemplars.push(Exemplar {
                labels: exemplar.labels,
                value: exemplar.value.value,
                timestamp_seconds: exemplar.timestamp.map(|timestamp| timestamp.value),
            });
            self.exemplars.len()
        });
        self.samples.push(Sample {
            name: sample.name,
            labels: sample.labels,
            value: sample.value.value,
            timestamp: sample.timestamp.map(|timestamp| SampleTime::Seconds(timestamp.value)),
            family: u32::try_from(position).unwrap_or(u32::MAX),
            exemplar: exemplar.and_then(|count| NonZeroU32::new(u32::try_from(count).ok()?)),
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Page<'a>, ParseError> {
        self.finish_family()?;
        Ok(Page { samples: self.samples, families: self.families.into_all(), exemplars: self.exemplars })
    }
}
