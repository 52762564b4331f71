//! A finished page: the parts that were asked for, in the format that was asked for.
//!
//! Pages are written in the text format 0.0.4 and turned into OpenMetrics 1.0 from there: the two differ in
//! few places, all at the start of a line, and most scrapes want one of them only. `prometheus-client` would
//! need every family registered before it is known, and writes OpenMetrics alone.

use std::fmt::Write;

/// A format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Base units that OpenMetrics names, as a family's name ends with them.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// A finished page.
#[derive(Debug, Clone)]
pub struct Exposition {
    text: String,
    /// Each sampler's name, and where its part ends.
    parts: Vec<(&'static str, usize)>,
}

impl Exposition {
    /// A page of these parts, in order.
    pub fn new(text: String, parts: Vec<(&'static str, usize)>) -> Self {
        Self { text, parts }
    }

    /// The whole page in the text format.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parts that `wanted` accepts.
    pub fn select(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut selected = String::new();
        let mut start = 0;
        for (sampler, end) in &self.parts {
            if wanted(sampler) {
                selected.push_str(self.text.get(start..*end).unwrap_or_default());
            }
            start = *end;
        }
        selected
    }
}

/// Turns a page of [`Page`](crate::page::Page) into OpenMetrics 1.0.
///
/// Counters are called without `_total` in their head, types that nobody knows are `unknown` rather than
/// `untyped`, quotes in HELP texts are escaped, units are named, and the page has an end.
pub fn to_open_metrics(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + text.len() / 4);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            page.push_str(line);
            page.push('\n');
            continue;
        };
        // HELP and TYPE always stand together.
        let kind = lines.next_if(|line| line.starts_with("# TYPE ")).and_then(|line| line.rsplit(' ').next());
        let family = if kind == Some("counter") { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let kind = kind.filter(|kind| *kind != "untyped").unwrap_or("unknown");
        // Writing to a String cannot fail.
        let _ = writeln!(page, "# HELP {family} {}", help.replace('"', "\\\""));
        let _ = writeln!(page, "# TYPE {family} {kind}");
        let unit = UNITS.iter().find(|unit| family.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_')));
        if let Some(unit) = unit {
            let _ = writeln!(page, "# UNIT {family} {unit}");
        }
    }
    page.push_str("# EOF\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Kind, Page};

    #[test]
    fn parts_are_selected_by_sampler() {
        let page = Exposition::new("aabbbc".into(), vec![("a", 2), ("b", 5), ("c", 6)]);
        assert_eq!(page.select(|part| part != "b"), "aac");
        assert_eq!(page.select(|_| true), page.text());
    }

    #[test]
    fn the_formats_differ_where_they_must() {
        let mut page = Page::new();
        page.counter("a_seconds_total", "Says \"a\".", 1.5);
        page.family("b", Kind::Untyped, "B.").sample(&[("l", "# HELP x \"")], 2u64);
        page.gauge("c_bytes", "C.", f64::INFINITY);
        page.gauge("bytes", "No unit.", 1u64);
        let expected = "# HELP a_seconds Says \\\"a\\\".\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1.5\n\
            # HELP b B.\n# TYPE b unknown\nb{l=\"# HELP x \\\"\"} 2\n\
            # HELP c_bytes C.\n# TYPE c_bytes gauge\n# UNIT c_bytes bytes\nc_bytes +Inf\n\
            # HELP bytes No unit.\n# TYPE bytes gauge\nbytes 1\n# EOF\n";
        assert_eq!(to_open_metrics(&page.into_text()), expected);
    }
}
