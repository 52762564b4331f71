//! The parser of Prometheus' Python client, asked for many pages at once.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use mect_collector::parse::{Format, Page, Sample, SampleTime};
use serde::Deserialize;

/// What it says of a page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Samples(Vec<Theirs>),
    Error(String),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Theirs {
    name: String,
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: Option<String>,
    exemplar: Option<TheirExemplar>,
}

#[derive(Debug, Deserialize)]
struct TheirExemplar {
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: Option<String>,
}

/// Reads all pages.
pub(crate) fn read(format: Format, pages: &[String]) -> Vec<Answer> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement/read.py");
    // Debian's package, whatever other Python comes first.
    let mut child = Command::new("/usr/bin/python3")
        .args([script, &format.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3 cannot be started ({error}); install it: apt-get install python3"));
    let mut input = child.stdin.take().unwrap();
    let lines: String = pages.iter().map(|page| serde_json::to_string(page).unwrap() + "\n").collect();
    // A thread of its own: it answers before it has read all.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let answers: Vec<Answer> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), pages.len(), "python3-prometheus-client is needed: apt-get install it");
    writer.join().unwrap().unwrap();
    answers
}

impl Theirs {
    /// True when a sample of ours says the same.
    pub(crate) fn is(&self, format: Format, page: &Page<'_>, sample: &Sample<'_>) -> bool {
        let timestamp = sample.timestamp.map(|timestamp| match timestamp {
            SampleTime::Milliseconds(milliseconds) => milliseconds as f64 / 1000.0,
            SampleTime::Seconds(seconds) => seconds,
        });
        let exemplar = match (page.exemplar_of(sample), &self.exemplar) {
            (Some(ours), Some(theirs)) => {
                let labels: BTreeMap<_, _> =
                    ours.labels.iter().map(|label| (label.name.into_owned(), label.value.into_owned())).collect();
                let is_same_time = ours.timestamp_seconds.is_none() == theirs.timestamp.is_none()
                    && ours.timestamp_seconds.zip(theirs.timestamp.as_deref()).is_none_or(|(a, b)| near(a, b));
                labels == theirs.labels && same(ours.value, &theirs.value) && is_same_time
            }
            (ours, theirs) => ours.is_none() == theirs.is_none(),
        };
        // In the text format it renames counters as OpenMetrics would have them, where their lines stand together.
        let may_be_renamed = format == Format::Text;
        (sample.name == self.name || (may_be_renamed && format!("{}_total", sample.name) == self.name))
            && crate::labels(sample) == self.labels
            && same(sample.value, &self.value)
            && timestamp.is_none() == self.timestamp.is_none()
            && timestamp.zip(self.timestamp.as_deref()).is_none_or(|(ours, theirs)| near(ours, theirs))
            && exemplar
    }
}

fn same(ours: f64, theirs: &str) -> bool {
    let theirs: f64 = theirs.parse().unwrap();
    ours == theirs || (ours.is_nan() && theirs.is_nan())
}

/// It keeps nanoseconds and makes a float of them again.
fn near(ours: f64, theirs: &str) -> bool {
    let theirs: f64 = theirs.parse().unwrap();
    (ours - theirs).abs() <= ours.abs() * 1e-12 + 1e-9
}
