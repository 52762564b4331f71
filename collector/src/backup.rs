//! `backup` and `restore`: the embedded store as one file, while the collector runs or stands still.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mect_fleet::archive::{Reader, Tally};
use mect_fleet::store::Backup;
use mect_fleet::store::StoreError;
use mect_fleet::store::embedded::{self, Embedded, Restored};

use crate::config::Config;
use crate::control::{self, AskError};
use crate::run::companions_of;

mod place;

use place::Draft;

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The backup.
    pub path: PathBuf,
    /// Tables and rows in it.
    pub tally: Tally,
    /// Its size.
    pub bytes: u64,
    /// A running collector gave it.
    pub online: bool,
}

/// Takes a backup to `to`, a file or a directory. Blocks. It has its name only once it is whole and on disk.
///
/// # Errors
/// There is nothing to back up, the place is taken and `force` is not set, or it could not be written whole. Then
/// nothing of it is left.
pub fn take(config: &Config, to: &Path, force: bool) -> anyhow::Result<Taken> {
    if config.secrets.mongo_url.is_some() {
        bail!("MONGO_URL is set: the fleet is kept in MongoDB, which is backed up by mongodump");
    }
    let data_dir = &config.store.data_dir;
    if !Embedded::exists(data_dir)? {
        bail!(
            "{}: there is no store; name the data directory by `data_dir` in [store], or MECT_DATA_DIR",
            data_dir.display()
        );
    }
    let mut draft = Draft::begin(to, force)?;
    let online = fill(config, &mut draft)?;
    let path = draft.sync()?;
    // What is on the disk counts, not what was sent there.
    let mut archive = Reader::open(path).context("the backup broke off; where a collector runs, its log says why")?;
    while archive.next_section()?.is_some() {}
    let (tally, bytes) = (archive.seen(), std::fs::metadata(path)?.len());
    let path = draft.keep(force)?;
    Ok(Taken { path, tally, bytes, online })
}

/// Writes the archive; true when a running collector gave it.
fn fill(config: &Config, draft: &mut Draft) -> anyhow::Result<bool> {
    let data_dir = &config.store.data_dir;
    match control::backup(data_dir, draft.file()) {
        Ok(()) => return Ok(true),
        Err(AskError::Nobody) => {}
        Err(error) => return Err(error.into()),
    }
    let store = Embedded::open(data_dir, embedded::Options::default()).map_err(|error| match error {
        StoreError::Locked { path } => anyhow::anyhow!(
            "{path} is held by a program that does not answer in its directory: a collector that starts or stops just \
             now, or one of an older version; try again, or stop it"
        ),
        error => error.into(),
    })?;
    let companions = control::companions(&companions_of(config))?;
    let to: Box<dyn Write + Send> = Box::new(draft.file().try_clone()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(store.back_up(companions, to))?;
    Ok(false)
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mib) = (self.path.display(), self.bytes as f64 / f64::from(1 << 20));
        let from = if self.online { "the running collector" } else { "the data directory" };
        write!(
            f,
            "{path}: {} rows of {} tables, {mib:.1} MiB, from {from}; its checksum is right",
            self.tally.rows, self.tally.tables
        )
    }
}

/// A data directory that was made from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remade {
    /// The directory.
    pub data_dir: PathBuf,
    /// What is in it.
    pub restored: Restored,
    /// `MONGO_URL` is set: a collector that is started as this program was does not look into it.
    pub unused: bool,
}

/// Makes the data directory of `config` from the backup at `from`. Blocks.
///
/// # Errors
/// The backup is damaged, the directory holds something, or the disk takes no more. Then nothing is left.
pub fn restore(config: &Config, from: &Path) -> anyhow::Result<Remade> {
    let data_dir = config.store.data_dir.clone();
    let restored = embedded::restore(from, &data_dir)?;
    Ok(Remade { data_dir, restored, unused: config.secrets.mongo_url.is_some() })
}

impl fmt::Display for Remade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restored { head, tally, companions } = &self.restored;
        let (rows, tables) = (tally.rows, tally.tables);
        writeln!(f, "{}: {rows} rows of {tables} tables, as of {}", self.data_dir.display(), head.taken_at)?;
        if companions.is_empty() {
            writeln!(
                f,
                "No secret.key was in the backup: start with the SECRET_KEY of before, or REST tokens are void"
            )?;
        } else {
            writeln!(f, "With it: {}", companions.join(", "))?;
        }
        write!(f, "To be brought along: the configuration, its target files, and AGENT_API_KEY")?;
        if self.unused {
            write!(f, "\nMONGO_URL is set: a collector that is started like this keeps the fleet there, not here")?;
        }
        Ok(())
    }
}
