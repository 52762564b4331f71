//! Turns what the TOML reader refuses into a sentence with file, line, key and what is allowed.

use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// A configuration that cannot be used. Displays as one sentence that says where and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// A problem at a place that is no file, such as an environment variable.
    pub fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    /// A file that cannot be read.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::at(path.display().to_string(), format!("cannot be read: {error}"))
    }
}

/// Explains an error of the TOML reader.
pub(super) fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = line_at(text, offset);
    let place = format!("{}:{line}", path.display());
    let message = error.message().trim_end();
    if let Some((unknown, allowed)) = unknown_field(message) {
        return ConfigError::at(place, unknown_key(unknown, &allowed));
    }
    let problem = match key_on_line(text, line) {
        Some(key) => format!("key `{key}`: {}", in_plain_words(message)),
        None => in_plain_words(message),
    };
    ConfigError::at(place, problem)
}

/// Refuses the value of `key` (a dotted path); says what is allowed.
pub(super) fn refuse(path: &Path, text: &str, key: &str, allowed: &str) -> ConfigError {
    let place = match line_of(text, key, None) {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    ConfigError::at(place, format!("key `{key}`: allowed is {allowed}"))
}

/// Refuses one of several values of `key`: the one whose line holds `value`.
pub(super) fn refuse_value(path: &Path, text: &str, key: &str, value: &str, problem: &str) -> ConfigError {
    let place = match line_of(text, key, Some(value)) {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    ConfigError::at(place, format!("key `{key}`: {problem}"))
}

/// Names an unknown key, the nearest known one and all that are allowed.
pub(super) fn unknown_key(unknown: &str, allowed: &[&str]) -> String {
    /// Below this likeness (0–1) a suggestion would confuse more than it helps.
    const LIKE: f64 = 0.6;
    let nearest = allowed
        .iter()
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= LIKE);
    let hint = nearest.map_or(String::new(), |(_, known)| format!(" (did you mean `{known}`?)"));
    format!("unknown key `{unknown}`{hint}. Allowed here: {}", allowed.join(", "))
}

/// Serde's "unknown field" message in parts: the field, and the fields it expected.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    Some((unknown, quoted.collect()))
}

/// The 1-based line that holds the byte at `offset`.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

fn key_on_line(text: &str, line: usize) -> Option<&str> {
    let (key, _) = text.lines().nth(line.checked_sub(1)?)?.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))).then_some(key)
}

/// The line where the dotted key is set (to something that holds `value`, if given), however it is spelled.
fn line_of(text: &str, dotted: &str, value: Option<&str>) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let keys: Vec<&str> = dotted.split('.').collect();
    let at = place_in(document.get_ref(), &keys, text, value)?;
    Some(line_at(text, at))
}

fn place_in(table: &DeTable<'_>, keys: &[&str], text: &str, value: Option<&str>) -> Option<usize> {
    let (first, rest) = keys.split_first()?;
    let (key, set) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match set.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => place_in(inner, rest, text, value),
        DeValue::Array(items) if !rest.is_empty() => {
            items.iter().filter_map(|item| item.get_ref().as_table()).find_map(|t| place_in(t, rest, text, value))
        }
        _ if rest.is_empty() => {
            let is_meant = value.is_none_or(|value| text.get(set.span()).is_some_and(|set| set.contains(value)));
            is_meant.then(|| key.span().start)
        }
        _ => None,
    }
}

/// What the reader says, in words that do not need a programmer.
fn in_plain_words(message: &str) -> String {
    let words = [
        ("expected f64", "allowed is a number"),
        ("expected usize", "allowed is a whole number, 1 or more"),
        ("expected u32", "allowed is a whole number that is not negative"),
        ("expected a sequence", "allowed is a list"),
        ("expected a boolean", "allowed is true or false"),
        ("invalid socket address syntax", "allowed is an address with a port, for example 127.0.0.1:8000"),
    ];
    words.iter().fold(message.replace('\n', "; "), |text, (from, to)| text.replace(from, to))
}
