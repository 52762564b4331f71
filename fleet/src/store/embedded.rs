//! The embedded store: one `redb` file in the data directory, no server needed.
//!
//! One file, so that a heartbeat, the standing it led to and the transition it caused commit together or not at all.
//! Every commit is synced before its call returns. Calls run on blocking threads; writers queue first come, first
//! served, so that [`maintain`](crate::store::Recorder::maintain), which works in many short transactions, never holds
//! up recording for longer than one of them.
//!
//! | module | holds |
//! |---|---|
//! | `file` | opening, locking and schema of the file, and recovery from I/O errors |
//! | `tables` | the layout: every table and its key |
//! | `document` | servers, users, sessions and transitions as versioned JSON |
//! | `standing` | standings with what decides which of two is newer |
//! | `row`, `block` | the two forms of a point: a row in the tail, a column block per server and day |
//! | `inventory`, `recorder`, `history`, `accounts`, `journal`, `transfer` | one role each |
//! | `seal`, `retain` | the two halves of maintenance |
//! | `backup`, `restore` | all of it to an archive, and back |
//! | `inspect` | what a data directory is like, without changing it |
//!
//! Knows nothing of schedules, pages or configuration: the data directory and the clock are handed in.

use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, WriteTransaction};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{Result, StoreError};

mod accounts;
mod backup;
mod block;
mod document;
mod error;
mod file;
mod history;
mod inspect;
mod inventory;
mod journal;
mod recorder;
mod restore;
mod retain;
mod row;
mod seal;
mod standing;
mod tables;
mod transfer;

pub use inspect::{Inspection, inspect};
pub use restore::{Restored, restore};

/// Default of [`Options::cache_bytes`]. The inner pages of the trees of 1,000 servers fit several times over; beyond,
/// the operating system's page cache serves as well, at a copy per page.
const DEFAULT_CACHE_BYTES: usize = 32 << 20;

/// What may be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory for cached pages. Default 32 MiB.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: DEFAULT_CACHE_BYTES }
    }
}

/// A store in a local directory. Plays every role; held by one process at a time.
pub struct Embedded {
    file: Arc<file::DataFile>,
    /// The turn to write. A fair queue: the file's own lock is not.
    writer: Arc<Mutex<()>>,
    /// Held during maintenance, which relies on being the only one that changes blocks.
    maintaining: Mutex<()>,
}

impl Embedded {
    /// Opens the store in `data_dir`, creating directory and file when they are missing. Blocks for a moment, longest
    /// after a crash: call it before serving starts.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another collector has it open, [`StoreError::NewerSchema`] when a newer program
    /// wrote it, [`StoreError::Damaged`] when it is no data file, [`StoreError::Backend`] when it cannot be read or
    /// written.
    pub fn open(data_dir: &Path, options: Options) -> Result<Self> {
        let file = file::DataFile::open(data_dir, options)?;
        Ok(Self { file: Arc::new(file), writer: Arc::default(), maintaining: Mutex::default() })
    }

    /// True when `data_dir` holds a store.
    ///
    /// # Errors
    /// The directory may not be looked into.
    pub fn exists(data_dir: &Path) -> Result<bool> {
        let unusable = |error| StoreError::DataDir { path: data_dir.display().to_string(), error };
        file::path_in(data_dir).try_exists().map_err(unusable)
    }

    /// Runs `work` on a snapshot.
    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T> + Send + 'static,
    {
        let file = Arc::clone(&self.file);
        self.joined(spawn_blocking(move || file.read(work)).await)
    }

    /// Runs `work` in a write transaction and commits it durably, or keeps nothing when `work` fails.
    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T> + Send + 'static,
    {
        let file = Arc::clone(&self.file);
        let turn = Arc::clone(&self.writer).lock_owned().await;
        let task = spawn_blocking(move || {
            // Moved in: a caller that goes away must not pass the turn on while its transaction is open.
            let _turn = turn;
            file.write(work)
        });
        self.joined(task.await)
    }

    fn joined<T>(&self, outcome: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
        outcome.unwrap_or_else(|lost| {
            self.file.distrust();
            Err(StoreError::Backend(Box::new(lost)))
        })
    }
}
