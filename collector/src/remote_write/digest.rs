//! Sets of series, told apart without keeping them: 50,000 servers have millions of series.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A set of series by number and sum of their hashes. Two that are the same hold the same series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    series: u32,
    sum: u64,
}

/// The series that are told just now.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<u64>,
}

impl Seen {
    /// Notes a series. False when it was noted already: nobody may be sent one twice.
    pub(super) fn note(&mut self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.hashes.insert(hash(name, labels))
    }

    /// True for a series that was noted.
    pub(super) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.hashes.contains(&hash(name, labels))
    }

    /// What was noted.
    pub(super) fn digest(&self) -> Digest {
        let sum = self.hashes.iter().fold(0u64, |sum, hash| sum.wrapping_add(*hash));
        Digest { series: u32::try_from(self.hashes.len()).unwrap_or(u32::MAX), sum }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
    }
}

fn hash(name: &str, labels: &[(&str, &str)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, labels).hash(&mut hasher);
    hasher.finish()
}
