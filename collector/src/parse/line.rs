//! The grammar of one line. Knows nothing of other lines.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::error::Fault;
use super::kind::Kind;
use super::labels::{Labels, labels};
use super::number;
use super::quoted::Text;

/// One sample of a valid page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The metric name. Owned only where a quoted name has escapes.
    pub name: Cow<'a, str>,
    /// The labels, without the name.
    pub labels: Labels<'a>,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// When it was measured; `None` (nearly always) means now.
    pub timestamp: Option<SampleTime>,
    /// Position of its family in the page; the page layer sets it.
    pub(super) family: u32,
    /// Position of its exemplar in the page's table, from 1.
    pub(super) exemplar: Option<NonZeroU32>,
}

/// A sample's own time, in the unit of its format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleTime {
    /// Milliseconds since the epoch: the text format.
    Milliseconds(i64),
    /// Seconds since the epoch: OpenMetrics.
    Seconds(f64),
}

impl SampleTime {
    /// Milliseconds since the epoch, to the nearest; the furthest there is where 64 bits do not reach.
    pub fn milliseconds(self) -> i64 {
        match self {
            Self::Milliseconds(milliseconds) => milliseconds,
            #[expect(clippy::cast_possible_truncation, reason = "saturates, as told")]
            Self::Seconds(seconds) => (seconds * 1000.0).round() as i64,
        }
    }
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// Nothing: blank, or a comment.
    Empty,
    Help {
        at: usize,
        name: Cow<'a, str>,
        text: &'a str,
    },
    Type {
        at: usize,
        name: Cow<'a, str>,
        kind: Kind,
    },
    Sample(Sample<'a>),
}

/// Byte classes: which name a byte may continue, and where a number ends.
const METRIC: u8 = 1;
const LABEL: u8 = 2;
const DIGIT: u8 = 4;
const ENDS_NUMBER: u8 = 8;
const CLASSES: [u8; 256] = {
    let mut classes = [0u8; 256];
    let mut byte = 0u8;
    loop {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => METRIC | LABEL,
            b':' => METRIC,
            b'0'..=b'9' => METRIC | LABEL | DIGIT,
            b' ' | b'\t' | b'\r' => ENDS_NUMBER,
            _ => 0,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

/// A place in a line. It only ever stops next to an ASCII byte, so that slices between two stops are whole characters.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    #[inline]
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over the ASCII byte that `peek` saw.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The text from `start` to here.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) const fn whole(&self) -> &'a str {
        self.text
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn take(&mut self, class: u8) -> Option<&'a str> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        if bytes.get(start).is_none_or(|byte| CLASSES[usize::from(*byte)] & DIGIT != 0) {
            return None;
        }
        while bytes.get(self.at).is_some_and(|byte| CLASSES[usize::from(*byte)] & class != 0) {
            self.at += 1;
        }
        (self.at > start).then(|| self.since(start))
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    #[inline]
    pub(super) fn metric_name(&mut self) -> Option<&'a str> {
        self.take(METRIC)
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    #[inline]
    pub(super) fn label_name(&mut self) -> Option<&'a str> {
        self.take(LABEL)
    }

    /// A text in double quotes; the cursor stands on the first.
    #[inline]
    pub(super) fn quoted(&mut self) -> Result<Text<'a>, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
                None => return Err(Fault::syntax(bytes.len(), "the closing double quote")),
            }
        }
        let raw = self.text.get(start..at).unwrap_or_default();
        self.at = at + 1;
        Ok(Text { raw, escaped })
    }

    /// Everything up to a blank, a carriage return or the end.
    #[inline]
    pub(super) fn token(&mut self) -> &'a str {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|byte| CLASSES[usize::from(*byte)] & ENDS_NUMBER == 0) {
            self.at += 1;
        }
        self.since(start)
    }
}

/// Reads one line, without its line feed. `seen` is working memory for [`labels`].
pub(super) fn line<'a>(text: &'a str, max_labels: usize, seen: &mut Vec<Text<'a>>) -> Result<Line<'a>, Fault> {
    let mut cursor = Cursor::new(text);
    cursor.skip_blanks();
    match cursor.peek() {
        None => Ok(Line::Empty),
        Some(b'#') => {
            cursor.advance();
            comment(cursor)
        }
        Some(_) => sample(cursor, max_labels, seen).map(Line::Sample),
    }
}

/// Behind `#`. Only a blank, and `HELP` or `TYPE` as a word of its own, make it more than a comment.
fn comment(mut cursor: Cursor<'_>) -> Result<Line<'_>, Fault> {
    let is_spaced = matches!(cursor.peek(), Some(b' ' | b'\t'));
    cursor.skip_blanks();
    let keyword = cursor.token();
    let is_help = keyword == "HELP";
    let is_word = matches!(cursor.peek(), None | Some(b' ' | b'\t'));
    if !(is_spaced && is_word && (is_help || keyword == "TYPE")) {
        let nul = memchr::memchr(0, cursor.whole().as_bytes());
        return nul.map_or(Ok(Line::Empty), |at| Err(Fault::syntax(at, "text without NUL bytes")));
    }
    cursor.skip_blanks();
    let at = cursor.at();
    let name = match cursor.peek() {
        Some(b'"') => cursor.quoted()?.decode(),
        _ => Cow::Borrowed(cursor.metric_name().unwrap_or_default()),
    };
    if name.is_empty() {
        return Err(Fault::syntax(at, "a metric name"));
    }
    if !matches!(cursor.peek(), None | Some(b' ' | b'\t')) {
        return Err(Fault::syntax(cursor.at(), "a blank after the metric name"));
    }
    cursor.skip_blanks();
    let text = cursor.rest();
    if is_help {
        check_help(text).map_err(|fault| fault.behind(cursor.at()))?;
        return Ok(Line::Help { at, name, text });
    }
    let kind = Kind::of_text(text.trim_end_matches([' ', '\t']))
        .ok_or(Fault::syntax(cursor.at(), "counter, gauge, histogram, summary or untyped"))?;
    Ok(Line::Type { at, name, kind })
}

/// A backslash must be escaped itself. Quotes need no escape here, but writers of OpenMetrics escape them anyway.
fn check_help(text: &str) -> Result<(), Fault> {
    Text { raw: text, escaped: text.contains('\\') }.check_escapes()
}

fn sample<'a>(mut cursor: Cursor<'a>, max_labels: usize, seen: &mut Vec<Text<'a>>) -> Result<Sample<'a>, Fault> {
    let start = cursor.at();
    let mut name = cursor.metric_name().map(Cow::Borrowed);
    let name_end = cursor.at();
    cursor.skip_blanks();
    let mut sample_labels = Labels::default();
    match cursor.peek() {
        Some(b'{') => {
            cursor.advance();
            sample_labels = labels(&mut cursor, &mut name, max_labels, seen)?;
            cursor.skip_blanks();
        }
        _ if name.is_none() => return Err(Fault::syntax(start, "a metric name, \"{\" or \"#\"")),
        Some(_) if cursor.at() == name_end => {
            return Err(Fault::syntax(name_end, "a blank or \"{\" after the metric name"));
        }
        _ => {}
    }
    let Some(name) = name else {
        return Err(Fault::syntax(start, "a metric name before or inside the braces"));
    };
    let at = cursor.at();
    let value = number::value(cursor.token())
        .ok_or(Fault::syntax(at, "a value: a number within 64-bit range, NaN, +Inf or -Inf"))?;
    cursor.skip_blanks();
    let mut timestamp = None;
    if cursor.peek().is_some() {
        let at = cursor.at();
        let token = cursor.token();
        let milliseconds =
            number::timestamp(token).ok_or(Fault::syntax(at, "a timestamp in whole milliseconds, or nothing"))?;
        timestamp = Some(SampleTime::Milliseconds(milliseconds));
        cursor.skip_blanks();
        if cursor.peek().is_some() {
            return Err(Fault::syntax(cursor.at(), "the end of the line after the timestamp"));
        }
    }
    Ok(Sample { name, labels: sample_labels, value, timestamp, family: 0, exemplar: None })
}
