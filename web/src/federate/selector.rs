//! Selectors of series, as in `match[]=up{country_code="DE"}`, and the grammar in which they are written: PromQL's
//! for instant vectors, without `offset`, `@` and quoted names.
//!
//! Written by hand: the one parser for PromQL that there is as a crate does not say where a selector is wrong.

use std::borrow::Cow;

use super::derived::{begins_as_ours, is_ours};
use super::matcher::{Matcher, Test};

/// The label that holds a series' name.
const NAME: &str = "__name__";

/// What one `match[]` selects: series for which every matcher holds.
#[derive(Debug)]
pub(super) struct Selector {
    matchers: Vec<Matcher>,
}

/// Why a text is no selector.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The character at which it is wrong, from 1.
    pub(super) character: usize,
    /// What may stand there.
    pub(super) expected: Cow<'static, str>,
}

impl Selector {
    /// Selects every series, which nobody may ask for.
    pub(super) fn of_all() -> Self {
        Self { matchers: Vec::new() }
    }

    /// Reads a selector.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        let read = cursor.selector();
        read.map(|matchers| Self { matchers }).map_err(|(at, expected)| {
            let before = text.get(..at).unwrap_or(text);
            Fault { character: before.chars().count() + 1, expected }
        })
    }

    /// Its matchers of series' names.
    pub(super) fn of_name(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().filter(|matcher| *matcher.label == *NAME)
    }

    /// True when no series of a page can match, only those that we make.
    pub(super) fn is_of_ours(&self) -> bool {
        self.of_name().any(|matcher| matcher.test.accepts_only(is_ours, begins_as_ours))
    }

    /// Its other matchers.
    pub(super) fn of_labels(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().filter(|matcher| *matcher.label != *NAME)
    }
}

/// Where it is wrong, in bytes, and what may stand there.
type Wrong = (usize, Cow<'static, str>);

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn selector(&mut self) -> Result<Vec<Matcher>, Wrong> {
        let mut matchers = Vec::new();
        self.skip_blanks();
        let start = self.at;
        let name = self.name(true);
        if let Some(name) = name {
            matchers.push(Matcher { label: NAME.into(), test: Test::Is(name.into()) });
        }
        self.skip_blanks();
        let has_braces = self.take("{");
        if has_braces {
            self.matchers(&mut matchers, name.is_some())?;
        } else if name.is_none() {
            return Err(wrong(self.at, "a metric name or `{`"));
        }
        self.skip_blanks();
        if self.at < self.text.len() {
            let expected = if has_braces { "the end of the selector" } else { "`{` or the end" };
            return Err(wrong(self.at, expected));
        }
        // Or a slip would ask for everything.
        if matchers.iter().all(|matcher| matcher.test.accepts("")) {
            return Err(wrong(start, "at least one matcher that does not match the empty text"));
        }
        Ok(matchers)
    }

    /// Up to and with the closing brace.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>, is_named: bool) -> Result<(), Wrong> {
        loop {
            self.skip_blanks();
            if self.take("}") {
                return Ok(());
            }
            let at = self.at;
            let label = self.name(false).ok_or_else(|| wrong(at, "a label name or `}`"))?;
            if is_named && label == NAME {
                return Err(wrong(at, "no second metric name"));
            }
            self.skip_blanks();
            let test = self.test()?;
            matchers.push(Matcher { label: label.into(), test });
            self.skip_blanks();
            if !self.take(",") && !self.rest().starts_with('}') {
                return Err(wrong(self.at, "`,` or `}`"));
            }
        }
    }

    fn test(&mut self) -> Result<Test, Wrong> {
        let found = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.take(operator));
        let Some(operator) = found else { return Err(wrong(self.at, "`=`, `!=`, `=~` or `!~`")) };
        self.skip_blanks();
        let at = self.at;
        let text = self.quoted()?;
        let test = match operator {
            "=~" => Test::like(&text),
            "!~" => Test::unlike(&text),
            "!=" => Ok(Test::IsNot(text.into())),
            _ => Ok(Test::Is(text.into())),
        };
        test.map_err(|problem| (at, format!("a regular expression: {problem}").into()))
    }

    /// A metric name, in which colons may stand, or a label name.
    fn name(&mut self, is_metric: bool) -> Option<&'a str> {
        let rest = self.rest();
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (is_metric && byte == b':');
        let end = rest.bytes().position(|byte| !is_inner(byte)).unwrap_or(rest.len());
        let name = rest.get(..end).filter(|name| !name.is_empty() && !name.as_bytes()[0].is_ascii_digit())?;
        self.at += end;
        Some(name)
    }

    /// A text in quotes of one of the three kinds, with Go's escapes but in backticks.
    fn quoted(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        let quote = self.next().filter(|quote| matches!(quote, '"' | '\'' | '`'));
        let Some(quote) = quote else { return Err(wrong(start, "a text in quotes")) };
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(wrong(at, "a closing quote")),
                Some(end) if end == quote => return Ok(text),
                Some('\n') if quote != '`' => return Err(wrong(at, "a closing quote on the same line")),
                Some('\\') if quote != '`' => {
                    let escaped =
                        self.escaped(quote).ok_or_else(|| wrong(at, r#"an escape such as `\\`, `\"` or `\n`"#))?;
                    text.push(escaped);
                }
                Some(other) => text.push(other),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Option<char> {
        Some(match self.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            'x' => self.number(2, 16)?,
            'u' => self.number(4, 16)?,
            'U' => self.number(8, 16)?,
            '0'..='7' => {
                self.at -= 1;
                self.number(3, 8)?
            }
            same if same == quote => same,
            _ => return None,
        })
    }

    fn number(&mut self, digits: usize, base: u32) -> Option<char> {
        let text = self.rest().get(..digits)?;
        self.at += digits;
        char::from_u32(u32::from_str_radix(text, base).ok()?)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        self.at += if is_there { token.len() } else { 0 };
        is_there
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

fn wrong(at: usize, expected: &'static str) -> Wrong {
    (at, expected.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the selector takes the series.
    fn takes(selector: &str, name: &str, labels: &[(&str, &str)]) -> bool {
        let selector = Selector::parse(selector).unwrap_or_else(|fault| panic!("{selector}: {fault:?}"));
        let value = |label: &str| labels.iter().find(|(known, _)| *known == label).map_or("", |(_, value)| value);
        selector.of_name().all(|matcher| matcher.test.accepts(name))
            && selector.of_labels().all(|matcher| matcher.test.accepts(value(&matcher.label)))
    }

    #[test]
    fn series_are_selected_as_promql_does() {
        let labels = [("country_code", "DE"), ("path", "a\"b\\c\n")];
        for (selector, expected) in [
            ("up", true),
            (" up { } ", true),
            ("down", false),
            ("job:up:sum", false),
            (r#"{__name__="up"}"#, true),
            (r#"{__name__=~"u.|down"}"#, true),
            (r#"{__name__=~"u"}"#, false),
            (r#"up{country_code="DE",}"#, true),
            (r#"up{country_code=~"D",}"#, false),
            (r#"up{country_code=~"D.|NL",}"#, true),
            (r#"up{country_code!="NL", city=""}"#, true),
            (r#"up{country_code!~"D.*"}"#, false),
            (r#"up{city!=""}"#, false),
            (r#"up{city=~".*"}"#, true),
            (r#"up{path="a\"b\\c\n"}"#, true),
            (r#"up{path='a"b\\c\n'}"#, true),
            ("up{path=`a\"b\\c\n`}", true),
            (r#"up{country_code="\x44\105"}"#, true),
            (r#"{country_code="DE"}"#, true),
            (r#"{country_code="DE", country_code="NL"}"#, false),
        ] {
            assert_eq!(takes(selector, "up", &labels), expected, "{selector}");
        }
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (selector, character, expected) in [
            ("", 1, "a metric name or `{`"),
            ("9up", 1, "a metric name or `{`"),
            ("up{", 4, "a label name or `}`"),
            ("up{ä=\"x\"}", 4, "a label name or `}`"),
            ("up{job}", 7, "`=`, `!=`, `=~` or `!~`"),
            ("up{job=x}", 8, "a text in quotes"),
            ("up{job=\"x}", 11, "a closing quote"),
            ("up{job=\"é\" x", 12, "`,` or `}`"),
            ("up{job=\"\\d\"}", 9, r#"an escape such as `\\`, `\"` or `\n`"#),
            ("up[5m]", 3, "`{` or the end"),
            ("up offset 5m", 4, "`{` or the end"),
            ("up{job=\"x\"}[5m]", 12, "the end of the selector"),
            ("up{__name__=\"x\"}", 4, "no second metric name"),
            ("{}", 1, "at least one matcher that does not match the empty text"),
            ("{job=~\".*\"}", 1, "at least one matcher that does not match the empty text"),
            ("{job!=\"x\"}", 1, "at least one matcher that does not match the empty text"),
        ] {
            let fault = Selector::parse(selector).unwrap_err();
            assert_eq!((fault.character, &*fault.expected), (character, expected), "{selector}");
        }
        let fault = Selector::parse("up{job=~\"(\"}").unwrap_err();
        assert_eq!((fault.character, &*fault.expected), (9, "a regular expression: unclosed group"));
        let fault = Selector::parse("up{job=~\"(a{1000}){1000}\"}").unwrap_err();
        assert!(fault.expected.contains("too large"), "{fault:?}");
    }
}
