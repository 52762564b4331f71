//! Prints the samples of a page from a file or the standard input, a JSON object a line.

use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::parse::{self, Exemplar, Format, Labels, Limits, Page, Sample, SampleTime};

/// A page of this size is no page.
const MAX_PAGE_BYTES: u64 = 1024 * 1024 * 1024;
/// Whoever asks for a page by hand wants to see it, however much it holds. A label set is looked through once for every
/// label in it, so that it stays bounded.
const LIMITS: Limits =
    Limits { samples: usize::MAX, families: usize::MAX, labels: 8192, line_bytes: MAX_PAGE_BYTES as usize };
/// The name of the standard input.
const STDIN: &str = "-";
/// The last line of a page in OpenMetrics, and of no other.
const EOF: &[u8] = b"# EOF";

/// Reads the page in `file`, or on the standard input for `-`, and prints its samples. Without a `format` the page is
/// OpenMetrics when its last line is `# EOF`, as every page in OpenMetrics must end, else in the text format.
///
/// # Errors
/// The page cannot be read, or breaks a rule of its format: nothing is printed then.
pub fn print(file: &Path, format: Option<Format>, out: impl Write) -> anyhow::Result<()> {
    let bytes = read(file)?;
    let format = format.unwrap_or_else(|| format_of(&bytes));
    let page = parse::page(&bytes, format, &LIMITS)?;
    let mut out = BufWriter::new(out);
    for sample in page.samples() {
        serde_json::to_writer(&mut out, &Shown { page: &page, sample })?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == STDIN {
        std::io::stdin().take(MAX_PAGE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_PAGE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    if bytes.len() as u64 > MAX_PAGE_BYTES {
        bail!("{} is larger than {MAX_PAGE_BYTES} bytes", file.display());
    }
    Ok(bytes)
}

fn format_of(page: &[u8]) -> Format {
    let page = page.strip_suffix(b"\n").unwrap_or(page);
    let is_last_line = page.strip_suffix(EOF).is_some_and(|before| before.is_empty() || before.ends_with(b"\n"));
    if is_last_line { Format::OpenMetrics } else { Format::Text }
}

/// A sample as it is shown.
struct Shown<'p, 'a> {
    page: &'p Page<'a>,
    sample: &'p Sample<'a>,
}

impl Serialize for Shown<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { page, sample } = self;
        let kind = page.family_of(sample).map(|family| family.kind_or_default().keyword());
        let mut shown = serializer.serialize_map(None)?;
        shown.serialize_entry("name", &sample.name)?;
        shown.serialize_entry("labels", &ShownLabels(sample.labels))?;
        shown.serialize_entry("value", &ShownNumber(sample.value))?;
        if let Some(timestamp) = sample.timestamp {
            shown.serialize_entry("timestamp", &timestamp.milliseconds())?;
        }
        shown.serialize_entry("type", &kind)?;
        if let Some(exemplar) = page.exemplar_of(sample) {
            shown.serialize_entry("exemplar", &ShownExemplar(exemplar))?;
        }
        shown.end()
    }
}

/// An object, in page order.
struct ShownLabels<'a>(Labels<'a>);

impl Serialize for ShownLabels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|label| (label.name, label.value)))
    }
}

/// A number, or a text where JSON has no number for it.
struct ShownNumber(f64);

impl Serialize for ShownNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            f64::INFINITY => serializer.serialize_str("+Inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-Inf"),
            nan if nan.is_nan() => serializer.serialize_str("NaN"),
            number => serializer.serialize_f64(number),
        }
    }
}

struct ShownExemplar<'p, 'a>(&'p Exemplar<'a>);

impl Serialize for ShownExemplar<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_map(None)?;
        shown.serialize_entry("labels", &ShownLabels(self.0.labels))?;
        shown.serialize_entry("value", &ShownNumber(self.0.value))?;
        if let Some(seconds) = self.0.timestamp_seconds {
            shown.serialize_entry("timestamp", &SampleTime::Seconds(seconds).milliseconds())?;
        }
        shown.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(page: &str, format: Option<Format>) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), page).unwrap();
        let mut out = Vec::new();
        print(file.path(), format, &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_sample_is_an_object_on_a_line() {
        let text = "# TYPE b gauge\nb{z=\"1\",a=\"\\n\"} 4.5 -7\nc NaN\nc +Inf\nc -Inf\n";
        let shown = concat!(
            r#"{"name":"b","labels":{"z":"1","a":"\n"},"value":4.5,"timestamp":-7,"type":"gauge"}"#,
            "\n",
            r#"{"name":"c","labels":{},"value":"NaN","type":"untyped"}"#,
            "\n",
            r#"{"name":"c","labels":{},"value":"+Inf","type":"untyped"}"#,
            "\n",
            r#"{"name":"c","labels":{},"value":"-Inf","type":"untyped"}"#,
            "\n",
        );
        assert_eq!(printed(text, None).as_deref(), Ok(shown));
        let open = "# TYPE a counter\na_total 2 1.5 # {t=\"x\"} 0.5 1520879607.789\n# EOF\n";
        let shown = concat!(
            r#"{"name":"a_total","labels":{},"value":2.0,"timestamp":1500,"type":"counter","#,
            r#""exemplar":{"labels":{"t":"x"},"value":0.5,"timestamp":1520879607789}}"#,
            "\n",
        );
        assert_eq!(printed(open, None).as_deref(), Ok(shown));
        assert_eq!(
            printed("a 1\n# EOF", None).unwrap(),
            "{\"name\":\"a\",\"labels\":{},\"value\":1.0,\"type\":\"unknown\"}\n"
        );
    }

    #[test]
    fn the_last_line_tells_the_format() {
        for (page, format) in [
            ("# EOF", Format::OpenMetrics),
            ("# EOF\n", Format::OpenMetrics),
            ("a 1\n# EOF\n", Format::OpenMetrics),
            ("", Format::Text),
            ("a 1\n", Format::Text),
            ("# EOF\n\n", Format::Text),
            ("a 1 # EOF\n", Format::Text),
        ] {
            assert_eq!(format_of(page.as_bytes()), format, "{page:?}");
        }
        // The text format takes the line for a comment.
        assert!(printed("a  1\n# EOF\n", Some(Format::Text)).is_ok());
        assert_eq!(printed("a  1\n# EOF\n", None).unwrap_err().split(':').next(), Some("line 1, column 3"));
    }

    #[test]
    fn nothing_is_printed_of_a_page_with_a_fault() {
        let refused = printed("a 1\nb\n", None).unwrap_err();
        assert!(refused.starts_with("line 2, column 2: expected"), "{refused}");
    }
}
