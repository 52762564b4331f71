//! A whole page: lines, what they must not do to each other, and limits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::Utf8Error;

use super::Limits;
use super::error::{ErrorKind, Fault, ParseError};
use super::line::{Line, Sample, line};
use super::quoted::unescape;

/// Bytes per sample line that one table allocation reckons with; shorter lines let it grow.
const TYPICAL_LINE_BYTES: usize = 64;

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
    /// Declared `untyped`, or not declared.
    #[default]
    Untyped,
}

impl Kind {
    pub(super) fn from_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "untyped" => Self::Untyped,
            _ => return None,
        })
    }

    /// The series that the kind adds to its family's own name.
    const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Summary => &["_sum", "_count"],
            Self::Counter | Self::Gauge | Self::Untyped => &[],
        }
    }
}

/// A metric family: the series that one `TYPE` line speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    /// The name in the `TYPE` or `HELP` line, else the name of the samples.
    pub name: Cow<'a, str>,
    /// The declared kind; `None` without a `TYPE` line.
    pub kind: Option<Kind>,
    raw_help: Option<&'a str>,
    has_samples: bool,
}

impl<'a> Family<'a> {
    /// The HELP text, decoded; `None` without a `HELP` line.
    pub fn help(&self) -> Option<Cow<'a, str>> {
        self.raw_help.map(|raw| unescape(raw, false))
    }

    fn owns(&self, series: &str) -> bool {
        match series.strip_prefix(&*self.name) {
            Some("") => true,
            Some(suffix) => self.kind.unwrap_or_default().suffixes().contains(&suffix),
            None => false,
        }
    }
}

/// A valid page. It borrows from the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<'a> {
    samples: Vec<Sample<'a>>,
    families: Vec<Family<'a>>,
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
}

/// Reads a page in the Prometheus text format, version 0.0.4. See the [module](super) for every rule.
///
/// # Errors
/// The page breaks a rule or a limit: where, and what was expected there. Nothing of it can be used then.
pub fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Page<'a>, ParseError> {
    let page = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(error_at(bytes, at, ErrorKind::Syntax, "text without NUL bytes", Some('\0')));
    }
    let mut builder = Builder::new(bytes.len(), limits);
    let mut seen = Vec::new();
    let mut number = 0u32;
    let mut rest = page;
    while !rest.is_empty() {
        number = number.saturating_add(1);
        let end = memchr::memchr(b'\n', rest.as_bytes());
        let (this, behind) = match end {
            Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
            None => (rest, ""),
        };
        let fault = if this.len() > limits.line_bytes {
            Err(Fault::limit(limits.line_bytes, "no line longer than the limit"))
        } else if end.is_none() {
            Err(Fault { at: this.len(), kind: ErrorKind::Truncated, expected: "a line feed at the end of the page" })
        } else {
            line(this, limits.labels, &mut seen).and_then(|line| builder.add(line))
        };
        fault.map_err(|fault| fault.on(number, this))?;
        rest = behind;
    }
    Ok(Page { samples: builder.samples, families: builder.families })
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
        self.families.push(Family { name, kind: None, raw_help: None, has_samples: false });
        Ok(index)
    }
}

/// The error for bytes that are not UTF-8. A page that ends inside a character was cut, not miswritten.
fn not_utf8(bytes: &[u8], error: Utf8Error) -> ParseError {
    match error.error_len() {
        Some(_) => error_at(bytes, error.valid_up_to(), ErrorKind::Utf8, "UTF-8", None),
        None => error_at(bytes, bytes.len(), ErrorKind::Truncated, "a line feed at the end of the page", None),
    }
}

/// The error at a byte of the page, for checks that do not go by lines.
fn error_at(bytes: &[u8], at: usize, kind: ErrorKind, expected: &'static str, found: Option<char>) -> ParseError {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |line_feed| line_feed + 1);
    let line = memchr::memchr_iter(b'\n', before).count();
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    ParseError { line: from_one(line), column: from_one(before.len() - line_start), kind, expected, found }
}
