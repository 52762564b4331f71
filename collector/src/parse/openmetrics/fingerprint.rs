//! Remembers label sets by a hash that does not depend on the labels' order.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::labels::Pair;
use crate::parse::quoted::Text;

/// An odd number without a pattern: the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Label sets, each with the position of a sample that has it.
pub(super) struct Fingerprints {
    /// Drawn at random, so that no page can be made whose label sets all collide.
    seed: u64,
    known: HashMap<u64, usize, BuildHasherDefault<Unchanged>>,
}

impl Fingerprints {
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new().build_hasher().finish(), known: HashMap::default() }
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The fingerprint of a label set. Equal sets have the same; different ones nearly never.
    pub(super) fn of<'p, 'a: 'p>(&self, pairs: impl Iterator<Item = &'p Pair<'a>>) -> u64 {
        pairs.fold(0, |sum: u64, pair| sum.wrapping_add(self.text(self.text(self.seed, pair.name), pair.value)))
    }

    /// The position kept for an equal label set; without one, keeps `position` for this set. `is_equal` looks at the set
    /// of a position.
    pub(super) fn known_or_keep(
        &mut self,
        mut fingerprint: u64,
        position: usize,
        is_equal: impl Fn(usize) -> bool,
    ) -> Option<&mut usize> {
        while self.known.get(&fingerprint).is_some_and(|known| !is_equal(*known)) {
            fingerprint = mix(fingerprint, MULTIPLIER).wrapping_add(1);
        }
        let mut is_new = false;
        let kept = self.known.entry(fingerprint).or_insert_with(|| {
            is_new = true;
            position
        });
        (!is_new).then_some(kept)
    }

    fn text(&self, state: u64, text: Text<'_>) -> u64 {
        if text.escaped { bytes(state, text.decode().as_bytes()) } else { bytes(state, text.raw.as_bytes()) }
    }
}

fn bytes(mut state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word), MULTIPLIER);
    }
    let last = rest.iter().fold(1, |last: u64, byte| (last << 8) | u64::from(*byte));
    mix(state ^ last, MULTIPLIER ^ state.rotate_left(32))
}

/// Both halves of the product, folded.
#[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart")]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// A hasher for keys that are hashes.
#[derive(Default)]
struct Unchanged(u64);

impl Hasher for Unchanged {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not met: the keys are 64-bit numbers.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}
