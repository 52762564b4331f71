//! Samplers: one file per source of metrics.
//!
//! Each has a `sample` function that reads files below the [`Root`](crate::root::Root) and writes its
//! families, and a pure `parse` that tests feed with good and bad text. A sampler never logs and never
//! decides what a failure means: it returns a [`SampleError`].

pub mod certificate;
pub mod cpu;
pub mod filesystem;
pub mod load;
pub mod memory;
pub mod netstat;
pub mod network;
pub mod os;
pub mod pressure;
pub mod process;
pub mod systemd;
pub mod time;
pub mod uname;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use procfs::ProcError;

use crate::dbus::DbusError;

/// Why a sampler has nothing to show this time.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A source is missing or may not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A source was read and makes no sense.
    #[error("cannot understand {origin}: {reason}")]
    Parse {
        /// The file, or the service asked.
        origin: String,
        /// What was expected, or what was found.
        reason: String,
    },
    /// systemd could not be asked.
    #[error(transparent)]
    Bus(#[from] DbusError),
    /// A service cannot be connected to, or ends the connection.
    #[error("cannot ask {endpoint}: {source}")]
    Connect {
        /// Its socket or address.
        endpoint: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A service does not answer in time.
    #[error("{endpoint} does not answer within {milliseconds} ms")]
    Silent {
        /// Its socket or address.
        endpoint: String,
        /// How long we waited.
        milliseconds: u64,
    },
}

impl SampleError {
    /// A source that makes no sense.
    pub fn parse(origin: impl Display, reason: impl Display) -> Self {
        Self::Parse { origin: origin.to_string(), reason: reason.to_string() }
    }

    /// Whether we lack a permission, which says nothing about the source itself.
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Read { source, .. } | Self::Connect { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// What procfs says about a file. Its usual text calls bad input a bug of its own and names a line of
    /// its source, which helps no operator.
    pub fn procfs(origin: impl Display, error: &ProcError) -> Self {
        match error {
            ProcError::InternalError(_) => Self::parse(origin, "a line or a field is missing or malformed"),
            other => Self::parse(origin, other),
        }
    }
}
