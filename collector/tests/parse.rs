//! Pages kept as files, `.prom` in the text format and `.om` in OpenMetrics: each page in `valid` reads as the text beside
//! it says, each in `invalid` is refused in the words beside it. `BLESS=1 cargo test --test parse` writes those texts anew; the difference is then reviewed.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use mect_collector::parse::{self, Format, Limits, SampleTime};

#[test]
fn valid_pages_read_as_recorded() {
    for (path, bytes) in pages("valid") {
        let page = parse::page(&bytes, format(&path), &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut read = String::new();
        for family in page.families() {
            write!(read, "family {:?} {:?} {:?}", family.name, family.kind, family.help()).unwrap();
            family.unit.iter().for_each(|unit| write!(read, " in {unit}").unwrap());
            read.push('\n');
        }
        for sample in page.samples() {
            write!(read, "{:?} {:?} {:?}", sample.name, sample.labels, sample.value).unwrap();
            let family = page.family_of(sample).map(|family| &family.name);
            write!(read, " {:?} of {family:?}", sample.timestamp.map(SampleTime::milliseconds)).unwrap();
            if let Some(exemplar) = page.exemplar_of(sample) {
                write!(read, " exemplar {:?} {:?}", exemplar.labels, exemplar.value).unwrap();
                exemplar.timestamp_seconds.iter().for_each(|seconds| write!(read, " at {seconds} s").unwrap());
            }
            read.push('\n');
        }
        compare(&path, &read);
    }
}

#[test]
fn invalid_pages_are_refused_in_the_recorded_words() {
    for (path, bytes) in pages("invalid") {
        match parse::page(&bytes, format(&path), &Limits::default()) {
            Ok(page) => panic!("{}: accepted {page:?}", path.display()),
            Err(error) => compare(&path, &format!("{:?}: {error}\n", error.kind)),
        }
    }
}

fn pages(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parse").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "prom" || extension == "om"))
        .collect();
    assert!(pages.len() > 5);
    pages.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn format(page: &Path) -> Format {
    if page.extension().is_some_and(|extension| extension == "om") { Format::OpenMetrics } else { Format::Text }
}

fn compare(page: &Path, read: &str) {
    let recorded = page.with_extension(if format(page) == Format::Text { "txt" } else { "om.txt" });
    if env::var_os("BLESS").is_some() {
        fs::write(&recorded, read).unwrap();
    }
    assert_eq!(fs::read_to_string(&recorded).unwrap(), read, "{}", page.display());
}
