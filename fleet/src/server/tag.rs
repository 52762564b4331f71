//! Tags: short words by which an operator groups servers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A server carries at most this many tags: they are words to filter by, not data.
pub const MAX_TAGS: usize = 32;
/// Characters of a tag at most.
const MAX_CHARS: usize = 32;

/// One tag: 1 to 32 lower-case letters, digits, `.`, `_`, `:` or `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Tag(String);

/// A text that is no tag.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a tag: expected 1 to 32 of a-z, 0-9, `.`, `_`, `:` and `-`, beginning with a letter or digit")]
pub struct InvalidTag;

impl Tag {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;
    fn try_from(text: String) -> Result<Self, InvalidTag> {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._:-".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if begins_well && text.len() <= MAX_CHARS && text.bytes().all(is_inner) {
            Ok(Self(text))
        } else {
            Err(InvalidTag)
        }
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;
    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_words_are_tags() {
        for good in ["a", "eu-west", "rack:7", "10g", &"a".repeat(32)] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "Eu", "a b", "ä", "a\0", "a,b", "{\"$gt\":\"\"}", &"a".repeat(33)] {
            assert_eq!(bad.parse::<Tag>(), Err(InvalidTag), "{bad}");
        }
    }
}
