//! What stands in braces behind, or around, a metric name.

use std::borrow::Cow;
use std::fmt;

use super::error::Fault;
use super::line::Cursor;
use super::quoted::{Names, Text};

/// The label that holds the metric name in every store; a page may not set it.
pub(super) const METRIC_NAME_LABEL: &str = "__name__";

/// One label, decoded. Owned only where the page escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label<'a> {
    /// The name, never empty.
    pub name: Cow<'a, str>,
    /// The value, perhaps empty.
    pub value: Cow<'a, str>,
}

/// The labels of one sample, known to be valid, in page order. Read from the page again when asked for: most
/// samples are passed over by name, and their labels are never needed.
#[derive(Clone, Copy, Default)]
pub struct Labels<'a> {
    /// From behind `{` to behind `}`; empty without braces.
    braces: &'a str,
    count: usize,
}

impl<'a> Labels<'a> {
    /// The labels in `braces`, a text that was read as `count` of them.
    pub(super) const fn of(braces: &'a str, count: usize) -> Self {
        Self { braces, count }
    }

    /// How many labels there are.
    pub const fn len(self) -> usize {
        self.count
    }

    /// True without labels.
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The labels in page order.
    pub fn iter(self) -> impl Iterator<Item = Label<'a>> {
        self.entries().map(|(name, value)| Label { name: name.decode(), value: value.decode() })
    }

    /// The value of the label `name`; `None` when the sample has no such label.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.entries().find(|(text, _)| text.decode() == name).map(|(_, value)| value.decode())
    }

    fn entries(self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
        let mut cursor = Cursor::new(self.braces);
        let mut left = self.count;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            loop {
                match entry(&mut cursor) {
                    Ok(Some(Entry::Label { name, value, .. })) => return Some((name, value)),
                    Ok(Some(Entry::MetricName { .. })) => {}
                    // Cannot be: the same text was read before.
                    Ok(None) | Err(_) => return None,
                }
            }
        })
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|label| (label.name, label.value))).finish()
    }
}

impl PartialEq for Labels<'_> {
    /// Equal names and values in the same order, however they are written.
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

/// What one place between commas holds.
enum Entry<'a> {
    Label { at: usize, name: Text<'a>, value_at: usize, value: Text<'a> },
    MetricName { at: usize, name: Text<'a> },
}

/// Reads one entry and the comma behind it, or the closing brace (`None`).
fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Entry<'a>>, Fault> {
    cursor.skip_blanks();
    let at = cursor.at();
    let (name, is_quoted) = match cursor.peek() {
        Some(b'}') => {
            cursor.advance();
            return Ok(None);
        }
        Some(b'"') => (cursor.quoted()?, true),
        _ => match cursor.label_name() {
            Some(name) => (Text::plain(name), false),
            None => return Err(Fault::syntax(at, "a label name or \"}\"")),
        },
    };
    if is_quoted && name.raw.is_empty() {
        return Err(Fault::syntax(at, "a name that is not empty"));
    }
    cursor.skip_blanks();
    let entry = match cursor.peek() {
        Some(b'=') => {
            cursor.advance();
            cursor.skip_blanks();
            if cursor.peek() != Some(b'"') {
                return Err(Fault::syntax(cursor.at(), "a label value in double quotes"));
            }
            let value_at = cursor.at() + 1;
            let value = cursor.quoted()?;
            cursor.skip_blanks();
            Entry::Label { at, name, value_at, value }
        }
        Some(b',' | b'}') if is_quoted => Entry::MetricName { at, name },
        _ if is_quoted => return Err(Fault::syntax(cursor.at(), "\"=\", \",\" or \"}\" after the quoted name")),
        _ => return Err(Fault::syntax(cursor.at(), "\"=\" after the label name")),
    };
    match cursor.peek() {
        Some(b',') => cursor.advance(),
        Some(b'}') => {}
        _ => return Err(Fault::syntax(cursor.at(), "\",\" or \"}\" after the label value")),
    }
    Ok(Some(entry))
}

/// Reads a label set behind its `{`. `name` is the metric name if it stood before the braces, and is set if it
/// stands inside. `seen` is working memory, kept by the caller to be reused.
pub(super) fn labels<'a>(
    cursor: &mut Cursor<'a>,
    name: &mut Option<Cow<'a, str>>,
    max_labels: usize,
    seen: &mut Vec<Text<'a>>,
) -> Result<Labels<'a>, Fault> {
    let start = cursor.at();
    seen.clear();
    let mut names = Names::default();
    loop {
        match entry(cursor)? {
            Some(Entry::Label { at, name: label, value_at, value }) => {
                if seen.len() == max_labels {
                    return Err(Fault::limit(at, "no more labels than the limit"));
                }
                if label.raw == METRIC_NAME_LABEL {
                    return Err(Fault::syntax(at, "a label name other than __name__"));
                }
                if !names.is_new(label, seen.iter().copied()) {
                    return Err(Fault::syntax(at, "each label name only once"));
                }
                if label.escaped || value.escaped {
                    label.check_escapes().map_err(|fault| fault.behind(at + 1))?;
                    value.check_escapes().map_err(|fault| fault.behind(value_at))?;
                }
                seen.push(label);
            }
            Some(Entry::MetricName { at, name: quoted }) => {
                if name.is_some() {
                    return Err(Fault::syntax(at, "only one metric name"));
                }
                quoted.check_escapes().map_err(|fault| fault.behind(at + 1))?;
                *name = Some(quoted.decode());
            }
            None => break,
        }
    }
    Ok(Labels { braces: cursor.since(start), count: seen.len() })
}
