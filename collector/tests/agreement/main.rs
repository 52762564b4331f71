//! Agreement with an independent reader, the parser of Prometheus' Python client, over thousands of drawn pages, whole
//! and broken; and what holds for every page.
//!
//! A verdict of its own needs a sentence of the format's description: [`known`] lists them, as do the docs of
//! `mect_collector::parse`.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod draw;
mod known;
mod mutate;
mod page;
mod properties;
mod python;

use std::collections::BTreeMap;

use draw::Draw;
use known::Known;
use mect_collector::parse::{self, Format, Limits, Sample};
use page::{Meant, Range};
use python::Answer;

/// Pages of each format.
const PAGES: u64 = 4000;

#[test]
fn text_pages_are_read_as_by_python() {
    agree(Format::Text, &known::TEXT);
}

#[test]
fn openmetrics_pages_are_read_as_by_python() {
    agree(Format::OpenMetrics, &known::OPENMETRICS);
}

fn agree(format: Format, known: &Known) {
    let pages: Vec<String> = (0..PAGES)
        .map(|seed| {
            let mut draw = Draw(seed);
            let page = Meant::draw(&mut draw, format, Range::Python).write(format);
            if seed % 4 == 0 { page } else { mutate::mutated(&mut draw, &page) }
        })
        .collect();
    let answers = python::read(format, &pages);
    // By their kind, each with how often and an example.
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut verdicts = BTreeMap::new();
    for (page, answer) in pages.iter().zip(answers) {
        let ours = parse::page(page.as_bytes(), format, &Limits::default());
        let difference = match (&ours, &answer) {
            (Ok(ours), Answer::Samples(theirs)) => {
                let is_same = ours.samples().len() == theirs.len()
                    && ours.samples().iter().zip(theirs).all(|(sample, theirs)| theirs.is(format, ours, sample));
                (!is_same).then(|| ("read differently".to_owned(), format!("{:#?}\n{theirs:#?}", ours.samples())))
            }
            (Err(_), Answer::Error(_)) => None,
            (Err(error), Answer::Samples(_)) => (!known.we_refuse(error.expected))
                .then(|| (format!("refused here: expected {}", error.expected), error.to_string())),
            (Ok(_), Answer::Error(error)) => (!known.they_refuse(error))
                .then(|| (format!("refused there: {}", error.split(": ").nth(1).unwrap_or(error)), error.clone())),
        };
        *verdicts.entry((ours.is_ok(), matches!(answer, Answer::Samples(_)))).or_insert(0) += 1;
        if let Some((kind, seen)) = difference {
            wrong.entry(kind).or_insert_with(|| (0, format!("{page:?}\n{seen}"))).0 += 1;
        }
    }
    let told: Vec<_> = wrong.iter().map(|(kind, (times, example))| format!("{times} {kind}\n{example}")).collect();
    assert!(told.is_empty(), "of {PAGES} pages:\n{}", told.join("\n\n"));
    // Else the pages would test little.
    let both = |ours, theirs| verdicts.get(&(ours, theirs)).copied().unwrap_or(0);
    assert!(both(true, true) > PAGES / 4 && both(false, false) > PAGES / 20, "{verdicts:?}");
}

/// A sample's labels, sorted.
fn labels(sample: &Sample<'_>) -> BTreeMap<String, String> {
    sample.labels.iter().map(|label| (label.name.into_owned(), label.value.into_owned())).collect()
}
