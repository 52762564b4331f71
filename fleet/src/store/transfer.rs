//! The transfer role: what it takes, beside the other roles, to move a fleet from one store to another. See
//! [`crate::migration`], the only one that calls it.
//!
//! Everything that is put falls on itself when it is put again, so that a move that broke off is begun anew. Sessions
//! and grants are not moved: people and programs sign in again.

use async_trait::async_trait;

use super::{AuditMarks, AuditRecord, Event, Point, Result};
use crate::account::{ApiToken, User};
use crate::health::Transition;
use crate::server::{Server, ServerId};
use crate::time::Timestamp;
use crate::view::Standing;

/// What a store that took part in a move remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Drawn once for a fleet, and the same wherever the fleet is moved.
    pub fleet: u32,
    /// A move into this store has begun and not ended: not everything is there.
    pub unfinished: bool,
}

/// Position of an entry in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Time of the entry.
    pub at: Timestamp,
    /// Number among the entries of this millisecond, in the order in which they were kept.
    pub number: u64,
}

impl Position {
    /// The first position of that millisecond.
    pub const fn first(at: Timestamp) -> Self {
        Self { at, number: 0 }
    }

    /// The position after this one.
    pub const fn next(self) -> Self {
        Self { at: self.at, number: self.number + 1 }
    }
}

/// The scrapes of one server.
pub type OfServer = (ServerId, Vec<Point>);

/// Identity of access tokens that are void, and until when that must be remembered.
pub type Revocation = ([u8; 16], Timestamp);

/// Gives and takes what a store holds, as it is. Nobody else writes meanwhile.
#[async_trait]
pub trait Transfer: Send + Sync {
    /// What the store remembers of moves; `None` before the first.
    async fn mark(&self) -> Result<Option<Mark>>;

    /// Replaces what the store remembers of moves.
    async fn set_mark(&self, mark: Mark) -> Result<()>;

    /// Names of the collectors that have the store open now.
    async fn collectors(&self) -> Result<Vec<String>>;

    /// Puts servers with their identities and standings in the place of what is there of them.
    async fn put_servers(&self, servers: Vec<(Server, Standing)>) -> Result<()>;

    /// Puts users in the place of what is there of them.
    async fn put_users(&self, users: Vec<User>) -> Result<()>;

    /// Puts API tokens.
    async fn put_tokens(&self, tokens: Vec<ApiToken>) -> Result<()>;

    /// Transitions from `from` on and behind `after`, oldest first, at most `limit`; those of the same millisecond by
    /// server and number.
    async fn transitions_page(
        &self,
        from: Timestamp,
        after: Option<&Transition>,
        limit: usize,
    ) -> Result<Vec<Transition>>;

    /// Puts transitions; of one that is there already the first stays.
    async fn put_transitions(&self, transitions: Vec<Transition>) -> Result<()>;

    /// Events from a position on, oldest first, at most `limit`.
    async fn events_page(&self, from: Position, limit: usize) -> Result<Vec<(Position, Event)>>;

    /// Puts events at their positions.
    async fn put_events(&self, events: Vec<(Position, Event)>) -> Result<()>;

    /// Puts entries of the audit in their places in the chain.
    async fn put_audit(&self, records: Vec<AuditRecord>) -> Result<()>;

    /// Puts the marks of the chain's ends; what lies up to its floor is deleted.
    async fn put_audit_marks(&self, marks: AuditMarks) -> Result<()>;

    /// Access tokens that were made void, and until when that is remembered.
    async fn revocations(&self) -> Result<Vec<Revocation>>;

    /// Servers that were scraped on that UTC day (days since the epoch), in order; also such as are forgotten by now.
    async fn servers_of(&self, day: i64) -> Result<Vec<ServerId>>;

    /// Their scrapes of that day, in order of time. Servers without any are left out.
    async fn points_of(&self, servers: &[ServerId], day: i64) -> Result<Vec<OfServer>>;

    /// Puts scrapes of that day beside those that are there; one that is there already stays. Keeps what is summed up
    /// in step.
    async fn put_points(&self, day: i64, points: Vec<OfServer>) -> Result<()>;

    /// Called once everything is put: the history up to `now` is whole.
    async fn finish(&self, now: Timestamp) -> Result<()>;
}
