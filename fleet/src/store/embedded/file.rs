//! The data file: opening, locking and schema, and a second chance after an I/O error.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::{Options, tables};
use crate::store::{Result, StoreError};

const FILE_NAME: &str = "fleet.redb";
/// The data directory holds password hashes and session digests: nobody else needs to look in.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Version of the layout. Raised by every change that an older program would misread.
pub(super) const SCHEMA_VERSION: u32 = 3;

/// The open file. Its lock excludes every other process.
pub(super) struct DataFile {
    path: PathBuf,
    options: Options,
    /// `None` only while an attempt to open it again failed.
    database: RwLock<Option<Database>>,
    /// An error was seen after which the database refuses writes until it is opened again.
    suspect: AtomicBool,
}

impl DataFile {
    pub(super) fn open(data_dir: &Path, options: Options) -> Result<Self> {
        make_directory(data_dir)?;
        let path = path_in(data_dir);
        let database = open(&path, options)?;
        Ok(Self { path, options, database: RwLock::new(Some(database)), suspect: AtomicBool::new(false) })
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
        self.with(|database| work(&database.begin_read()?))
    }

    /// A snapshot that may be read for long: should the file have to be opened again meanwhile, its reads fail.
    pub(super) fn snapshot(&self) -> Result<ReadTransaction> {
        self.with(|database| Ok(database.begin_read()?))
    }

    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        self.with(|database| commit(database, work))
    }

    /// Has the file opened again before its next use.
    pub(super) fn distrust(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// After a failed write (a full disk, say) the database refuses to go on, because what its memory holds may differ
    /// from the disk. Opening it again goes back to the last commit, so that recording resumes once there is space.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        if self.suspect.load(Ordering::Relaxed) {
            let mut held = self.database.write().unwrap_or_else(PoisonError::into_inner);
            if self.suspect.load(Ordering::Relaxed) {
                // The old handle must be gone first: it holds the lock.
                *held = None;
                *held = Some(open(&self.path, self.options)?);
                self.suspect.store(false, Ordering::Relaxed);
                tracing::warn!(path = %self.path.display(), "store opened again after an error");
            }
        }
        let held = self.database.read().unwrap_or_else(PoisonError::into_inner);
        // `None` when another thread failed to open it again just now.
        let Some(database) = held.as_ref() else {
            return Err(StoreError::backend(std::io::Error::other("the data file could not be opened again")));
        };
        let outcome = work(database);
        if let Err(StoreError::Backend(_)) = outcome {
            self.distrust();
        }
        outcome
    }
}

/// The data file of a data directory.
pub(super) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Makes a data directory, if there is none, that nobody else can look into.
pub(super) fn make_directory(data_dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(data_dir)
        .map_err(|error| StoreError::DataDir { path: data_dir.display().to_string(), error })
}

/// Makes a file that nobody else can read; an error when it exists.
pub(super) fn make_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Makes a rename or a new name in `directory` durable.
pub(super) fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

pub(super) fn commit<T>(database: &Database, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
    let mut txn = database.begin_write()?;
    // Saves the allocator's state with every commit: after a crash the file opens at once instead of being walked.
    txn.set_quick_repair(true);
    let value = work(&txn)?;
    txn.commit()?;
    Ok(value)
}

fn open(path: &Path, options: Options) -> Result<Database> {
    // A file that is cut short or overwritten can trip an assertion inside the database. It must stop this call, with
    // the file's name, not the process.
    catch_unwind(AssertUnwindSafe(|| open_checked(path, options)))
        .unwrap_or_else(|_| Err(StoreError::damaged(path.display().to_string(), "it cannot be opened")))
}

fn open_checked(path: &Path, options: Options) -> Result<Database> {
    if !path.try_exists().map_err(StoreError::backend)? {
        create(path, options)?;
    }
    refuse_newer(path, options)?;
    let database = open_file(path, options)?;
    migrate(&database, path)?;
    Ok(database)
}

/// Makes a new file beside its place and links it there once it is whole: a database that a kill left half made could
/// not be told from a foreign file.
fn create(path: &Path, options: Options) -> Result<()> {
    let draft = path.with_extension("draft");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::backend(error)),
        _ => {}
    }
    // Made here for its mode; the database fills an empty file.
    make_private(&draft).map_err(StoreError::backend)?;
    migrate(&open_file(&draft, options)?, &draft)?;
    match std::fs::hard_link(&draft, path) {
        // Another collector made one in the meantime: whoever locks it first has it.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(StoreError::backend(error)),
        _ => {}
    }
    std::fs::remove_file(&draft).map_err(StoreError::backend)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    sync_directory(directory).map_err(StoreError::backend)
}

pub(super) fn open_file(path: &Path, options: Options) -> Result<Database> {
    Builder::new().set_cache_size(options.cache_bytes).create(path).map_err(|error| unopened(path, error))
}

/// Why a file is not opened, in the words of the store.
pub(super) fn unopened(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Locked { path: path.display().to_string() }
        }
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::damaged(path.display().to_string(), error)
        }
        error => redb::Error::from(error).into(),
    }
}

/// Refuses what a newer program wrote before the file is opened to be written. One that was not closed is looked at
/// when it is open.
fn refuse_newer(path: &Path, options: Options) -> Result<()> {
    match Builder::new().set_cache_size(options.cache_bytes).open_read_only(path) {
        Ok(database) => refuse_schema(path, schema_of(&database)?),
        Err(_) => Ok(()),
    }
}

fn refuse_schema(path: &Path, found: u32) -> Result<()> {
    if found > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { path: path.display().to_string(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// The layout's version; 0 for a file without any layout.
pub(super) fn schema_of(database: &impl ReadableDatabase) -> Result<u32> {
    match database.begin_read()?.open_table(tables::META) {
        Ok(meta) => Ok(meta.get(tables::SCHEMA)?.map_or(0, |version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Brings a new or older file to [`SCHEMA_VERSION`]; leaves a newer one untouched.
pub(super) fn migrate(database: &Database, path: &Path) -> Result<()> {
    let found = schema_of(database)?;
    refuse_schema(path, found)?;
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    commit(database, |txn| {
        tables::create(txn)?;
        txn.open_table(tables::META)?.insert(tables::SCHEMA, SCHEMA_VERSION)?;
        Ok(())
    })
}
