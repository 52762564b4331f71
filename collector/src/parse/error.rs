//! Where and why a page was refused.

use std::fmt;
use std::str::Utf8Error;

/// What class of rule a page breaks; each has its own failure reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Breaks the exposition format.
    Syntax,
    /// Not UTF-8.
    Utf8,
    /// Well formed so far, but larger than [`Limits`](super::Limits) allow.
    Limit,
    /// Ends inside its last line.
    Truncated,
}

/// Why a page was refused. `Display` gives one sentence for a person, without a full stop:
/// `line 12, column 9: expected "=" after the label name, found '}'`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1; one behind the line's last byte when the line ended too early.
    pub column: u32,
    /// The class.
    pub kind: ErrorKind,
    /// What should have stood there.
    pub expected: &'static str,
    /// What stands there; `None` at the end of the line, and where the byte is no character.
    pub found: Option<char>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: expected {}", self.line, self.column, self.expected)?;
        match (self.kind, self.found) {
            (ErrorKind::Syntax, Some(found)) => write!(f, ", found {found:?}"),
            (ErrorKind::Syntax, None) => f.write_str(", found the end of the line"),
            _ => Ok(()),
        }
    }
}

/// A refusal inside one line; the page layer adds the line's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset in the line.
    pub(super) at: usize,
    pub(super) kind: ErrorKind,
    pub(super) expected: &'static str,
}

impl Fault {
    pub(super) const fn syntax(at: usize, expected: &'static str) -> Self {
        Self { at, kind: ErrorKind::Syntax, expected }
    }

    pub(super) const fn limit(at: usize, expected: &'static str) -> Self {
        Self { at, kind: ErrorKind::Limit, expected }
    }

    /// The same, in a line in which the text that was looked at begins at `start`.
    pub(super) const fn behind(self, start: usize) -> Self {
        Self { at: self.at + start, ..self }
    }

    /// The error for a person, given the line that was refused.
    pub(super) fn on(self, number: u32, line: &str) -> ParseError {
        let found = line.get(self.at..).and_then(|rest| rest.chars().next());
        let expected = match (self.kind, found) {
            // The most common cause by far, and invisible in an editor.
            (ErrorKind::Syntax, Some('\r')) => "lines that end with a line feed alone",
            _ => self.expected,
        };
        let column = u32::try_from(self.at).unwrap_or(u32::MAX).saturating_add(1);
        ParseError { line: number, column, kind: self.kind, expected, found }
    }
}

/// The error for bytes that are not UTF-8. A page that ends inside a character was cut, not miswritten.
pub(super) fn not_utf8(bytes: &[u8], error: Utf8Error) -> ParseError {
    match error.error_len() {
        Some(_) => error_at(bytes, error.valid_up_to(), ErrorKind::Utf8, "UTF-8", None),
        None => error_at(bytes, bytes.len(), ErrorKind::Truncated, "a line feed at the end of the page", None),
    }
}

/// The error at a byte of the page, for checks that do not go by lines.
pub(super) fn error_at(
    bytes: &[u8],
    at: usize,
    kind: ErrorKind,
    expected: &'static str,
    found: Option<char>,
) -> ParseError {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |line_feed| line_feed + 1);
    let line = memchr::memchr_iter(b'\n', before).count();
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    ParseError { line: from_one(line), column: from_one(before.len() - line_start), kind, expected, found }
}
