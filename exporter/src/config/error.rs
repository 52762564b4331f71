//! Errors that tell an operator where to look and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// A setting that cannot be used. Shows as `file:line: key: problem`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigError {
    file: Option<PathBuf>,
    line: Option<usize>,
    key: Option<String>,
    problem: String,
}

impl ConfigError {
    /// What is wrong, and what is allowed.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), ..Self::default() }
    }

    /// Names the setting, e.g. `uplink.device` or `--listen`, unless a more exact one is named already.
    #[must_use]
    pub fn about(mut self, key: impl Into<String>) -> Self {
        self.key.get_or_insert_with(|| key.into());
        self
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Names the line of the byte at `offset` in `text`, unless a more exact one is named already.
    #[must_use]
    pub fn at(mut self, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        self.line.get_or_insert_with(|| before.iter().filter(|byte| **byte == b'\n').count() + 1);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(formatter, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(formatter, "{line}:")?;
            }
            formatter.write_str(" ")?;
        }
        if let Some(key) = &self.key {
            write!(formatter, "{key}: ")?;
        }
        formatter.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// "unknown key", with the nearest known one when it is near enough to be meant, and all that are allowed.
pub(super) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    /// Two slips of the finger; beyond that a guess would mislead.
    const MOST_EDITS: usize = 2;
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(given, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= MOST_EDITS && *edits < candidate.len())
        .min();
    let guess = nearest.map(|(_, candidate)| format!(" Did you mean {candidate:?}?")).unwrap_or_default();
    format!("unknown {what} {given:?}.{guess} Allowed are: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        let error = ConfigError::new("bad").about("key").in_file(Path::new("/etc/x.toml")).at("a\nb\nc", 4);
        assert_eq!(error.to_string(), "/etc/x.toml:3: key: bad");
        assert_eq!(ConfigError::new("bad").to_string(), "bad");
    }

    #[test]
    fn only_a_near_key_is_suggested() {
        assert!(unknown("key", "lisen", &["listen", "uplink"]).contains("Did you mean \"listen\"?"));
        assert!(!unknown("key", "colour", &["listen", "uplink"]).contains("mean"));
    }
}
