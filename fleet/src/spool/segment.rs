//! One segment: a file that grows by whole frames.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frame::{self, Encoded, Frame};
use super::{FILE_MODE, Result, SpoolError};

const EXTENSION: &str = "spool";

/// A segment, and where its frames lie that were not stored yet.
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    file: File,
    /// Behind the last sound frame.
    pub(super) bytes: u64,
    pub(super) frames: VecDeque<Frame>,
    /// Sum over `frames`.
    pub(super) records: u64,
}

/// What was wrong with a segment when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) torn: u64,
    pub(super) damaged: u64,
}

impl Segment {
    /// The numbers of the segments in `directory`, oldest first.
    pub(super) fn numbers(directory: &Path) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(directory).map_err(SpoolError::io("read", directory))? {
            let path = entry.map_err(SpoolError::io("read", directory))?.path();
            let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
            let number: Option<u64> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            numbers.extend(number.filter(|_| is_segment));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A new segment whose name survives a crash of the machine.
    pub(super) fn create(directory: &Path, number: u64) -> Result<Self> {
        let path = path(directory, number);
        let create = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path);
        let file = create.map_err(SpoolError::io("create", &path))?;
        let named = File::open(directory).and_then(|directory| directory.sync_all());
        if let Err(error) = named {
            // Unnamed, it must not take data; the next attempt makes another one.
            let _ = fs::remove_file(&path);
            return Err(SpoolError::io("flush", directory)(error));
        }
        Ok(Self { number, path, file, bytes: 0, frames: VecDeque::new(), records: 0 })
    }

    /// A segment of an earlier process, checked frame by frame and cut behind the last sound one.
    pub(super) fn open(directory: &Path, number: u64) -> Result<(Self, Losses)> {
        let path = path(directory, number);
        let content = fs::read(&path).map_err(SpoolError::io("read", &path))?;
        let scan = frame::scan(&content);
        if let Some(found) = scan.foreign {
            return Err(SpoolError::Newer { path: path.display().to_string(), found, known: frame::VERSION });
        }
        let losses = Losses { torn: u64::from(scan.end < content.len() as u64), damaged: scan.gaps };
        if losses.damaged > 0 {
            tracing::error!(path = %path.display(), places = losses.damaged, "batches in the spool are damaged and lost");
        }
        if losses.torn > 0 {
            let bytes = content.len() as u64 - scan.end;
            tracing::warn!(path = %path.display(), bytes, "the unfinished end of a spool segment is cut off");
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(SpoolError::io("open", &path))?;
        // Need not reach the disk: the next open would cut it again.
        file.set_len(scan.end).map_err(SpoolError::io("cut", &path))?;
        let records = scan.frames.iter().map(|frame| u64::from(frame.records)).sum();
        Ok((Self { number, path, file, bytes: scan.end, frames: scan.frames.into(), records }, losses))
    }

    /// Adds frames and flushes them to the disk, all at once. After an error nothing of them is kept, and false is told
    /// when the file is not fit for another attempt.
    pub(super) fn append(&mut self, frames: &[Encoded]) -> Result<(), (SpoolError, bool)> {
        let write =
            |at: u64, frame: &Encoded| self.file.write_all_at(&frame.bytes, at).map(|()| at + frame.bytes.len() as u64);
        if let Err(error) = frames.iter().try_fold(self.bytes, write) {
            let is_fit = self.file.set_len(self.bytes).is_ok();
            return Err((SpoolError::io("write", &self.path)(error), is_fit));
        }
        if let Err(error) = self.file.sync_data() {
            // The kernel may have forgotten what it could not write: only what was flushed before is sure.
            let _ = self.file.set_len(self.bytes);
            return Err((SpoolError::io("flush", &self.path)(error), false));
        }
        for frame in frames {
            let bytes = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
            let placed = Frame { offset: self.bytes, bytes, records: frame.records, oldest: frame.oldest };
            self.bytes += frame.bytes.len() as u64;
            self.records += u64::from(frame.records);
            self.frames.push_back(placed);
        }
        Ok(())
    }

    /// The bytes of a frame.
    pub(super) fn read(&self, frame: &Frame) -> Result<Vec<u8>> {
        let mut bytes = vec![0; frame.bytes as usize];
        match self.file.read_exact_at(&mut bytes, frame.offset) {
            Ok(()) => Ok(bytes),
            // Cut by somebody else: a damaged frame, not a failed disk.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            Err(error) => Err(SpoolError::io("read", &self.path)(error)),
        }
    }

    /// Forgets the frames that start before `end`.
    pub(super) fn forget(&mut self, end: u64) {
        let stored = self.frames.iter().take_while(|frame| frame.offset < end).count();
        let records: u64 = self.frames.drain(..stored).map(|frame| u64::from(frame.records)).sum();
        self.records -= records;
    }

    /// Deletes the file. Should it come back after a crash of the machine, its batches are stored once more, which
    /// changes nothing.
    pub(super) fn delete(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a spool segment cannot be deleted");
        }
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.{EXTENSION}"))
}
