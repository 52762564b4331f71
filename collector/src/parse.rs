//! Reads exposition pages: the Prometheus text format, version 0.0.4, and OpenMetrics 1.0 ([`mod@openmetrics`]).
//!
//! Two layers and no I/O. The line grammar (`line`, `labels`, `number`, `quoted`) turns one line into borrowed
//! slices; the page layer (`page`) checks what only several lines together can break, and keeps the limits. OpenMetrics
//! has a grammar and a page layer of its own. A page that breaks a rule in its last line is worth as much as one that
//! breaks it in its first: [`text`] and [`openmetrics`](fn@openmetrics) give a [`Page`] only when all of it is valid, so
//! that nobody can use half of one.
//!
//! Nothing is copied: names, label values and help texts borrow from the page, and only a text that contains an
//! escape is rewritten, when it is asked for. Parsing allocates three tables per page and nothing per sample.
//!
//! # Rules of the text format
//!
//! The format's description leaves corners open, and the two readers everybody has, the Prometheus server
//! (`model/textparse`) and Go's client library (`prometheus/common/expfmt`), fill them differently.
//!
//! | corner | here | server | expfmt |
//! |---|---|---|---|
//! | blanks (space, tab) at the start of a line and between tokens | skipped | same | same |
//! | blanks at the end of a line | skipped | same | refused |
//! | blanks before `{`; none after `}` | accepted | same | same |
//! | no blank between a bare name and its value (`a-1`) | refused: it hides a misspelt name | accepted | accepted |
//! | `{}`, one trailing comma in labels | accepted | same | same |
//! | labels without a comma between them | refused | accepted | refused |
//! | quoted UTF-8 names, `{"a.b",c="d"}`, `a{"b.c"="d"}` | accepted, the name at any place in the braces | same | same |
//! | the same label twice, the label `__name__` | refused | refused when stored | refused |
//! | unknown escape in a quoted text or HELP (`\t`) | refused: backslashes "have to be escaped" | kept as written | refused |
//! | `\"` in HELP | accepted, kept as written | same | read as a quote |
//! | raw line feed in a label value | refused | accepted | refused |
//! | values | Go's `ParseFloat` without hex floats and underscores; `inf`, `infinity`, `nan` in any case; no `+NaN` | same | same |
//! | value beyond the range of a 64-bit float (`1e999`) | refused | refused | refused |
//! | timestamp | signed 64-bit integer, milliseconds | digits only | same as here |
//! | `TYPE` | `counter`, `gauge`, `histogram`, `summary`, `untyped` in lower case; blanks around are skipped | one blank before | any case |
//! | `# HELP` or `# TYPE` without a name, `TYPE` without a kind | refused: "at least one more token is expected" | a comment at the end of the line, else refused | accepted |
//! | no blank between `#` and the keyword (`#TYPE`) | a comment | a comment | the keyword |
//! | second `TYPE` or `HELP` of a name, `TYPE` after its samples | refused, as the format says | accepted | refused |
//! | the same series twice | accepted: the format leaves it undefined, and refusing would cost a hash per sample | refused when stored | accepted |
//! | carriage return before the line feed | refused (kept in a comment or HELP) | same | same |
//! | last line without line feed | refused as [`ErrorKind::Truncated`]: `up 1` may have been `up 1000` | accepted | refused |
//! | NUL | accepted in quotes and HELP, which hold "any sequence of UTF-8 characters", refused elsewhere | same, but ends the page silently at the start of a line | same |
//! | invalid UTF-8 anywhere | refused | refused outside comments | refused in labels |
//! | families not "as one single group", `HELP` behind samples | accepted: all readers do | same | same |
//!
//! `tests/agreement` reads thousands of drawn pages with the parser of Prometheus' Python client too. That one calls
//! itself laxer than Go's: it accepts nearly every broken page, and refuses none that is read here but for quoted names,
//! which it does not know. `tests/agreement/known.rs` names the sentence for each rule by which we refuse alone.

mod error;
mod family;
mod kind;
mod labels;
mod line;
mod lines;
mod number;
pub mod openmetrics;
mod page;
mod quoted;
#[cfg(test)]
mod tests;

pub use error::{ErrorKind, ParseError};
pub use family::{Exemplar, Family, Page};
pub use kind::{Format, Kind, UnknownFormat};
pub use labels::{Label, Labels};
pub use line::{Sample, SampleTime};
pub use openmetrics::openmetrics;
pub use page::text;

/// Reads a page in the given format.
///
/// # Errors
/// The page breaks a rule or a limit: where, and what was expected there. Nothing of it can be used then.
pub fn page<'a>(bytes: &'a [u8], format: Format, limits: &Limits) -> Result<Page<'a>, ParseError> {
    match format {
        Format::Text => text(bytes, limits),
        Format::OpenMetrics => openmetrics(bytes, limits),
    }
}

/// How much one page may hold. The scraper bounds its bytes; these bound what they may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Samples on a page. Default 2,000: a full node_exporter has about 1,000, ours about 100.
    pub samples: usize,
    /// Metric families on a page, declared by `TYPE` or `HELP` or by a sample. Default 2,000.
    pub families: usize,
    /// Labels of one sample. Default 64.
    pub labels: usize,
    /// Bytes of one line without its line feed. Default 65,536.
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples: 2_000, families: 2_000, labels: 64, line_bytes: 64 * 1024 }
    }
}
