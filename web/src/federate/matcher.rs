//! What a selector asks of one label.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

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

    /// True when it can be told that every value it accepts is one of those that `holds_whole` knows, or begins as
    /// `holds_start` knows.
    pub(super) fn accepts_only(&self, holds_whole: impl Fn(&str) -> bool, holds_start: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Is(wanted) => holds_whole(wanted),
            Self::Like(regex) => {
                let starts = regex_syntax::parse(regex.as_str()).ok().map(|parsed| Extractor::new().extract(&parsed));
                let starts = starts.as_ref().and_then(|starts| starts.literals()).unwrap_or_default();
                let holds = |start: &regex_syntax::hir::literal::Literal| {
                    std::str::from_utf8(start.as_bytes())
                        .is_ok_and(|text| holds_start(text) || (start.is_exact() && holds_whole(text)))
                };
                !starts.is_empty() && starts.iter().all(holds)
            }
            Self::IsNot(_) | Self::Unlike(_) => false,
        }
    }
}

/// The expression for the whole of a text, in which a dot stands for a line's end as well, as in Prometheus.
fn anchored(expression: &str) -> Result<Regex, String> {
    // By itself first: what closes a bracket that it did not open must not get out of ours.
    build(expression)?;
    build(&format!("^(?s:{expression})$"))
}

fn build(expression: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(expression);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_the_whole_text_and_nothing_gets_around_that() {
        let like = Test::like("a|b.*").unwrap();
        assert!(like.accepts("a") && like.accepts("b\nc") && !like.accepts("xa") && !like.accepts("ac"));
        assert!(Test::like("a)|(?:b").is_err());
    }

    #[test]
    fn what_an_expression_can_accept_is_known_by_its_start() {
        let is_known = |test: Result<Test, String>| {
            test.unwrap().accepts_only(|whole| whole == "up", |start| start.starts_with("vpn_fleet_"))
        };
        for known in ["vpn_fleet_.*", "vpn_fleet_(a|b)|up", "up", "vpn_fleet_servers"] {
            assert!(is_known(Test::like(known)), "{known}");
        }
        for unknown in
            ["vpn_.*", "up.*", "vpn_fleet_.*|node_load1", ".*", "", "(vpn_fleet_)?x", "vpn_fleet", "(?i)vpn_fleet_a"]
        {
            assert!(!is_known(Test::like(unknown)), "{unknown}");
        }
        assert!(is_known(Ok(Test::Is("up".into()))) && !is_known(Ok(Test::IsNot("up".into()))));
        assert!(!is_known(Test::unlike("vpn_fleet_.*")));
    }
}
