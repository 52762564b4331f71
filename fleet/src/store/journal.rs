//! The journal role: what happened to the fleet and to the collectors, and who changed what.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, AuditMarks, AuditRecord, Result};
use crate::server::ServerId;
use crate::time::Timestamp;

/// Kind of an event. Flips of health are no events of this kind: they have a log of their own, see
/// [`Transition`](crate::health::Transition).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An operator added a server.
    ServerAdded,
    /// A server was removed, by an operator or for its silence.
    ServerRemoved,
    /// Another host answers under the address of a server.
    AnotherHost,
    /// The database stopped answering; records go to the spool.
    StoreLost,
    /// The database answers again and the spool is empty.
    StoreBack,
    /// The spool was full: the oldest records were dropped.
    SpoolDropped,
    /// Servers fail, and a collector cannot tell whether its own network is to blame: they stay what they were.
    Unverified,
    /// Every server is verified again.
    Verified,
    /// A collector joined the fleet's collectors.
    CollectorJoined,
    /// A collector was stopped and gave its share back.
    CollectorLeft,
    /// The leases of a collector ran out: it ended without saying so, or is cut off.
    CollectorLost,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::ServerAdded,
        Self::ServerRemoved,
        Self::AnotherHost,
        Self::StoreLost,
        Self::StoreBack,
        Self::SpoolDropped,
        Self::Unverified,
        Self::Verified,
        Self::CollectorJoined,
        Self::CollectorLeft,
        Self::CollectorLost,
    ];

    /// The word in REST and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerAdded => "server_added",
            Self::ServerRemoved => "server_removed",
            Self::AnotherHost => "another_host",
            Self::StoreLost => "store_lost",
            Self::StoreBack => "store_back",
            Self::SpoolDropped => "spool_dropped",
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::CollectorJoined => "collector_joined",
            Self::CollectorLeft => "collector_left",
            Self::CollectorLost => "collector_lost",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// To which server, if to one.
    pub server: Option<ServerId>,
    /// The rest, for a person. May be empty.
    pub detail: String,
}

/// Keeps events and the audit. Both are deleted with retention.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Keeps events.
    async fn append_events(&self, events: Vec<Event>) -> Result<()>;

    /// The latest events before `before`, newest first, at most `limit`; of one server if given.
    async fn events(&self, server: Option<ServerId>, before: Timestamp, limit: usize) -> Result<Vec<Event>>;

    /// Appends an entry to the chain, after every entry whose call has returned; whoever appends, in whichever process.
    async fn append_audit(&self, entry: AuditEntry) -> Result<AuditRecord>;

    /// The latest entries with a number below `before` (from the newest on for `None`), newest first, at most `limit`.
    async fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>>;

    /// The entries with a number above `after`, oldest first, at most `limit`.
    async fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>>;

    /// The marks of the chain's ends.
    async fn audit_marks(&self) -> Result<AuditMarks>;
}
