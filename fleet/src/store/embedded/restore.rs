//! Restoring: an archive becomes the data directory that it was written from.

use std::any::TypeId;
use std::io::Write;
use std::path::{Path, PathBuf};

use redb::{Key, TableDefinition, Value, WriteTransaction};

use super::Options;
use super::file::{self, SCHEMA_VERSION};
use super::tables::{Visitor, visit_named};
use crate::archive::{ArchiveError, Head, Reader, Section, Tally};
use crate::store::{Result, StoreError};

/// What files are called until everything is there.
const DRAFT_SUFFIX: &str = "restoring";
/// Rows of about this size are committed at once.
const COMMIT_BYTES: usize = 32 << 20;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the archive says of itself.
    pub head: Head,
    /// Tables and rows.
    pub tally: Tally,
    /// Names of the companions that came with it.
    pub companions: Vec<String>,
}

/// Makes `data_dir` from the archive at `path`. Blocks.
///
/// # Errors
/// The archive cannot be read or is damaged, the directory holds something already, or the disk takes no more. Then
/// nothing is left of it.
pub fn restore(path: &Path, data_dir: &Path) -> Result<Restored> {
    let archive = Reader::open(path)?;
    let (found, known) = (archive.head().schema, SCHEMA_VERSION);
    if found > known {
        return Err(StoreError::NewerSchema { path: path.display().to_string(), found, known });
    }
    refuse_filled(data_dir)?;
    let existed = data_dir.exists();
    file::make_directory(data_dir)?;
    let mut drafts = Drafts { data_dir, existed, made: Vec::new(), named: Vec::new() };
    drafts.clear();
    let restored = fill(archive, &mut drafts)?;
    drafts.keep()?;
    Ok(restored)
}

/// Nothing may be there but what an earlier attempt left that was killed.
fn refuse_filled(data_dir: &Path) -> Result<()> {
    let unusable = |error| StoreError::DataDir { path: data_dir.display().to_string(), error };
    let entries = match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unusable)?,
    };
    for entry in entries {
        let path = entry.map_err(unusable)?.path();
        if !is_draft(&path) {
            return Err(StoreError::Refused(format!(
                "{} is not empty: there is {}; restore into an empty or new directory, and choose it by `data_dir` or \
                 MECT_DATA_DIR",
                data_dir.display(),
                path.file_name().unwrap_or_default().to_string_lossy()
            )));
        }
    }
    Ok(())
}

fn is_draft(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == DRAFT_SUFFIX)
}

fn fill(mut archive: Reader, drafts: &mut Drafts<'_>) -> Result<Restored> {
    let path = file::path_in(drafts.data_dir);
    let draft = drafts.add(&path);
    file::make_private(&draft).map_err(StoreError::backend)?;
    let database = file::open_file(&draft, Options::default())?;
    let (mut companions, mut table) = (Vec::new(), String::new());
    let mut is_whole = false;
    while !is_whole {
        is_whole = file::commit(&database, |txn| {
            let mut bytes = 0;
            while bytes < COMMIT_BYTES {
                match archive.next_section()? {
                    None => return Ok(true),
                    Some(Section::Table(name)) => {
                        // Also when it has no rows: readers count on it.
                        visit_named(&name, &mut Import { txn, rows: Vec::new() })?;
                        table = name;
                    }
                    Some(Section::Rows(rows)) => {
                        bytes += rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                        visit_named(&table, &mut Import { txn, rows })?;
                    }
                    Some(Section::File { name, bytes }) => {
                        drafts.write(&name, &bytes)?;
                        companions.push(name);
                    }
                }
            }
            Ok(false)
        })?;
    }
    // An older layout is brought up to date as at any start.
    file::migrate(&database, &path)?;
    drop(database);
    Ok(Restored { head: archive.head().clone(), tally: archive.seen(), companions })
}

/// Rows of one table to be put into it.
struct Import<'txn> {
    txn: &'txn WriteTransaction,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Visitor for Import<'_> {
    fn visit<K: Key + 'static, V: Value + 'static>(&mut self, table: TableDefinition<'_, K, V>) -> Result<()> {
        let mut table = self.txn.open_table(table)?;
        for (key, value) in &self.rows {
            if !(fits::<K>(key) && fits::<V>(value)) {
                return Err(StoreError::damaged("backup", "a row has another form than its table"));
            }
            table.insert(K::from_bytes(key), V::from_bytes(value))?;
        }
        Ok(())
    }
}

/// True when the bytes can be a value of that type: the database takes it for granted.
fn fits<T: Value + 'static>(bytes: &[u8]) -> bool {
    let is_text = TypeId::of::<T>() == TypeId::of::<&'static str>();
    T::fixed_width().is_none_or(|width| width == bytes.len()) && (!is_text || std::str::from_utf8(bytes).is_ok())
}

/// Files that take their names once all of them are there; until then they go when this is dropped.
struct Drafts<'a> {
    data_dir: &'a Path,
    /// The directory was there before.
    existed: bool,
    /// Draft and final name.
    made: Vec<(PathBuf, PathBuf)>,
    /// Final names that are taken so far.
    named: Vec<PathBuf>,
}

impl Drafts<'_> {
    /// Removes what an earlier attempt left.
    fn clear(&self) {
        for entry in std::fs::read_dir(self.data_dir).into_iter().flatten().flatten() {
            if is_draft(&entry.path()) {
                // One that stays is found when it is to be made again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Notes the file `path`; returns where to write it.
    fn add(&mut self, path: &Path) -> PathBuf {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".");
        draft.push(DRAFT_SUFFIX);
        let draft = PathBuf::from(draft);
        self.made.push((draft.clone(), path.to_owned()));
        draft
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        // A name that leads elsewhere is none that we wrote.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(StoreError::damaged("backup", "a file in it has a strange name"));
        }
        let draft = self.add(&self.data_dir.join(name));
        let write = || {
            let mut file = file::make_private(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(StoreError::backend)
    }

    /// Gives every file its name, the data file last: a data directory is one when that is there.
    fn keep(mut self) -> Result<()> {
        for (draft, path) in self.made.iter().rev() {
            // Not renamed: a collector that was started meanwhile keeps what it made.
            std::fs::hard_link(draft, path).map_err(StoreError::backend)?;
            self.named.push(path.clone());
        }
        file::sync_directory(self.data_dir).map_err(StoreError::backend)?;
        self.named.clear();
        self.existed = true;
        Ok(())
    }
}

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        for file in self.made.iter().map(|(draft, _)| draft).chain(&self.named) {
            let _ = std::fs::remove_file(file);
        }
        if !self.existed {
            let _ = std::fs::remove_dir(self.data_dir);
        }
    }
}

impl From<ArchiveError> for StoreError {
    fn from(error: ArchiveError) -> Self {
        Self::Refused(error.to_string())
    }
}
