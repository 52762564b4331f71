//! The exposition page: text format 0.0.4, as Prometheus' "Exposition formats" document defines it.
//!
//! Samplers name a family once and add samples; this file alone knows how a line looks. It knows
//! nothing about where values come from.

use std::fmt::Write;

/// First allocation for a page; a page of a 2-core host has about 10 KiB.
const TYPICAL_PAGE_BYTES: usize = 16 * 1024;

/// Type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, but for a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// node_exporter does not say.
    Untyped,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// Value of a sample. Integers are written in full: a float would round above 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count or a size.
    Integer(u64),
    /// A measured number.
    Float(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(u64::from(value))
    }
}

/// A place in the page to come back to, see [`Page::rewind`].
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self { text: String::with_capacity(TYPICAL_PAGE_BYTES) }
    }

    /// Starts a family. All samples of one family must be added before the next family starts: the
    /// format wants them together. A family without samples leaves no trace.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family { page: self, name, kind, help, announced: false }
    }

    /// Adds a counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: impl Into<Value>) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// Adds a gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Into<Value>) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// The present end of the page.
    pub fn mark(&self) -> Mark {
        Mark(self.text.len())
    }

    /// Removes all that was added since `mark`: a sampler that fails half-way leaves nothing behind.
    pub fn rewind(&mut self, mark: Mark) {
        self.text.truncate(mark.0);
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The page's text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A family that takes samples.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    announced: bool,
}

impl Family<'_> {
    /// Adds a sample. Label values may hold any text; label names are ours.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        if !self.announced {
            self.announced = true;
            self.announce();
        }
        let text = &mut self.page.text;
        text.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        text.push(' ');
        write_value(text, value.into());
        text.push('\n');
    }

    fn announce(&mut self) {
        let text = &mut self.page.text;
        for part in ["# HELP ", self.name, " "] {
            text.push_str(part);
        }
        escape(text, self.help, false);
        for part in ["\n# TYPE ", self.name, " ", self.kind.name(), "\n"] {
            text.push_str(part);
        }
    }
}

/// HELP text escapes `\` and newline, label values also `"`.
fn escape(out: &mut String, value: &str, quotes: bool) {
    let mut rest = value;
    while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (quotes && c == '"')) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
}

fn write_value(out: &mut String, value: Value) {
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Integer(value) => write!(out, "{value}"),
        Value::Float(value) if value == f64::INFINITY => write!(out, "+Inf"),
        Value::Float(value) if value == f64::NEG_INFINITY => write!(out, "-Inf"),
        Value::Float(value) => write!(out, "{value}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(labels: &[(&str, &str)], value: impl Into<Value>) -> String {
        let mut page = Page::new();
        page.family("m", Kind::Gauge, "h").sample(labels, value);
        page.into_text().lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_family_is_announced_once_and_only_with_samples() {
        let mut page = Page::new();
        page.family("empty", Kind::Counter, "Nothing.");
        let mut family = page.family("some_total", Kind::Counter, "Two\nlines \\ \"quoted\".");
        family.sample(&[("a", "1")], 1u64);
        family.sample(&[("a", "2"), ("b", "x")], 2.5);
        assert_eq!(
            page.into_text(),
            "# HELP some_total Two\\nlines \\\\ \"quoted\".\n# TYPE some_total counter\n\
             some_total{a=\"1\"} 1\nsome_total{a=\"2\",b=\"x\"} 2.5\n"
        );
    }

    #[test]
    fn hostile_label_values_stay_inside_their_quotes() {
        assert_eq!(one(&[("l", "a\"} 1\nevil 2\\")], 0u64), r#"m{l="a\"} 1\nevil 2\\"} 0"#);
        assert_eq!(one(&[("l", "ключ 🔑")], 0u64), "m{l=\"ключ 🔑\"} 0");
    }

    #[test]
    fn numbers_follow_the_format() {
        assert_eq!(one(&[], u64::MAX), "m 18446744073709551615");
        assert_eq!(one(&[], f64::INFINITY), "m +Inf");
        assert_eq!(one(&[], f64::NEG_INFINITY), "m -Inf");
        assert_eq!(one(&[], f64::NAN), "m NaN");
        assert_eq!(one(&[], 629.24), "m 629.24");
        assert_eq!(one(&[], true), "m 1");
    }

    #[test]
    fn rewinding_removes_the_half_written_part() {
        let mut page = Page::new();
        page.gauge("kept", "Kept.", 1u64);
        let mark = page.mark();
        page.gauge("lost", "Lost.", 2u64);
        page.rewind(mark);
        assert!(!page.into_text().contains("lost"));
    }
}
