//! An archive: the rows of a store's tables and a few small files, in one file that tells whether it is whole. Knows
//! nothing of what the rows mean.
//!
//! ```text
//! "mect-archive" │ version u8 │ sections │ SHA-256 of all before it
//! section: kind u8 │ length u32 │ as many bytes
//! ```
//! Numbers are little-endian. The digest stands last, so that an archive can be written in one go to a place that
//! cannot be rewound; whoever reads one makes sure of the digest before anything else is believed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

/// What every archive begins with.
const MAGIC: &[u8] = b"mect-archive";
/// Raised when an older program could no longer read what is written.
const VERSION: u8 = 1;
/// Length of the digest.
const DIGEST_BYTES: usize = 32;
/// The largest section that is read into memory. A row is at most a block of history, which is far smaller.
const MAX_SECTION_BYTES: u32 = 256 << 20;

/// Kinds of sections.
mod kind {
    pub(super) const HEAD: u8 = 1;
    pub(super) const FILE: u8 = 2;
    pub(super) const TABLE: u8 = 3;
    pub(super) const ROWS: u8 = 4;
    pub(super) const END: u8 = 5;
}

/// What an archive says of itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the layout of the tables.
    pub schema: u32,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// Version of the program that wrote it.
    pub program: String,
}

/// What an archive says of itself last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Tables in it.
    pub tables: u64,
    /// Rows in all of them.
    pub rows: u64,
}

/// A part of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// A small file that belongs to the store.
    File {
        /// Its name, without a directory.
        name: String,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// The rows that follow are of this table.
    Table(String),
    /// Rows as keys and values.
    Rows(Vec<(Vec<u8>, Vec<u8>)>),
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// Something else.
    #[error("{path} is no backup of mect-collector")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer program.
    #[error("{path} has version {found}, this program reads up to {VERSION}; use the newer program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u8,
    },
    /// Not what was written.
    #[error("{path} is damaged: {detail}; use another backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        detail: &'static str,
    },
}

#[cfg(test)]
mod tests;
