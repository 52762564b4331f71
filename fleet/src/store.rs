//! Where the fleet is kept: one small trait per role, a backend chosen once at the start.
//!
//! Every backend passes the same [`story`]. A call that returns `Ok` is durable: neither a crash of the process nor of
//! the machine undoes it.

use std::sync::Arc;

mod accounts;
mod audit;
mod backup;
mod changes;
pub mod embedded;
mod history;
mod inventory;
mod journal;
mod leases;
mod mailbox;
pub mod mongo;
mod quantum;
mod recorder;
mod state;
#[doc(hidden)]
pub mod story;
mod transfer;

pub use accounts::Accounts;
pub use audit::{AuditAnchor, AuditEntry, AuditMarks, AuditRecord, BrokenAudit, verify_audit};
pub use backup::{Backup, Companion};
pub use changes::{Changed, Changes};
pub use history::{History, Point};
pub use inventory::{Inventory, Registration};
pub use journal::{Event, EventKind, Journal};
pub use leases::{Acquired, Leases, Member};
pub use mailbox::Mailbox;
pub use recorder::{Maintenance, Record, Recorded, Recorder};
pub use state::StoreState;
pub use transfer::{Mark, OfServer, Position, Revocation, Transfer};

/// What can go wrong in a store. Nothing of a failed call is kept. Every text says all there is to say: whoever prints a
/// chain of errors must not read it twice.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the data directory.
    #[error("{path} is in use by another collector; stop it, or choose another `data_dir`")]
    Locked {
        /// The file that is held.
        path: String,
    },
    /// The data directory is none and cannot be made one.
    #[error("{path} cannot be the data directory: {error}; set `data_dir` in [store], or MECT_DATA_DIR")]
    DataDir {
        /// The directory.
        path: String,
        /// Why not.
        error: std::io::Error,
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
    /// Without this user nobody could manage users any more.
    #[error("{0} is the last superadmin who can sign in; make another one first")]
    LastSuperadmin(String),
    /// A server has another revision than the one that a change was meant for.
    #[error("the server was changed meanwhile: it has revision {found}, not {expected}")]
    Outdated {
        /// The revision that the change asked for.
        expected: u64,
        /// The revision of the server.
        found: u64,
    },
    /// A stored record cannot be read.
    #[error("stored {what} is damaged: {detail}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The backend cannot be used as it is; says what to do.
    #[error("{0}")]
    Refused(String),
    /// The backend answered, and does not take what it was given: the same would be refused again.
    #[error("refused by the store: {0}")]
    Rejected(Box<dyn std::error::Error + Send + Sync>),
    /// The backend does not answer, or failed; the call may be tried again.
    #[error("store: {0}")]
    Backend(Box<dyn std::error::Error + Send + Sync>),
}

/// Result of a store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The roles of one backend.
#[derive(Clone)]
pub struct Store {
    /// Servers and intent.
    pub inventory: Arc<dyn Inventory>,
    /// Takes reports.
    pub recorder: Arc<dyn Recorder>,
    /// Gives history.
    pub history: Arc<dyn History>,
    /// Users, sessions and tokens.
    pub accounts: Arc<dyn Accounts>,
    /// Events and the audit.
    pub journal: Arc<dyn Journal>,
    /// What only a store plays that several collectors share.
    pub shared: Option<SharedStore>,
    /// Moves a fleet to another store.
    pub transfer: Arc<dyn Transfer>,
    /// Gives all of itself, where no database does so.
    pub backup: Option<Arc<dyn Backup>>,
}

/// The roles of a store that several collectors share.
#[derive(Clone)]
pub struct SharedStore {
    /// Who scrapes what.
    pub leases: Arc<dyn Leases>,
    /// What others did.
    pub changes: Arc<dyn Changes>,
    /// Heartbeats that one took for another.
    pub mailbox: Arc<dyn Mailbox>,
}

impl Store {
    /// The roles of a backend that one collector has for itself.
    pub fn of<B>(backend: Arc<B>) -> Self
    where
        B: Inventory + Recorder + History + Accounts + Journal + Transfer + 'static,
    {
        Self {
            inventory: backend.clone(),
            recorder: backend.clone(),
            history: backend.clone(),
            accounts: backend.clone(),
            journal: backend.clone(),
            transfer: backend,
            shared: None,
            backup: None,
        }
    }

    /// The roles of a backend that also gives all of itself.
    pub fn of_own<B>(backend: Arc<B>) -> Self
    where
        B: Inventory + Recorder + History + Accounts + Journal + Transfer + Backup + 'static,
    {
        Self { backup: Some(backend.clone()), ..Self::of(backend) }
    }

    /// The roles of a backend that several collectors share.
    pub fn of_shared<B>(backend: Arc<B>) -> Self
    where
        B: Inventory + Recorder + History + Accounts + Journal + Transfer + Leases + Changes + Mailbox + 'static,
    {
        let shared = SharedStore { leases: backend.clone(), changes: backend.clone(), mailbox: backend.clone() };
        Self { shared: Some(shared), ..Self::of(backend) }
    }
}
