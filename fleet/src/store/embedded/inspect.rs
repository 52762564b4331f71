//! Looks at a data directory without changing anything in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, DatabaseError};

use super::{Embedded, Options, file};
use crate::store::{Result, StoreError};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspection {
    /// There is no store yet; a start makes one.
    Absent,
    /// Another process has it open.
    Held,
    /// It can be opened.
    Sound {
        /// Version of the layout.
        schema: u32,
        /// Version of the layout that this program makes.
        known: u32,
    },
    /// Whoever had it open was killed: the next start goes back to the last commit. More cannot be told before.
    Unrepaired,
}

/// Looks at the store in `data_dir`. Blocks.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn inspect(data_dir: &Path) -> Result<Inspection> {
    if !Embedded::exists(data_dir)? {
        return Ok(Inspection::Absent);
    }
    let path = file::path_in(data_dir);
    // See `file::open`: damage may trip an assertion.
    catch_unwind(AssertUnwindSafe(|| look(&path)))
        .unwrap_or_else(|_| Err(StoreError::damaged(path.display().to_string(), "it cannot be opened")))
}

fn look(path: &Path) -> Result<Inspection> {
    match Builder::new().set_cache_size(Options::default().cache_bytes).open_read_only(path) {
        Ok(database) => Ok(Inspection::Sound { schema: file::schema_of(&database)?, known: file::SCHEMA_VERSION }),
        Err(DatabaseError::RepairAborted) => Ok(Inspection::Unrepaired),
        Err(error) => match file::unopened(path, error) {
            StoreError::Locked { .. } => Ok(Inspection::Held),
            error => Err(error),
        },
    }
}
