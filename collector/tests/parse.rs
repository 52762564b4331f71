//! Pages kept as files: each page in `valid` reads as the text beside it says, each in `invalid` is refused in the
//! words beside it. `BLESS=1 cargo test --test parse` writes those texts anew; the difference is then reviewed.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use mect_collector::parse::{self, Limits};

#[test]
fn valid_pages_read_as_recorded() {
    for (path, bytes) in pages("valid") {
        let page =
            parse::text(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut read = String::new();
        for family in page.families() {
            writeln!(read, "family {:?} {:?} {:?}", family.name, family.kind, family.help()).unwrap();
        }
        for sample in page.samples() {
            write!(read, "{:?} {:?} {:?}", sample.name, sample.labels, sample.value).unwrap();
            let family = page.family_of(sample).map(|family| &family.name);
            writeln!(read, " {:?} of {family:?}", sample.timestamp_ms).unwrap();
        }
        compare(&path, &read);
    }
}

#[test]
fn invalid_pages_are_refused_in_the_recorded_words() {
    for (path, bytes) in pages("invalid") {
        match parse::text(&bytes, &Limits::default()) {
            Ok(page) => panic!("{}: accepted {page:?}", path.display()),
            Err(error) => compare(&path, &format!("{:?}: {error}\n", error.kind)),
        }
    }
}

fn pages(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parse").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "prom")).collect();
    assert!(pages.len() > 5);
    pages.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn compare(page: &Path, read: &str) {
    let recorded = page.with_extension("txt");
    if env::var_os("BLESS").is_some() {
        fs::write(&recorded, read).unwrap();
    }
    assert_eq!(fs::read_to_string(&recorded).unwrap(), read, "{}", page.display());
}
