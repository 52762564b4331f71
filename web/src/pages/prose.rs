//! A sentence in which instants stand, so that a page can show them in its reader's own time zone. Pure.

use std::fmt;

use mect_fleet::Timestamp;

use crate::pages::format;

/// A sentence, piece by piece; displayed, it is the sentence in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prose {
    pub(crate) pieces: Vec<Piece>,
}

/// Words, or an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What people read; an instant in UTC.
    pub(crate) text: String,
    pub(crate) instant: Option<Instant>,
}

/// An instant for a `<time>` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instant {
    /// RFC 3339.
    pub(crate) machine: String,
    /// UTC in full.
    pub(crate) full: String,
}

impl Prose {
    /// Begins with these words.
    pub(crate) fn of(words: impl Into<String>) -> Self {
        Self::default().words(words)
    }

    /// Goes on with these words.
    pub(crate) fn words(mut self, words: impl Into<String>) -> Self {
        self.pieces.push(Piece { text: words.into(), instant: None });
        self
    }

    /// Goes on with an instant, as exact as it must be at `now`.
    pub(crate) fn at(mut self, at: Timestamp, now: Timestamp) -> Self {
        let instant = Instant { machine: at.to_string(), full: format::utc(at) };
        self.pieces.push(Piece { text: format::instant(at, now), instant: Some(instant) });
        self
    }

    /// Goes on with ` since 14:02 UTC` where that is known.
    pub(crate) fn since(self, at: Option<Timestamp>, now: Timestamp) -> Self {
        match at {
            Some(at) => self.words(" since ").at(at, now),
            None => self,
        }
    }
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| f.write_str(&piece.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_stand_apart_from_the_words_around_them() {
        let at = Timestamp::from_secs(1_795_528_920);
        let prose = Prose::of("Down").since(Some(at), at).words(", connection refused").since(None, at);
        assert_eq!(prose.to_string(), "Down since 14:02 UTC, connection refused");
        let instants: Vec<_> = prose.pieces.iter().filter_map(|piece| piece.instant.as_ref()).collect();
        assert_eq!(instants.len(), 1);
        assert_eq!(instants[0].machine, "2026-11-24T14:02:00Z");
        assert_eq!(instants[0].full, "2026-11-24 14:02:00 UTC");
    }
}
