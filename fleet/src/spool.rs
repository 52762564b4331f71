//! The spool: records on local disk for as long as the shared store does not answer.
//!
//! A queue of batches, oldest first. A batch is one frame, frames are kept in segments, and a segment is deleted once
//! all of its frames were stored. Whoever is killed in between stores a part of a segment again, which a store takes
//! without harm. When the spool is full, the oldest segment gives way: of a long outage the end is worth more than the
//! beginning, and the loss is counted.
//!
//! Nothing acknowledged is lost to a kill at any byte: [`Spool::append`] returns after the data was flushed, the file
//! of an earlier process is never written to again, and a torn or damaged frame never hides a later one.
//!
//! Blocks on the disk: call it from a thread that may. Knows nothing of stores, or of when they are back.
//!
//! An [`Outbox`] is the same for bytes that are sent on one by one, and remembers how far it was emptied.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::server::ServerId;
use crate::store::Record;
use crate::time::Timestamp;
use crate::view::Standing;

mod aside;
mod frame;
mod outbox;
mod segment;
mod shelf;

pub use outbox::{Entry, Outbox, Outgoing};
use shelf::Shelf;

/// Names inside the directory.
const LOCK_FILE: &str = "lock";
/// The spool holds what the store holds: addresses and names of hosts. Nobody else needs to look in.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Default of [`Options::segment_bytes`]: small beside the whole, so that dropping the oldest costs little, and large
/// enough that there are only some hundred files.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Default of [`Options::capacity_bytes`]: half a day of 50,000 servers at 120 s, two weeks of 1,000, whose
/// batches are small and deflate less.
const CAPACITY_BYTES: u64 = 2 << 30;
/// How far back [`Spool::standings`] reads from the newest batch. A server that has a target is scraped at least once
/// an hour, the longest interval there is; whoever was not for two hours had none.
const STANDINGS_WINDOW: Duration = Duration::from_secs(2 * 3600);

/// What may be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A segment that has grown to this size is closed. Default 8 MiB, at most a quarter of the capacity.
    pub segment_bytes: u64,
    /// Bytes of all segments; beyond, the oldest is dropped. Default 2 GiB.
    pub capacity_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, capacity_bytes: CAPACITY_BYTES }
    }
}

/// What can go wrong. Nothing of a failed call is kept.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process holds the directory.
    #[error("{path} is in use by another collector; stop it, or choose another `data_dir`")]
    Locked {
        /// The file that is held.
        path: String,
    },
    /// The spool was written by a newer version of this program.
    #[error("{path} holds version {found}, this program knows version {known}; let the newer program empty the spool")]
    Newer {
        /// The segment.
        path: String,
        /// Version on disk.
        found: u8,
        /// Version of this program.
        known: u8,
    },
    /// The disk is full, or failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A batch cannot be written as JSON.
    #[error("a batch cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
}

impl SpoolError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, path: path.display().to_string(), source }
    }
}

/// Result of a call to the spool.
pub type Result<T, E = SpoolError> = std::result::Result<T, E>;

/// How full the spool is, and what it lost since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Size of the segments.
    pub bytes: u64,
    /// Records that wait to be stored.
    pub records: u64,
    /// Start of the earliest scrape in the oldest batch.
    pub oldest: Option<Timestamp>,
    /// Records dropped because the spool was full.
    pub dropped_records: u64,
    /// Ends of files that were cut: batches under way when a process was killed, never acknowledged.
    pub torn_frames: u64,
    /// Places at which the disk gave back something else than was written; batches there are lost.
    pub damaged_frames: u64,
}

/// The oldest batches of the spool.
#[derive(Debug, Clone, PartialEq)]
pub struct Oldest {
    /// In the order in which they were appended.
    pub records: Vec<Record>,
    mark: shelf::Mark,
}

/// The open spool. Its lock excludes every other process.
pub struct Spool {
    shelf: Mutex<Shelf>,
    /// A copy, so that nobody who asks waits for the disk.
    stats: Mutex<Stats>,
    directory: PathBuf,
    _lock: File,
}

impl Spool {
    /// Opens the spool in `directory`, creating it when it is missing, and checks every frame: a second or two for
    /// each GiB.
    ///
    /// # Errors
    /// Another process holds it, a newer program wrote it, or the disk failed.
    pub fn open(directory: &Path, options: Options) -> Result<Self> {
        let lock = claim(directory)?;
        let shelf = Shelf::load(directory, options)?;
        let stats = Mutex::new(shelf.stats());
        Ok(Self { shelf: Mutex::new(shelf), stats, directory: directory.to_owned(), _lock: lock })
    }

    /// Makes a batch durable at the end of the spool; drops the oldest segments when there is no room.
    ///
    /// # Errors
    /// The disk is full or failed. The batch is not in the spool; try again.
    pub fn append(&self, batch: &[Record]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let frame = frame::encode(batch)?;
        self.change(|shelf| shelf.append(std::slice::from_ref(&frame)))
    }

    /// The oldest batches, as many as it takes to have `records` records, at most those of one segment; `None` when
    /// the spool is empty. They stay in the spool until [`stored`](Self::stored).
    ///
    /// # Errors
    /// The disk failed.
    pub fn oldest(&self, records: usize) -> Result<Option<Oldest>> {
        loop {
            let Some((mark, frames)) = self.change(|shelf| shelf.read_oldest(records))? else { return Ok(None) };
            // Decoded while others may append.
            let mut found = Vec::new();
            let mut damaged = 0;
            for frame in &frames {
                match frame::decode(frame) {
                    Ok(batch) => found.extend(batch),
                    Err(error) => {
                        damaged += 1;
                        tracing::error!(%error, "a batch in the spool is damaged and lost");
                    }
                }
            }
            self.change(|shelf| shelf.count_damaged(damaged));
            if !found.is_empty() {
                return Ok(Some(Oldest { records: found, mark }));
            }
            self.change(|shelf| shelf.stored(mark));
        }
    }

    /// Forgets what [`oldest`](Self::oldest) gave, once it is in the store.
    pub fn stored(&self, oldest: &Oldest) {
        self.change(|shelf| shelf.stored(oldest.mark));
    }

    /// Keeps records that no store takes in a file beside the segments, one as JSON per line, for a person to look at;
    /// when that is full they are lost. Still to be forgotten by [`stored`](Self::stored).
    ///
    /// # Errors
    /// The disk is full or failed.
    pub fn set_aside(&self, records: &[Record]) -> Result<()> {
        aside::append(&self.directory, records)
    }

    /// The newest standing of every server that was scraped in the last hours before the newest batch: what a
    /// restarted collector must go on from, because the store does not know it yet.
    ///
    /// # Errors
    /// The disk failed.
    pub fn standings(&self) -> Result<HashMap<ServerId, Standing>> {
        let mut standings: HashMap<ServerId, Standing> = HashMap::new();
        for frame in self.shelf().read_newest(STANDINGS_WINDOW)? {
            // Damage is told and counted when the batch is read to be stored.
            for record in frame::decode(&frame).unwrap_or_default() {
                let known = standings.entry(record.report.server).or_default();
                if known.age() <= record.standing.age() {
                    *known = record.standing;
                }
            }
        }
        Ok(standings)
    }

    /// How full it is. Never waits for the disk.
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf();
        let outcome = change(&mut shelf);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = shelf.stats();
        outcome
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // The shelf changes its memory only after the disk did what it should: a panic leaves nothing half done.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the directory if there is none, and holds it against every other process for as long as the file is open.
fn claim(directory: &Path) -> Result<File> {
    let create = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
    create.map_err(SpoolError::io("create", directory))?;
    lock(&directory.join(LOCK_FILE))
}

fn lock(path: &PathBuf) -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
    let file = file.map_err(SpoolError::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Locked { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(SpoolError::io("lock", path)(error)),
    }
}
