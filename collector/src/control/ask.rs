//! Asks the collector that holds a data directory.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{BACKUP, MAX_LINE_BYTES, OK, Place, STATUS, Status, TARGETS};

/// Nothing that is asked for takes longer until it comes, or goes on coming.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest status.
const MAX_STATUS_BYTES: u64 = 64 * 1024;
/// The longest target file: half a million servers.
const MAX_TARGET_BYTES: u64 = 512 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No collector runs on this data directory.
    #[error("no collector answers in the data directory")]
    Nobody,
    /// It runs, and this user may not ask it.
    #[error("a collector runs there, but this user may not ask it; be root, or the collector's own user")]
    Forbidden,
    /// It runs and does not do it.
    #[error("the running collector says: {0}")]
    Refused(String),
    /// The conversation broke off.
    #[error("the running collector does not answer as expected: {0}")]
    Broken(io::Error),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What the collector on `data_dir` says of itself.
///
/// # Errors
/// There is none, or it does not answer.
pub fn status(data_dir: &Path) -> Result<Status, AskError> {
    let mut text = String::new();
    ask(data_dir, STATUS)?.take(MAX_STATUS_BYTES).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(|error| AskError::Broken(error.into()))
}

/// The targets of the collector on `data_dir`, as a file for Prometheus' `file_sd_configs`.
///
/// # Errors
/// There is no collector, or it breaks off.
pub fn targets(data_dir: &Path) -> Result<String, AskError> {
    let mut text = String::new();
    ask(data_dir, TARGETS)?.take(MAX_TARGET_BYTES).read_to_string(&mut text)?;
    // The end that tells a whole list from one that broke off.
    if !text.ends_with("]\n") {
        return Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(text)
}

/// Has the collector on `data_dir` write an archive of its store to `to`. That it came to its end shows in the archive
/// alone.
///
/// # Errors
/// There is no collector, it refuses, or it breaks off.
pub fn backup(data_dir: &Path, to: &mut impl Write) -> Result<(), AskError> {
    io::copy(&mut ask(data_dir, BACKUP)?, to)?;
    Ok(())
}

fn ask(data_dir: &Path, question: &str) -> Result<BufReader<UnixStream>, AskError> {
    let mut stream = connect(data_dir)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    (&mut answer).take(MAX_LINE_BYTES).read_line(&mut line)?;
    match line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "")) {
        (OK, _) => Ok(answer),
        ("", _) => Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into())),
        (_, why) => Err(AskError::Refused(why.to_owned())),
    }
}

fn connect(data_dir: &Path) -> Result<UnixStream, AskError> {
    let connected = Place::of(data_dir).and_then(|place| UnixStream::connect(place.path));
    connected.map_err(|error| match error.kind() {
        // A socket that a killed collector left refuses.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => AskError::Nobody,
        io::ErrorKind::PermissionDenied => AskError::Forbidden,
        _ => AskError::Broken(error),
    })
}
