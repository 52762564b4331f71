//! The grammar of one line of OpenMetrics: the specification's ABNF, and Prometheus' quoted names. Knows nothing of
//! other lines.

use std::borrow::Cow;

use super::decimal::Number;
use super::labels::{Pair, exemplar_labels, labels};
use crate::parse::error::Fault;
use crate::parse::kind::Kind;
use crate::parse::labels::Labels;
use crate::parse::line::Cursor;

/// The line that ends a page.
pub(super) const EOF: &str = "# EOF";

/// What a line says.
pub(super) enum Line<'a> {
    Help { name: Cow<'a, str>, text: &'a str },
    Type { name: Cow<'a, str>, kind: Kind },
    Unit { name: Cow<'a, str>, unit: &'a str },
    Sample(RawSample<'a>),
    Eof,
}

/// A sample line. Its labels also stand in the memory that the caller gave.
pub(super) struct RawSample<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) labels: Labels<'a>,
    pub(super) value_at: usize,
    pub(super) value: Number<'a>,
    pub(super) timestamp_at: usize,
    pub(super) timestamp: Option<Number<'a>>,
    pub(super) exemplar: Option<RawExemplar<'a>>,
}

pub(super) struct RawExemplar<'a> {
    pub(super) at: usize,
    pub(super) labels: Labels<'a>,
    pub(super) value_at: usize,
    pub(super) value: Number<'a>,
    pub(super) timestamp: Option<Number<'a>>,
}

/// Reads one line, without its line feed. Leaves a sample's labels in `pairs`; `scratch` is working memory.
pub(super) fn line<'a>(
    text: &'a str,
    max_labels: usize,
    pairs: &mut Vec<Pair<'a>>,
    scratch: &mut Vec<Pair<'a>>,
) -> Result<Line<'a>, Fault> {
    let mut cursor = Cursor::new(text);
    if cursor.peek() == Some(b'#') {
        return if text == EOF { Ok(Line::Eof) } else { descriptor(cursor) };
    }
    sample(&mut cursor, max_labels, pairs, scratch).map(Line::Sample)
}

fn descriptor(mut cursor: Cursor<'_>) -> Result<Line<'_>, Fault> {
    let expected = "\"# TYPE \", \"# UNIT \", \"# HELP \" or \"# EOF\": there are no comments";
    cursor.advance();
    space(&mut cursor, expected)?;
    let at = cursor.at();
    let keyword = cursor.token();
    if !matches!(keyword, "TYPE" | "UNIT" | "HELP") {
        return Err(Fault::syntax(at, expected));
    }
    space(&mut cursor, "one space before the metric name")?;
    let at = cursor.at();
    let name = match cursor.peek() {
        Some(b'"') => cursor.quoted()?.decode(),
        _ => Cow::Borrowed(cursor.metric_name().unwrap_or_default()),
    };
    if name.is_empty() {
        return Err(Fault::syntax(at, "a metric name"));
    }
    space(&mut cursor, "one space after the metric name")?;
    let (at, text) = (cursor.at(), cursor.rest());
    match keyword {
        "HELP" => {
            check_help(text).map_err(|fault| fault.behind(at))?;
            Ok(Line::Help { name, text })
        }
        "UNIT" => {
            let is_unit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
            match text.bytes().position(|byte| !is_unit(&byte)) {
                Some(wrong) => Err(Fault::syntax(at + wrong, "a unit of letters, digits, \"_\" and \":\"")),
                None => Ok(Line::Unit { name, unit: text }),
            }
        }
        _ => Kind::of_openmetrics(text)
            .map(|kind| Line::Type { name, kind })
            .ok_or(Fault::syntax(at, "counter, gauge, histogram, gaugehistogram, stateset, info, summary or unknown")),
    }
}

/// `escaped-string`, up to the end of the line. The place counts from the text's start.
fn check_help(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += next;
        if bytes.get(at) == Some(&b'"') {
            return Err(Fault::syntax(at, "a double quote written as \\\""));
        }
        if at + 1 == bytes.len() {
            return Err(Fault::syntax(at, "a backslash written as \\\\"));
        }
        at += 2;
    }
    // A carriage return may stand in a text, but not end a line.
    if text.ends_with('\r') {
        return Err(Fault::syntax(text.len() - 1, "lines that end with a line feed alone"));
    }
    Ok(())
}

fn sample<'a>(
    cursor: &mut Cursor<'a>,
    max_labels: usize,
    pairs: &mut Vec<Pair<'a>>,
    scratch: &mut Vec<Pair<'a>>,
) -> Result<RawSample<'a>, Fault> {
    let mut name = cursor.metric_name().map(Cow::Borrowed);
    pairs.clear();
    let mut sample_labels = Labels::default();
    if cursor.peek() == Some(b'{') {
        cursor.advance();
        sample_labels = labels(cursor, &mut name, max_labels, pairs)?;
    } else if name.is_none() {
        return Err(Fault::syntax(0, "a metric name, \"{\" or \"#\""));
    }
    let name = name.ok_or(Fault::syntax(0, "a metric name before or inside the braces"))?;
    let (value_at, value) = value(cursor)?;
    let timestamp_at = cursor.at() + 1;
    let mut timestamp = None;
    let mut exemplar = None;
    if cursor.peek().is_some() {
        space(cursor, "one space or the end of the line after the value")?;
        let mut has_exemplar = cursor.peek() == Some(b'#');
        if !has_exemplar {
            timestamp = Some(time(cursor)?);
            has_exemplar = cursor.peek().is_some();
            if has_exemplar {
                space(cursor, "one space or the end of the line after the timestamp")?;
            }
        }
        if has_exemplar {
            exemplar = Some(read_exemplar(cursor, max_labels, scratch)?);
        }
    }
    Ok(RawSample { name, labels: sample_labels, value_at, value, timestamp_at, timestamp, exemplar })
}

/// From `#` on.
fn read_exemplar<'a>(
    cursor: &mut Cursor<'a>,
    max_labels: usize,
    scratch: &mut Vec<Pair<'a>>,
) -> Result<RawExemplar<'a>, Fault> {
    let at = cursor.at();
    if cursor.peek() != Some(b'#') {
        return Err(Fault::syntax(at, "\"#\" and an exemplar, or the end of the line"));
    }
    cursor.advance();
    space(cursor, "one space after \"#\"")?;
    if cursor.peek() != Some(b'{') {
        return Err(Fault::syntax(cursor.at(), "the exemplar's labels, \"{}\" without any"));
    }
    cursor.advance();
    let labels = exemplar_labels(cursor, max_labels, scratch)?;
    let (value_at, value) = value(cursor)?;
    let mut timestamp = None;
    if cursor.peek().is_some() {
        space(cursor, "one space or the end of the line after the exemplar's value")?;
        timestamp = Some(time(cursor)?);
    }
    if cursor.peek().is_some() {
        return Err(Fault::syntax(cursor.at(), "the end of the line after the exemplar"));
    }
    Ok(RawExemplar { at, labels, value_at, value, timestamp })
}

/// One space, and a value behind it.
fn value<'a>(cursor: &mut Cursor<'a>) -> Result<(usize, Number<'a>), Fault> {
    space(cursor, "one space before the value")?;
    let at = cursor.at();
    let value = Number::any(cursor.token())
        .ok_or(Fault::syntax(at, "a value: a decimal number within 64-bit range, NaN, +Inf or -Inf"))?;
    Ok((at, value))
}

fn time<'a>(cursor: &mut Cursor<'a>) -> Result<Number<'a>, Fault> {
    let at = cursor.at();
    Number::real(cursor.token()).ok_or(Fault::syntax(at, "a timestamp in seconds: a decimal number"))
}

fn space(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<(), Fault> {
    if cursor.peek() != Some(b' ') {
        return Err(Fault::syntax(cursor.at(), expected));
    }
    cursor.advance();
    Ok(())
}
