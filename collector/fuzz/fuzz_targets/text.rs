//! Pages in the text format.

#![no_main]
#![allow(dead_code, unused_imports, reason = "only the parser's entry is used here")]

#[path = "../../src"]
mod collector {
    pub mod parse;
}

pub use collector::parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = parse::Limits::default();
    let Ok(page) = parse::text(bytes, &limits) else { return };
    for sample in page.samples() {
        assert_eq!(sample.labels.iter().count(), sample.labels.len());
        assert!(page.family_of(sample).is_some());
    }
    // A page that is read ends with a line feed: without it, it is not.
    if let Some(part) = bytes.strip_suffix(b"\n").filter(|part| !part.is_empty() && !part.ends_with(b"\n")) {
        assert!(parse::text(part, &limits).is_err());
    }
});
