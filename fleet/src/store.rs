//! Where the fleet is kept: one small trait per role, a backend chosen once at the start.
//!
//! Every backend passes the same [`story`]. A call that returns `Ok` is durable: neither a crash of the process nor of
//! the machine undoes it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::account::{Session, User};
use crate::health::{Health, Transition};
use crate::report::{FailureReason, Report};
use crate::server::{FlagsPatch, Place, Server, ServerId};
use crate::time::Timestamp;
use crate::view::Standing;

pub mod embedded;
#[doc(hidden)]
pub mod story;

/// What can go wrong in a store. Nothing of a failed call is kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the data directory.
    #[error("{path} is in use by another collector; stop it, or choose another `data_dir`")]
    Locked {
        /// The file that is held.
        path: String,
    },
    /// The data was written by a newer version of this program.
    #[error("{path} has schema version {found}, this program knows up to {known}; run the newer program")]
    NewerSchema {
        /// The file.
        path: String,
        /// Version on disk.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// A unique name is taken, or a record changed since it was read.
    #[error("{0}")]
    Conflict(String),
    /// A stored record cannot be read.
    #[error("stored {what} is damaged: {detail}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The backend failed; the call may be tried again.
    #[error("store: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Result of a store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What discovery says of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Address: the key by which a server is found again.
    pub ip: String,
    /// Name for people.
    pub hostname: String,
    /// Where it stands.
    pub place: Place,
    /// Flags of a server that is new; a known one keeps what the operator set.
    pub flags: FlagsPatch,
    /// Never deleted for silence.
    pub is_static: bool,
}

/// The servers we know, and what the operator wants of them.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Every server.
    async fn servers(&self) -> Result<Vec<Server>>;

    /// Makes every registration known, in one step, and returns the servers in the same order. A known address keeps
    /// its identity and flags and takes name and place from the registration.
    async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>>;

    /// Sets flags of the server with that address; `None` when there is none. Never loses a concurrent change.
    async fn set_flags(&self, ip: &str, patch: FlagsPatch) -> Result<Option<Server>>;
}

/// A scrape to be made durable: the report, what it made of the server's standing, and the flip it caused.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What the scrape told.
    pub report: Report,
    /// The standing with the report folded in.
    pub standing: Standing,
    /// The change of health, if there was one.
    pub transition: Option<Transition>,
}

/// Takes what scrapes tell.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Makes a batch durable, all or nothing. Idempotent: a record that is there already changes nothing, so an
    /// unsure batch may be sent again.
    async fn record(&self, batch: Arc<Vec<Record>>) -> Result<()>;

    /// Standings as last recorded.
    async fn standings(&self) -> Result<Vec<(ServerId, Standing)>>;

    /// Compresses what is old enough and deletes history before `oldest`. Called every few minutes; writes go on
    /// meanwhile.
    async fn maintain(&self, now: Timestamp, oldest: Timestamp) -> Result<Maintenance>;
}

/// What a call of [`Recorder::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Points moved into compressed blocks.
    pub points_sealed: u64,
    /// Days of history deleted.
    pub days_deleted: u64,
}

/// One scrape in a server's history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Start of the scrape.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// Why it failed; `None` for a heartbeat.
    pub failure: Option<FailureReason>,
    /// Health after it.
    pub health: Health,
    /// Ratios 0–1 in steps of 0.0001, `None` where unknown.
    pub cpu: Option<f32>,
    /// See `cpu`.
    pub ram: Option<f32>,
    /// See `cpu`; above 1 when the uplink carries more than its stated capacity.
    pub net: Option<f32>,
    /// Uplink receive rate, whole bytes per second.
    pub receive_bytes_per_second: Option<u64>,
    /// Uplink transmit rate, whole bytes per second.
    pub transmit_bytes_per_second: Option<u64>,
    /// Clients connected.
    pub sessions: Option<u32>,
}

/// Answers questions about the past.
#[async_trait]
pub trait History: Send + Sync {
    /// The scrapes of one server that started within `range`, oldest first.
    async fn points(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>>;

    /// The latest transitions, newest first, at most `limit`; of one server if given.
    async fn transitions(&self, server: Option<ServerId>, limit: usize) -> Result<Vec<Transition>>;
}

/// Accounts and their sessions.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The user of that name.
    async fn user(&self, username: &str) -> Result<Option<User>>;

    /// Every user, by name.
    async fn users(&self) -> Result<Vec<User>>;

    /// Adds a user; [`StoreError::Conflict`] when the name is taken.
    async fn create_user(&self, user: User) -> Result<()>;

    /// Replaces the password hash, if the user's epoch still is `epoch`; raises the epoch and ends every session.
    /// Returns the user as it is now; [`StoreError::Conflict`] when it changed in between or is gone.
    async fn set_password(&self, username: &str, epoch: u64, password_hash: String, must_change: bool) -> Result<User>;

    /// Keeps a session.
    async fn create_session(&self, session: Session) -> Result<()>;

    /// The session with that digest, if it has not expired at `now`.
    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>>;

    /// Ends a session; no error when there is none.
    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()>;
}

/// The roles of one backend.
#[derive(Clone)]
pub struct Store {
    /// Servers and intent.
    pub inventory: Arc<dyn Inventory>,
    /// Takes reports.
    pub recorder: Arc<dyn Recorder>,
    /// Gives history.
    pub history: Arc<dyn History>,
    /// Users and sessions.
    pub accounts: Arc<dyn Accounts>,
}

impl Store {
    /// All roles played by one backend.
    pub fn of<B>(backend: Arc<B>) -> Self
    where
        B: Inventory + Recorder + History + Accounts + 'static,
    {
        Self { inventory: backend.clone(), recorder: backend.clone(), history: backend.clone(), accounts: backend }
    }
}
