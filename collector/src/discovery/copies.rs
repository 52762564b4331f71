//! Copies of what sources said last, in the data directory: they stand in for a source that cannot be used at a start.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Directory in the data directory that holds them.
const DIRECTORY: &str = "targets";

/// Where the copy of the source with that hash is.
pub(super) fn path(data_dir: &Path, source: u64, extension: &str) -> PathBuf {
    data_dir.join(DIRECTORY).join(format!("{source:016x}.{extension}"))
}

/// Replaces the copy at `path` by what `write` writes.
pub(super) fn keep(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    // Written beside, on the disk, and renamed: a copy is whole or the one before, also after a power cut.
    let draft = path.with_added_extension("draft");
    write(&draft)?;
    File::open(&draft)?.sync_all()?;
    std::fs::rename(draft, path)
}
