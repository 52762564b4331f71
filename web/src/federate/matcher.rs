//! What a selector asks of one label.

use regex::{Regex, RegexBuilder};

/// Bytes that one regular expression may become: a list of a thousand names fits, a repetition of repetitions does not.
const MAX_REGEX_BYTES: usize = 256 * 1024;

/// A test of one label.
#[derive(Debug)]
pub(super) struct Matcher {
    /// The label's name.
    pub(super) label: Box<str>,
    pub(super) test: Test,
}

/// What a label's value must be. A label that is not there is the empty text.
#[derive(Debug)]
pub(super) enum Test {
    Is(Box<str>),
    IsNot(Box<str>),
    Like(Regex),
    Unlike(Regex),
}

impl Test {
    /// The value as a whole must match.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(super) fn like(expression: &str) -> Result<Self, String> {
        anchored(expression).map(Self::Like)
    }

    /// The value as a whole must not match.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(super) fn unlike(expression: &str) -> Result<Self, String> {
        anchored(expression).map(Self::Unlike)
    }

    pub(super) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => **wanted == *value,
            Self::IsNot(unwanted) => **unwanted != *value,
            Self::Like(regex) => regex.is_match(value),
            Self::Unlike(regex) => !regex.is_match(value),
        }
    }
}

fn anchored(expression: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&format!("^(?:{expression})$"));
    builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        // Several lines that draw where; the last one says what.
        error => {
            let text = error.to_string();
            let what = text.lines().next_back().unwrap_or_default().trim();
            what.strip_prefix("error: ").unwrap_or(what).to_owned()
        }
    })
}
