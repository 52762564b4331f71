//! What holds for every page of both formats.

use mect_collector::parse::{self, Format, Limits, SampleTime};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::draw::Draw;
use crate::mutate::mutated;
use crate::page::{Meant, MeantLabels, Range};

fn either() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]
}

fn pairs(labels: parse::Labels<'_>) -> MeantLabels {
    labels.iter().map(|label| (label.name.into_owned(), label.value.into_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(seed: u64, format in either()) {
        let meant = Meant::draw(&mut Draw(seed), format, Range::All);
        let text = meant.write(format);
        let page = parse::page(text.as_bytes(), format, &Limits::default());
        let page = page.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(page.samples().len(), meant.samples().count());
        for (sample, (family, meant)) in page.samples().iter().zip(meant.samples()) {
            prop_assert_eq!(&*sample.name, &meant.name);
            prop_assert_eq!(pairs(sample.labels), meant.labels.clone());
            let value: f64 = meant.value.parse().unwrap();
            prop_assert!(sample.value == value || (sample.value.is_nan() && value.is_nan()));
            let time = meant.timestamp.as_ref().map(|written| match format {
                Format::Text => SampleTime::Milliseconds(written.parse().unwrap()),
                Format::OpenMetrics => SampleTime::Seconds(written.parse().unwrap()),
            });
            prop_assert_eq!(sample.timestamp, time);
            let read = page.family_of(sample).unwrap();
            prop_assert_eq!((&*read.name, read.kind_or_default().keyword()), (family.name.as_str(), family.kind));
            let exemplar = page.exemplar_of(sample);
            prop_assert_eq!(exemplar.is_some(), meant.exemplar.is_some());
            if let (Some(exemplar), Some((labels, value, timestamp))) = (exemplar, &meant.exemplar) {
                prop_assert_eq!(pairs(exemplar.labels), labels.clone());
                prop_assert_eq!(exemplar.value, value.parse::<f64>().unwrap());
                prop_assert_eq!(exemplar.timestamp_seconds, timestamp.as_ref().map(|written| written.parse().unwrap()));
            }
        }
    }

    /// A page that was cut is refused, wherever the cut is: but a page of the text format does not say where it ends,
    /// so that a cut between two lines leaves a page.
    #[test]
    fn no_part_of_a_page_passes_for_the_page(seed: u64, format in either()) {
        let text = Meant::draw(&mut Draw(seed), format, Range::All).write(format);
        for end in 0..text.len() {
            let part = &text.as_bytes()[..end];
            let read = parse::page(part, format, &Limits::default());
            let is_whole = match format {
                Format::Text => end == 0 || part.ends_with(b"\n"),
                // Only the last line feed may be missing.
                Format::OpenMetrics => end + 1 == text.len(),
            };
            prop_assert_eq!(read.is_ok(), is_whole, "{} of {} bytes of {:?}", end, text.len(), text);
        }
    }

    #[test]
    fn a_broken_page_is_read_or_refused_in_place(seed: u64, format in either()) {
        let mut draw = Draw(seed);
        let text = Meant::draw(&mut draw, format, Range::All).write(format);
        let text = mutated(&mut draw, &text);
        match parse::page(text.as_bytes(), format, &Limits::default()) {
            Ok(page) => {
                for sample in page.samples() {
                    prop_assert_eq!(sample.labels.iter().count(), sample.labels.len());
                    prop_assert!(page.family_of(sample).is_some());
                }
            }
            Err(error) => {
                let lines = text.split('\n').count();
                prop_assert!(error.line >= 1 && usize::try_from(error.line).unwrap() <= lines, "{} {:?}", error, text);
                let line = text.split('\n').nth(usize::try_from(error.line).unwrap() - 1).unwrap();
                prop_assert!(usize::try_from(error.column).unwrap() <= line.len() + 1, "{} {:?}", error, text);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), format in either()) {
        let _ = parse::page(&bytes, format, &Limits::default());
    }
}
