//! The way to a collector that runs here, for the other subcommands of the same program: a socket in its data
//! directory. Whoever may read the data directory may ask; nobody else can.
//!
//! One question per connection, a word and a line feed. The answer is `ok`, or `refused` and why, on a line of its own,
//! and after `ok` what was asked for, up to the end of the connection.
//!
//! | module | holds |
//! |---|---|
//! | `serve` | answers, inside the collector |
//! | `ask` | asks |

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use mect_fleet::Timestamp;
use serde::{Deserialize, Serialize};

mod ask;
mod serve;

pub use ask::{AskError, backup, status, targets};
pub(crate) use serve::companions;
pub use serve::{Control, Parts};

/// The socket, in the data directory.
const SOCKET: &str = "control.sock";
/// Longest path that the kernel takes for a socket.
const MAX_PATH_BYTES: usize = 107;
/// Longest question, and longest first line of an answer.
const MAX_LINE_BYTES: u64 = 4096;

/// The questions.
const STATUS: &str = "status";
const BACKUP: &str = "backup";
const TARGETS: &str = "targets";
/// How an answer begins.
const OK: &str = "ok";
const REFUSED: &str = "refused";

/// What a collector says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub program: String,
    /// Its process.
    pub process: u32,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// `embedded` or `mongo`.
    pub store: String,
    /// Since when the store does not answer; `None` while it does.
    pub store_lost_since: Option<Timestamp>,
    /// Servers that it knows.
    pub servers: usize,
    /// Servers that it scrapes.
    pub targets: usize,
    /// Open files now.
    pub open_files: u64,
    /// Open files that it may have; `None`: any number.
    pub open_files_allowed: Option<u64>,
}

/// Where the socket of a data directory is.
struct Place {
    path: PathBuf,
    /// Keeps the way open where `path` leads through it.
    _directory: Option<File>,
}

impl Place {
    fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        if path.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Self { path, _directory: None });
        }
        // The kernel takes short paths only; by its descriptor every directory has one.
        let directory = File::open(data_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()));
        Ok(Self { path, _directory: Some(directory) })
    }
}
