//! Reads exposition pages: the Prometheus text format, version 0.0.4.
//!
//! Two layers and no I/O. The line grammar (`line`, `labels`, `number`, `quoted`) turns one line into borrowed
//! slices; the page layer (`page`) splits lines, checks what only several lines together can break, and keeps the
//! limits. A page that breaks a rule in its last line is worth as much as one that breaks it in its first:
//! [`text`] gives a [`Page`] only when all of it is valid, so that nobody can use half of one.
//!
//! Nothing is copied: names, label values and help texts borrow from the page, and only a text that contains an
//! escape is rewritten, when it is asked for. Parsing allocates three tables per page and nothing per sample.
//!
//! # Rules
//!
//! The format's description leaves corners open, and the two readers everybody has, the Prometheus server
//! (`model/textparse`) and Go's client library (`prometheus/common/expfmt`), fill them differently.
//!
//! | corner | here | server | expfmt |
//! |---|---|---|---|
//! | blanks (space, tab) at the start of a line and between tokens | skipped | same | same |
//! | blanks before `{`; none after `}` | accepted | same | same |
//! | no blank between a bare name and its value (`a-1`) | refused: it hides a misspelt name | accepted | accepted |
//! | `{}`, one trailing comma in labels | accepted | same | same |
//! | labels without a comma between them | refused | accepted | refused |
//! | quoted UTF-8 names, `{"a.b",c="d"}`, `a{"b.c"="d"}` | accepted, the name at any place in the braces | same | same |
//! | the same label twice, the label `__name__` | refused | refused when stored | refused |
//! | unknown escape in a quoted text or HELP (`\t`) | kept as written, with its backslash | same | refused |
//! | raw line feed in a label value | refused | accepted | refused |
//! | values | Go's `ParseFloat` without hex floats and underscores; `inf`, `infinity`, `nan` in any case; no `+NaN` | same | same |
//! | value beyond the range of a 64-bit float (`1e999`) | refused | refused | refused |
//! | timestamp | signed 64-bit integer, milliseconds | digits only | same as here |
//! | `TYPE` | `counter`, `gauge`, `histogram`, `summary`, `untyped` in lower case; blanks around are skipped | one blank before | any case |
//! | second `TYPE` or `HELP` of a name, `TYPE` after its samples | refused, as the format says | accepted | refused |
//! | the same series twice | accepted: the format leaves it undefined, and refusing would cost a hash per sample | refused when stored | accepted |
//! | carriage return before the line feed | refused (kept in a comment or HELP) | same | same |
//! | last line without line feed | refused as [`ErrorKind::Truncated`]: `up 1` may have been `up 1000` | accepted | refused |
//! | NUL anywhere | refused | ends the page silently at the start of a line | accepted in values |
//! | invalid UTF-8 anywhere | refused | refused outside comments | refused in labels |

mod error;
mod labels;
mod line;
mod number;
mod page;
mod quoted;
#[cfg(test)]
mod tests;

pub use error::{ErrorKind, ParseError};
pub use labels::{Label, Labels};
pub use line::Sample;
pub use page::{Family, Kind, Page, text};

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
