//! Whether the store answers: told by whoever records, read by whoever serves.

use crate::time::Timestamp;

/// What is known of a store that may be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreState {
    /// The latest call was answered.
    #[default]
    Answers,
    /// Calls fail or are not answered in time. The fleet is served from memory, and nothing can be edited.
    Lost {
        /// When the first call failed.
        since: Timestamp,
    },
}

impl StoreState {
    /// True while the store is away.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}
