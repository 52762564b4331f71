//! Properties: what is written is read, and no bytes whatever make the parser panic.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::parse::{Limits, SampleTime, number, text};

/// A generated sample, as it is meant.
#[derive(Debug, Clone)]
struct Meant {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    timestamp_ms: Option<i64>,
}

fn quote(meant: &str) -> String {
    format!("\"{}\"", meant.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn is_bare(name: &str, colon: bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    name.bytes().all(legal) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn written(samples: &[Meant]) -> String {
    let mut page = String::new();
    for Meant { name, labels, value, timestamp_ms } in samples {
        let mut inside: Vec<String> = Vec::new();
        if is_bare(name, true) {
            page.push_str(name);
        } else {
            inside.push(quote(name));
        }
        inside.extend(labels.iter().map(|(name, value)| {
            let name = if is_bare(name, false) { name.clone() } else { quote(name) };
            format!("{name}={}", quote(value))
        }));
        if !inside.is_empty() {
            write!(page, "{{{}}}", inside.join(",")).unwrap();
        }
        write!(page, " {value:?}").unwrap();
        if let Some(timestamp_ms) = timestamp_ms {
            write!(page, " {timestamp_ms}").unwrap();
        }
        page.push('\n');
    }
    page
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", 1 => "[^\0]{1,8}"]
}

fn any_label() -> impl Strategy<Value = (String, String)> {
    (any_name().prop_filter("reserved", |name| name != "__name__"), "[^\0]{0,12}")
}

fn any_sample() -> impl Strategy<Value = Meant> {
    let labels = vec(any_label(), 0..5).prop_map(|mut labels| {
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        labels
    });
    (any_name(), labels, any::<f64>(), any::<Option<i64>>()).prop_map(|(name, labels, value, timestamp_ms)| Meant {
        name,
        labels,
        value,
        timestamp_ms,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(samples in vec(any_sample(), 0..12)) {
        let page = written(&samples);
        let read = text(page.as_bytes(), &Limits::default()).map_err(|e| TestCaseError::fail(format!("{e}\n{page}")))?;
        prop_assert_eq!(read.samples().len(), samples.len());
        for (sample, meant) in read.samples().iter().zip(&samples) {
            prop_assert_eq!(&*sample.name, &meant.name);
            prop_assert!(sample.value == meant.value || (sample.value.is_nan() && meant.value.is_nan()));
            prop_assert_eq!(sample.timestamp.map(SampleTime::milliseconds), meant.timestamp_ms);
            let labels: Vec<_> = sample.labels.iter().map(|l| (l.name.into_owned(), l.value.into_owned())).collect();
            prop_assert_eq!(&labels, &meant.labels);
            for (name, value) in &meant.labels {
                let read = sample.labels.get(name);
                prop_assert_eq!(read.as_deref(), Some(value.as_str()));
            }
        }
    }

    #[test]
    fn any_number_reads_as_the_standard_library_reads_it(digits in "[0-9]{1,18}", point in 0usize..20) {
        let mut token = digits;
        if point <= token.len() {
            token.insert(point, '.');
        }
        prop_assert_eq!(number::value(&token), token.parse::<f64>().ok());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let _ = text(&bytes, &Limits::default());
    }

    #[test]
    fn any_page_of_the_formats_own_signs_is_read_or_refused(page in "([a{}\"=,\\\\ #TYPEHL\t1.:é\r]{0,30}\n){0,3}") {
        if let Ok(page) = text(page.as_bytes(), &Limits::default()) {
            for sample in page.samples() {
                prop_assert_eq!(sample.labels.iter().count(), sample.labels.len());
                prop_assert!(page.family_of(sample).is_some());
            }
        }
    }

    #[test]
    fn a_broken_page_is_read_or_refused_in_place(
        samples in vec(any_sample(), 1..6),
        at in any::<Index>(),
        byte in any::<u8>(),
        cut in any::<Index>(),
    ) {
        let mut bytes = written(&samples).into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Err(error) = text(&bytes, &Limits::default()) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(error.line >= 1 && usize::try_from(error.line).unwrap() <= lines);
        }
        // A cut anywhere but behind a line feed never passes.
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(cut.is_empty() || cut.ends_with(b"\n") || text(cut, &Limits::default()).is_err());
    }
}
