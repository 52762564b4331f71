//! What stands in braces, with not one character more than the grammar has.

use std::borrow::Cow;

use crate::parse::error::Fault;
use crate::parse::labels::{Labels, METRIC_NAME_LABEL};
use crate::parse::line::Cursor;
use crate::parse::quoted::{Names, Text};

/// Characters of an exemplar's label names and values together.
const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// A label as it stands on the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) name: Text<'a>,
    pub(super) value: Text<'a>,
}

impl<'a> Pair<'a> {
    pub(super) fn is_named(&self, name: &str) -> bool {
        if self.name.escaped { self.name.decode() == name } else { self.name.raw == name }
    }

    pub(super) fn decode(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        (self.name.decode(), self.value.decode())
    }
}

/// Reads a label set behind its `{`, into `pairs` as well. `name` is the metric name if it stood before the braces,
/// and is set if it stands inside.
pub(super) fn labels<'a>(
    cursor: &mut Cursor<'a>,
    name: &mut Option<Cow<'a, str>>,
    max_labels: usize,
    pairs: &mut Vec<Pair<'a>>,
) -> Result<Labels<'a>, Fault> {
    let start = cursor.at();
    pairs.clear();
    if cursor.peek() == Some(b'}') {
        cursor.advance();
        return Ok(Labels::of(cursor.since(start), 0));
    }
    let mut names = Names::default();
    loop {
        let at = cursor.at();
        let (label, is_quoted) = match cursor.peek() {
            Some(b'"') => (cursor.quoted()?, true),
            _ => (Text::plain(cursor.label_name().ok_or(Fault::syntax(at, "a label name"))?), false),
        };
        if label.raw.is_empty() {
            return Err(Fault::syntax(at, "a name that is not empty"));
        }
        match cursor.peek() {
            Some(b'=') => {
                cursor.advance();
                if cursor.peek() != Some(b'"') {
                    return Err(Fault::syntax(cursor.at(), "a label value in double quotes"));
                }
                let pair = Pair { name: label, value: cursor.quoted()? };
                check(at, &pair, max_labels, pairs, &mut names)?;
                pairs.push(pair);
            }
            Some(b',' | b'}') if is_quoted => {
                if name.is_some() {
                    return Err(Fault::syntax(at, "only one metric name"));
                }
                *name = Some(label.decode());
            }
            _ => return Err(Fault::syntax(cursor.at(), "\"=\" after the label name")),
        }
        match cursor.peek() {
            Some(b',') => cursor.advance(),
            Some(b'}') => break,
            _ => return Err(Fault::syntax(cursor.at(), "\",\" or \"}\" after the label value")),
        }
    }
    cursor.advance();
    Ok(Labels::of(cursor.since(start), pairs.len()))
}

fn check<'a>(
    at: usize,
    pair: &Pair<'a>,
    max_labels: usize,
    before: &[Pair<'a>],
    names: &mut Names<'a>,
) -> Result<(), Fault> {
    if before.len() == max_labels {
        return Err(Fault::limit(at, "no more labels than the limit"));
    }
    if pair.name.raw == METRIC_NAME_LABEL {
        return Err(Fault::syntax(at, "a label name other than __name__"));
    }
    if !names.is_new(pair.name, before.iter().map(|earlier| earlier.name)) {
        return Err(Fault::syntax(at, "each label name only once"));
    }
    Ok(())
}

/// Reads an exemplar's label set behind its `{`.
pub(super) fn exemplar_labels<'a>(
    cursor: &mut Cursor<'a>,
    max_labels: usize,
    scratch: &mut Vec<Pair<'a>>,
) -> Result<Labels<'a>, Fault> {
    let start = cursor.at();
    let mut name = None;
    let labels = labels(cursor, &mut name, max_labels, scratch)?;
    if name.is_some() {
        return Err(Fault::syntax(start, "labels alone: an exemplar has no metric name"));
    }
    let characters = |text: Text<'_>| text.decode().chars().count();
    let is_surely_short = cursor.at() - start <= MAX_EXEMPLAR_CHARACTERS;
    if !is_surely_short
        && scratch.iter().map(|pair| characters(pair.name) + characters(pair.value)).sum::<usize>()
            > MAX_EXEMPLAR_CHARACTERS
    {
        return Err(Fault::syntax(start, "at most 128 characters in an exemplar's label names and values"));
    }
    Ok(labels)
}
