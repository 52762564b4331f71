//! A whole page in the text format: lines, what they must not do to each other, and limits.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Limits;
use super::error::{ErrorKind, Fault, ParseError, not_utf8};
use super::family::{Family, Page};
use super::kind::Format;
use super::line::{Line, Sample, line};
use super::lines::Lines;

/// Bytes per sample line that one table allocation reckons with; shorter lines let it grow.
pub(super) const TYPICAL_LINE_BYTES: usize = 64;

/// Reads a page in the Prometheus text format, version 0.0.4. See the [module](super) for every rule.
///
/// # Errors
/// The page breaks a rule or a limit: where, and what was expected there. Nothing of it can be used then.
pub fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Page<'a>, ParseError> {
    let page = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    let mut builder = Builder::new(bytes.len(), limits);
    let mut seen = Vec::new();
    for this in Lines::new(page) {
        let read = if this.text.len() > limits.line_bytes {
            Err(Fault::limit(limits.line_bytes, "no line longer than the limit"))
        } else if !this.is_ended {
            let expected = "a line feed at the end of the page";
            Err(Fault { at: this.text.len(), kind: ErrorKind::Truncated, expected })
        } else {
            line(this.text, limits.labels, &mut seen).and_then(|line| builder.add(line))
        };
        read.map_err(|fault| fault.on(this.number, this.text))?;
    }
    Ok(Page { samples: builder.samples, families: builder.families, exemplars: Vec::new() })
}

/// Joins lines to families.
struct Builder<'a> {
    limits: Limits,
    samples: Vec<Sample<'a>>,
    families: Vec<Family<'a>>,
    by_name: HashMap<Cow<'a, str>, usize>,
    /// The family of the line before: nearly always the family of this one, too.
    current: usize,
}

impl<'a> Builder<'a> {
    fn new(page_bytes: usize, limits: &Limits) -> Self {
        let samples = Vec::with_capacity(limits.samples.min(page_bytes / TYPICAL_LINE_BYTES));
        Self { limits: *limits, samples, families: Vec::new(), by_name: HashMap::new(), current: 0 }
    }

    fn add(&mut self, line: Line<'a>) -> Result<(), Fault> {
        match line {
            Line::Empty => Ok(()),
            Line::Help { at, name, text } => {
                let family = self.declared(at, name)?;
                if family.raw_help.replace(text).is_some() {
                    return Err(Fault::syntax(at, "only one HELP line for a metric name"));
                }
                Ok(())
            }
            Line::Type { at, name, kind } => {
                let family = self.declared(at, name)?;
                if family.has_samples {
                    return Err(Fault::syntax(at, "the TYPE line before the samples of its metric"));
                }
                if family.kind.replace(kind).is_some() {
                    return Err(Fault::syntax(at, "only one TYPE line for a metric name"));
                }
                Ok(())
            }
            Line::Sample(sample) => self.sample(sample),
        }
    }

    /// The family that a `HELP` or `TYPE` line names: exactly that name, whatever other families' suffixes say.
    fn declared(&mut self, at: usize, name: Cow<'a, str>) -> Result<&mut Family<'a>, Fault> {
        let is_current = self.families.get(self.current).is_some_and(|family| family.name == name);
        if !is_current {
            self.current = match self.by_name.get(&name) {
                Some(known) => *known,
                None => self.new_family(at, name)?,
            };
        }
        self.families.get_mut(self.current).ok_or(Fault::limit(at, "a known family"))
    }

    fn sample(&mut self, mut sample: Sample<'a>) -> Result<(), Fault> {
        if self.samples.len() == self.limits.samples {
            return Err(Fault::limit(0, "no more samples than the limit"));
        }
        if !self.families.get(self.current).is_some_and(|family| family.owns(&sample.name)) {
            self.current = match self.family_of(&sample.name) {
                Some(known) => known,
                None => self.new_family(0, sample.name.clone())?,
            };
        }
        if let Some(family) = self.families.get_mut(self.current) {
            family.has_samples = true;
        }
        sample.family = u32::try_from(self.current).unwrap_or(u32::MAX);
        self.samples.push(sample);
        Ok(())
    }

    /// The family that the series belongs to: the one of its very name, else a summary or histogram that has it.
    fn family_of(&self, series: &str) -> Option<usize> {
        if let Some(exact) = self.by_name.get(series) {
            return Some(*exact);
        }
        let (base, _) = series.rsplit_once('_')?;
        self.by_name.get(base).copied().filter(|known| self.families.get(*known).is_some_and(|f| f.owns(series)))
    }

    fn new_family(&mut self, at: usize, name: Cow<'a, str>) -> Result<usize, Fault> {
        let index = self.families.len();
        if index == self.limits.families {
            return Err(Fault::limit(at, "no more metric families than the limit"));
        }
        self.by_name.insert(name.clone(), index);
        self.families.push(Family::new(name, Format::Text));
        Ok(index)
    }
}
