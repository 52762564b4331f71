//! The MongoDB store: a replica set that several collectors share, on the database of the system before this one.
//!
//! Of the collections `servers` and `users`, which that system filled and other programs read, everything of ours lies
//! in the sub-document `mect`; beside it we write only the fields that the old system wrote. All other collections
//! are ours alone.
//!
//! | module | holds |
//! |---|---|
//! | `connect` | the URL, and what a driver is told beside it |
//! | `error` | errors of the driver in the words of the store, without secrets |
//! | `command` | calls with a bound, and commands that the driver does not retry |
//! | `schema`, `adopt` | what the first start adds to a database |
//! | `server`, `date` | servers and standings as documents |
//! | `heartbeat` | scrapes as documents |
//! | `rollup`, `maintain` | hours summed up, and upkeep |
//! | `inspect` | what a database is like, without changing it |
//! | `inventory`, `recorder`, `history`, `accounts`, `journal`, `leases`, `changes`, `mailbox`, `transfer` | one role each |
//! | `superadmins` | changes of users after which a superadmin must be left |
//! | `audit` | the chain of the audit |
//!
//! Time-series collections know neither unique indexes nor transactions: a heartbeat may be stored twice, and every
//! reader drops the second. Knows nothing of schedules, pages or configuration.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::{Acknowledgment, ReturnDocument, WriteConcern};
use mongodb::{Client, Collection, Database};
use tokio::sync::OnceCell;

#[cfg(doc)]
use super::StoreError;
use super::{AuditAnchor, Result};
use crate::time::Timestamp;

mod accounts;
mod adopt;
mod audit;
mod changes;
mod command;
mod connect;
mod date;
mod error;
mod heartbeat;
mod history;
mod inspect;
mod inventory;
mod journal;
mod leases;
mod mailbox;
mod maintain;
mod recorder;
mod rollup;
mod schema;
mod server;
mod superadmins;
mod transfer;

pub use inspect::{Heartbeats, Inspection, inspect};

pub use connect::check_url;

/// The database when the URL's path names none.
pub const DEFAULT_DATABASE: &str = "vpn_monitor";

/// The time-series collection of scrapes.
const HEARTBEATS: &str = "heartbeats";

/// The sub-document of `servers` and `users` that holds everything of ours.
const OURS: &str = "mect";

/// A call to a database that answers takes less; one that hangs is given up. Above [`WRITE_WITHIN`], so that the
/// database tells first what it is waiting for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A write that no majority acknowledges within this time counts as failed, though it may take effect later.
const WRITE_WITHIN: Duration = Duration::from_secs(8);

/// What may be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Heartbeats and rollups older than this are deleted by the database. Default 30 days.
    pub retention: Duration,
}

impl Default for Options {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { retention: Duration::from_secs(30 * DAY) }
    }
}

/// A store in a MongoDB replica set. Plays every role; any number of processes may have it open.
pub struct Mongo {
    client: Client,
    /// Reads what a majority has, writes what a majority has journaled.
    database: Database,
    /// Every server: the old fields, and ours.
    servers: Collection<Document>,
    /// Every user: the old fields, and ours.
    users: Collection<Document>,
    sessions: Collection<Document>,
    tokens: Collection<Document>,
    grants: Collection<Document>,
    /// Identities of access tokens that are void before they expire.
    revoked: Collection<Document>,
    /// Scrapes, see `heartbeat`.
    heartbeats: Collection<Document>,
    /// Events and flips of health.
    events: Collection<Document>,
    /// The audit, see `audit`.
    audit: Collection<Document>,
    /// The newest entry of the audit as far as we know. Held while one is appended: only collectors compete.
    audit_head: tokio::sync::Mutex<Option<AuditAnchor>>,
    /// Hours summed up, see `rollup`.
    rollups: Collection<Document>,
    /// Hours to be summed up again.
    late: Collection<Document>,
    /// Who scrapes which shard, see `leases`.
    leases: Collection<Document>,
    /// The collectors that take part.
    collectors: Collection<Document>,
    leases_seeded: OnceCell<()>,
    /// What the last looks at changes found.
    seen_changes: Mutex<changes::Seen>,
    /// Facts about the database itself, one document each.
    meta: Collection<Document>,
    /// Start of the history, in milliseconds: what lies before is deleted, or about to be. Only ever raised.
    floor: AtomicI64,
    /// What opening it added.
    added: Vec<String>,
}

impl Mongo {
    /// Connects to the database that `url` names ([`DEFAULT_DATABASE`] if it names none) and adds what is missing in
    /// it; what it added is logged. Needs a server of version 5 or later that is part of a replica set; one node is
    /// enough.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the URL cannot be used, or the database holds what cannot be taken over;
    /// [`StoreError::NewerSchema`] when a newer program wrote it; [`StoreError::Backend`] when nobody answers within
    /// some seconds. No error text holds the URL's password.
    pub async fn open(url: &str, options: Options) -> Result<Self> {
        let mut store = Self::connect(url).await?;
        store.added = store.prepare(options).await?;
        store.raise_floor(Timestamp::from_millis(i64::MIN)).await?;
        Ok(store)
    }

    /// A store that was not looked at yet.
    async fn connect(url: &str) -> Result<Self> {
        let (client, name) = connect::client(url).await?;
        let database = client.database(&name);
        Ok(Self {
            servers: database.collection("servers"),
            users: database.collection("users"),
            sessions: database.collection("sessions"),
            tokens: database.collection("api_tokens"),
            grants: database.collection("grants"),
            revoked: database.collection("revoked"),
            heartbeats: database.collection(HEARTBEATS),
            events: database.collection("events"),
            audit: database.collection("audit"),
            audit_head: tokio::sync::Mutex::default(),
            rollups: database.collection("rollups"),
            late: database.collection("rollups_late"),
            leases: database.collection("leases"),
            collectors: database.collection("collectors"),
            leases_seeded: OnceCell::new(),
            seen_changes: Mutex::default(),
            meta: database.collection("meta"),
            floor: AtomicI64::new(i64::MIN),
            added: Vec::new(),
            client,
            database,
        })
    }

    /// Ends every connection. A store that is dropped without it leaves that to the process' end.
    pub async fn close(self) {
        self.client.shutdown().await;
    }

    /// What opening added to the database, for a person; empty from the second start on.
    pub fn added(&self) -> &[String] {
        &self.added
    }

    /// Start of the history.
    fn floor(&self) -> Timestamp {
        Timestamp::from_millis(self.floor.load(Ordering::Relaxed))
    }

    /// Raises the start of the history, for every collector, and returns it: another one may have raised it higher.
    async fn raise_floor(&self, to: Timestamp) -> Result<Timestamp> {
        let raise = doc! { "$max": { "floor": to.as_millis() } };
        let raise = self.meta.find_one_and_update(doc! { "_id": "history" }, raise).upsert(true);
        let raised = self.call(raise.return_document(ReturnDocument::After)).await?;
        let floor = raised.and_then(|history| history.get_i64("floor").ok()).unwrap_or(to.as_millis());
        self.floor.fetch_max(floor, Ordering::Relaxed);
        Ok(Timestamp::from_millis(floor))
    }
}

/// What every write is acknowledged by.
fn write_concern() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(WRITE_WITHIN).build()
}
