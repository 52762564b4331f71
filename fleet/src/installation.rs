//! How an installation is put together and how its parts fare, for whoever shows it. Must not know who tells.

use std::time::Duration;

use crate::time::Timestamp;

/// Knows the facts.
pub trait Installation: Send + Sync {
    /// The facts as they are now. Waits for nobody.
    fn facts(&self) -> Facts;
}

/// What a running collector knows of itself and of what it needs. No secrets, no addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Where the fleet is kept.
    pub store: StoreKind,
    /// Heartbeats are kept this long.
    pub retention: Duration,
    /// Whether Redis answered the last call; `None` where none is named.
    pub redis: Option<bool>,
    /// Who shares the work; `None` where the store belongs to one collector.
    pub share: Option<Share>,
    /// The geolocation databases that are named.
    pub databases: Vec<Database>,
    /// Target files that cannot be used as they are now, and why; what they said before stays in force.
    pub bad_target_files: Vec<String>,
    /// Lists of targets by HTTP that cannot be used as they are now, and why; what they said before stays in force.
    pub bad_target_lists: Vec<String>,
    /// Addresses outside of the fleet by which the guard proves its own connectivity.
    pub canaries: usize,
    /// Open files now, and as many as may be; `None`: any number.
    pub open_files: (u64, Option<u64>),
}

/// Where the fleet is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// In the data directory, by this collector alone.
    #[default]
    Embedded,
    /// In MongoDB, by any number of collectors.
    Mongo,
}

impl StoreKind {
    /// The word for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Mongo => "mongo",
        }
    }
}

/// A collector's part of the work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Names of the living collectors, this one included.
    pub collectors: Vec<String>,
    /// Shards that this one holds.
    pub shards: usize,
}

/// A geolocation database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// Name of its file.
    pub file: String,
    /// What its maker calls it, and when it was made; `None` while it cannot be read.
    pub content: Option<(String, Timestamp)>,
}
