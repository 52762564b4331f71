//! Pages in OpenMetrics.

#![no_main]
#![allow(dead_code, unused_imports, reason = "only the parser's entry is used here")]

#[path = "../../src"]
mod collector {
    pub mod parse;
}

pub use collector::parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = parse::Limits::default();
    let Ok(page) = parse::openmetrics(bytes, &limits) else { return };
    for sample in page.samples() {
        assert_eq!(sample.labels.iter().count(), sample.labels.len());
        assert!(page.family_of(sample).is_some());
        if let Some(exemplar) = page.exemplar_of(sample) {
            assert_eq!(exemplar.labels.iter().count(), exemplar.labels.len());
        }
    }
    // Without its last line it is half a page.
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let part = whole.strip_suffix(b"# EOF").expect("a page ends with it");
    assert!(parse::openmetrics(part, &limits).is_err());
});
