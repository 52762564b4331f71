//! Texts in double quotes, and their escapes.

use std::borrow::Cow;
use std::collections::HashSet;

use super::error::Fault;

/// A text as it stands on the page, and whether it holds an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a str,
    pub(super) escaped: bool,
}

impl<'a> Text<'a> {
    /// A text without escapes.
    pub(super) const fn plain(raw: &'a str) -> Self {
        Self { raw, escaped: false }
    }

    /// Refuses an escape that the text format does not know, and a backslash at the end. The place counts from the
    /// text's start.
    pub(super) fn check_escapes(self) -> Result<(), Fault> {
        let bytes = self.raw.as_bytes();
        let mut at = 0;
        while self.escaped
            && let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest))
        {
            at += next;
            if !matches!(bytes.get(at + 1), Some(b'\\' | b'n' | b'"')) {
                return Err(Fault::syntax(at, "a backslash written as \\\\, or one of \\n and \\\""));
            }
            at += 2;
        }
        Ok(())
    }

    /// True when both texts mean the same.
    #[inline]
    pub(super) fn means(self, other: Self) -> bool {
        if self.escaped || other.escaped { self.decode() == other.decode() } else { self.raw == other.raw }
    }

    /// The text that is meant: `\\`, `\"` and `\n` decoded, any other backslash kept.
    pub(super) fn decode(self) -> Cow<'a, str> {
        if self.escaped { unescape(self.raw, true) } else { Cow::Borrowed(self.raw) }
    }
}

/// Tells names of one label set that mean the same. Each is decoded once at most: a stranger may write thousands of escapes.
#[derive(Default)]
pub(super) struct Names<'a> {
    /// From the first name with an escape on.
    decoded: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Names<'a> {
    /// True for a name unlike those `before`, which are all that were asked about.
    pub(super) fn is_new(&mut self, name: Text<'a>, mut before: impl Iterator<Item = Text<'a>>) -> bool {
        if self.decoded.is_none() && !name.escaped {
            return before.all(|earlier| earlier.raw != name.raw);
        }
        self.decoded.get_or_insert_with(|| before.map(Text::decode).collect()).insert(name.decode())
    }
}

/// Decodes `\\` and `\n`, and `\"` where quotes are escaped. An unknown escape stays as it is, as the Prometheus
/// server keeps it. HELP texts stand outside quotes, so that `\"` is no escape there.
pub(super) fn unescape(raw: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let mut decoded = String::with_capacity(raw.len());
    let (before, mut rest) = raw.split_at(first);
    decoded.push_str(before);
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        decoded.push_str(before);
        let meant = match from.as_bytes().get(1) {
            Some(b'\\') => Some('\\'),
            Some(b'n') => Some('\n'),
            Some(b'"') if quotes => Some('"'),
            _ => None,
        };
        // Both bytes of a known escape are ASCII, and so is a backslash alone.
        let (length, character) = meant.map_or((1, '\\'), |character| (2, character));
        decoded.push(character);
        rest = from.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes_are_decoded_once() {
        for (raw, meant) in [
            (r"plain", "plain"),
            (r"C:\\dir", r"C:\dir"),
            (r#"say \"hi\""#, "say \"hi\""),
            (r"two\nlines", "two\nlines"),
            (r"\\n", r"\n"),
            (r"\\\n", "\\\n"),
            ("ü\\\\é", "ü\\é"),
        ] {
            assert_eq!(unescape(raw, true), meant);
        }
        assert!(matches!(unescape("plain", true), Cow::Borrowed(_)));
    }

    #[test]
    fn unknown_escapes_stay_as_written() {
        for raw in [r"\t", r"a\x41", r"\é", r"end\"] {
            assert_eq!(unescape(raw, true), raw);
        }
        assert_eq!(unescape(r#"\""#, false), r#"\""#);
    }
}
