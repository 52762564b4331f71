//! Sign-ins of programs that go on: what a refresh token stands for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A sign-in that lasts by refresh tokens, each good for one use: with every use another secret takes its place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Stays the same as long as the sign-in lasts; stands in its access tokens.
    pub id: [u8; 16],
    /// SHA-256 of the secret that is good for the next use.
    pub digest: [u8; 32],
    /// Who signed in.
    pub username: String,
    /// The user's epoch at that time.
    pub epoch: u64,
    /// When.
    pub created_at: Timestamp,
    /// Void from then on.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Grant {
    /// Leaves the digest out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("username", &self.username)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How the use of a refresh token ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The next secret is in place.
    Renewed(Grant),
    /// The secret was used before: somebody holds a copy. The sign-in is over, for both of them.
    Reused(Grant),
    /// There is no such sign-in, or no more.
    Unknown,
}
