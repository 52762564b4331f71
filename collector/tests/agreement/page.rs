//! Valid pages, drawn at random, and what they mean.

use std::fmt::Write as _;

use mect_collector::parse::Format;

use crate::draw::Draw;

/// A page as it is meant.
pub(crate) struct Meant {
    pub(crate) families: Vec<MeantFamily>,
}

pub(crate) struct MeantFamily {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    help: Option<String>,
    unit: Option<&'static str>,
    pub(crate) samples: Vec<MeantSample>,
}

pub(crate) type MeantLabels = Vec<(String, String)>;

pub(crate) struct MeantSample {
    pub(crate) name: String,
    pub(crate) labels: MeantLabels,
    /// As it is written.
    pub(crate) value: String,
    /// As it is written.
    pub(crate) timestamp: Option<String>,
    pub(crate) exemplar: Option<(MeantLabels, String, Option<String>)>,
}

const TEXT_KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];
const OPEN_KINDS: [&str; 8] =
    ["counter", "gauge", "histogram", "summary", "unknown", "gaugehistogram", "info", "stateset"];
const VALUES: [&str; 12] =
    ["0", "1", "-1", "17.5", "1e3", "4.20072246e+06", "NaN", "+Inf", "-Inf", ".5", "007", "123456789012"];
const TOTALS: [&str; 7] = ["0", "1", "17.5", "1e3", "+Inf", ".5", "2."];
const TEXTS: [&str; 8] = ["", "x", "a b", "é€😀", "C:\\dir", "say \"hi\"", "two\nlines", "}{,=#"];
const LABELS: [&str; 5] = ["b", "method", "_under", "le2", "Z9"];
const THRESHOLDS: [&str; 6] = ["-1.0", "0.0", "0.001", "1.0", "2.5", "1e+06"];

/// What may stand on a page.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Range {
    /// All that the format allows.
    All,
    /// Without what Python cannot read, see the docs of `mect_collector::parse::openmetrics`.
    Python,
}

impl Meant {
    pub(crate) fn draw(draw: &mut Draw, format: Format, range: Range) -> Self {
        let count = draw.below(5);
        Self { families: (0..count).map(|number| MeantFamily::draw(draw, format, range, number)).collect() }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = (&MeantFamily, &MeantSample)> {
        self.families.iter().flat_map(|family| family.samples.iter().map(move |sample| (family, sample)))
    }

    /// The page.
    pub(crate) fn write(&self, format: Format) -> String {
        let mut page = String::new();
        for family in &self.families {
            let name = &family.name;
            writeln!(page, "# TYPE {name} {}", family.kind).unwrap();
            if let Some(unit) = family.unit {
                writeln!(page, "# UNIT {name} {unit}").unwrap();
            }
            if let Some(help) = &family.help {
                writeln!(page, "# HELP {name} {}", escape(help)).unwrap();
            }
            family.samples.iter().for_each(|sample| sample.write(&mut page));
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }
}

impl MeantFamily {
    fn draw(draw: &mut Draw, format: Format, range: Range, number: usize) -> Self {
        let is_open = format == Format::OpenMetrics;
        let kind = if is_open { draw.of(&OPEN_KINDS) } else { draw.of(&TEXT_KINDS) };
        let takes_unit = is_open && !matches!(kind, "info" | "stateset");
        let unit = (takes_unit && draw.one_in(3)).then_some("seconds");
        let mut name = format!("{}{number}", draw.of(&["a", "http:rule", "_x", "go_gc"]));
        if kind == "stateset" {
            // Also the name of a label.
            name = name.replace(':', "_");
        }
        unit.iter().for_each(|unit| write!(name, "_{unit}").unwrap());
        let help = draw.one_in(2).then(|| draw.of(&TEXTS).to_owned());
        let mut family = Self { name, kind, help, unit, samples: Vec::new() };
        for metric in 0..draw.below(4) {
            let labels = labels(draw, metric);
            for timestamp in timestamps(draw, is_open, range, kind) {
                family.point(draw, (is_open, range), &labels, timestamp.as_deref());
            }
        }
        family
    }

    /// One point of a metric.
    fn point(
        &mut self,
        draw: &mut Draw,
        (is_open, range): (bool, Range),
        labels: &MeantLabels,
        timestamp: Option<&str>,
    ) {
        let exemplar = |draw: &mut Draw, value: &str| exemplar(draw, is_open, range, value);
        let family = self.name.clone();
        let mut add = |suffix: &str, own: Option<(&str, &str)>, value: &str, exemplar| {
            let mut labels = labels.clone();
            labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let (name, timestamp) = (format!("{family}{suffix}"), timestamp.map(str::to_owned));
            self.samples.push(MeantSample { name, labels, value: value.to_owned(), timestamp, exemplar });
        };
        match self.kind {
            "counter" => {
                let exemplar = exemplar(draw, "1.0");
                add(if is_open { "_total" } else { "" }, None, draw.of(&TOTALS), exemplar);
                if is_open && draw.one_in(2) {
                    add("_created", None, "1520430000.123", None);
                }
            }
            "histogram" | "gaugehistogram" => {
                let mut count = 0;
                let mut lowest = None;
                for le in THRESHOLDS {
                    if draw.one_in(2) {
                        count += draw.below(3);
                        lowest = lowest.or(Some(le));
                        add("_bucket", Some(("le", le)), &count.to_string(), exemplar(draw, le));
                    }
                }
                count += draw.below(3);
                add("_bucket", Some(("le", "+Inf")), &count.to_string(), exemplar(draw, "9e9"));
                let is_negative = lowest == Some("-1.0");
                let is_gauge = self.kind == "gaugehistogram";
                let takes_sum = draw.one_in(2) && (is_gauge || !is_negative);
                if takes_sum || !is_open {
                    add(if is_gauge { "_gcount" } else { "_count" }, None, &format!("{count}.0"), None);
                    let sum = if is_negative { "-7.5" } else { "7.5" };
                    add(if is_gauge { "_gsum" } else { "_sum" }, None, sum, None);
                }
            }
            "summary" => {
                for quantile in ["0.0", "0.5", "0.99", "1"] {
                    if draw.one_in(2) {
                        add("", Some(("quantile", quantile)), draw.of(&["NaN", "0", "12.5"]), None);
                    }
                }
                add("_count", None, "17", None);
                add("_sum", None, draw.of(&TOTALS), None);
            }
            "info" => add("_info", None, "1", None),
            "stateset" => {
                for state in ["on", "off", "é"] {
                    add("", Some((&family, state)), draw.of(&["0", "1", "1.0"]), None);
                }
            }
            _ => add("", None, draw.of(&VALUES), None),
        }
    }
}

/// Labels that no other number gives.
fn labels(draw: &mut Draw, number: usize) -> MeantLabels {
    let mut labels = vec![("n".to_owned(), format!("{number}"))];
    for name in LABELS {
        if draw.one_in(4) {
            labels.insert(draw.below(labels.len() + 1), (name.to_owned(), draw.of(&TEXTS).to_owned()));
        }
    }
    labels
}

fn timestamps(draw: &mut Draw, is_open: bool, range: Range, kind: &str) -> Vec<Option<String>> {
    let is_python = range == Range::Python;
    if !draw.one_in(4) || (is_python && kind == "info") {
        return vec![None];
    }
    let all: &[&str] = match (is_open, is_python) {
        (false, _) => &["-5", "0", "1395066363000"],
        (true, true) => &["-2", "0", "123.25", "1520879607.789", "1600000000.9"],
        (true, false) => &["-1.5", "0", "123", "1520879607.789", "1.6e9"],
    };
    // In the text format a series has one sample.
    let has_many =
        is_open && !(is_python && matches!(kind, "histogram" | "gaugehistogram" | "summary" | "stateset" | "counter"));
    let many = if has_many { draw.below(3) + 1 } else { 1 };
    let start = draw.below(all.len());
    all[start..].iter().take(many).map(|timestamp| Some((*timestamp).to_owned())).collect()
}

fn exemplar(
    draw: &mut Draw,
    is_open: bool,
    range: Range,
    value: &str,
) -> Option<(MeantLabels, String, Option<String>)> {
    (is_open && draw.one_in(3)).then(|| {
        let texts = if range == Range::Python { &TEXTS[..7] } else { &TEXTS };
        let labels = if draw.one_in(3) { Vec::new() } else { vec![("trace_id".to_owned(), draw.of(texts).to_owned())] };
        (labels, value.to_owned(), draw.one_in(2).then(|| "1520879607.789".to_owned()))
    })
}

impl MeantSample {
    fn write(&self, page: &mut String) {
        page.push_str(&self.name);
        if !self.labels.is_empty() {
            page.push_str(&write_labels(&self.labels));
        }
        write!(page, " {}", self.value).unwrap();
        self.timestamp.iter().for_each(|timestamp| write!(page, " {timestamp}").unwrap());
        if let Some((labels, value, timestamp)) = &self.exemplar {
            write!(page, " # {} {value}", write_labels(labels)).unwrap();
            timestamp.iter().for_each(|timestamp| write!(page, " {timestamp}").unwrap());
        }
        page.push('\n');
    }
}

fn write_labels(labels: &MeantLabels) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", labels.join(","))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
