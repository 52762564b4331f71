//! An outbox: entries of bytes that wait on disk until they were sent on, oldest first.
//!
//! The segments of the spool, with two differences. What an entry means is its owner's business. And how far the outbox
//! was emptied is written down after every entry: who takes them may not bear to get one twice. A process that is killed
//! between the two sends at most one entry again; a machine that crashes may send those of the last seconds.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::{self, Encoded};
use super::shelf::{Mark, Shelf};
use super::{FILE_MODE, Options, Result, SpoolError, Stats, claim};
use crate::time::Timestamp;

/// How far the outbox was emptied: number of the segment, bytes of it, and a CRC-32 of both; little-endian.
const POSITION_FILE: &str = "position";
const POSITION_BYTES: usize = 20;

/// What is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is to be sent.
    pub bytes: Vec<u8>,
    /// How many records that are, for [`Stats`].
    pub records: u32,
    /// Of when the earliest of them is.
    pub oldest: Timestamp,
}

/// The oldest entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What is to be sent.
    pub bytes: Vec<u8>,
    /// How many records that are.
    pub records: u32,
    mark: Mark,
}

/// The open outbox. Its lock excludes every other process. Blocks on the disk: call it from a thread that may.
pub struct Outbox {
    shelf: Mutex<Shelf>,
    /// A copy, so that nobody who asks waits for the disk.
    stats: Mutex<Stats>,
    position: File,
    _lock: File,
}

impl Outbox {
    /// Opens the outbox in `directory`, creating it when it is missing, and checks every entry.
    ///
    /// # Errors
    /// Another process holds it, a newer program wrote it, or the disk failed.
    pub fn open(directory: &Path, options: Options) -> Result<Self> {
        let lock = claim(directory)?;
        let path = directory.join(POSITION_FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
        let position = open.map_err(SpoolError::io("open", &path))?;
        let mut shelf = Shelf::load(directory, options)?;
        if let Some(mark) = read_position(&position) {
            shelf.go_on_from(mark);
        }
        let stats = Mutex::new(shelf.stats());
        Ok(Self { shelf: Mutex::new(shelf), stats, position, _lock: lock })
    }

    /// Makes entries durable at the end, all with one flush; drops the oldest when there is no room.
    ///
    /// # Errors
    /// The disk is full or failed. None of them is in the outbox; try again.
    pub fn append(&self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let framed = |entry: &Entry| frame::of_payload(&entry.bytes, entry.records, entry.oldest);
        let frames: Vec<Encoded> = entries.iter().map(framed).collect();
        self.change(|shelf| shelf.append(&frames))
    }

    /// The oldest entry; `None` when there is none. It stays until it is [`sent`](Self::sent).
    ///
    /// # Errors
    /// The disk failed.
    pub fn oldest(&self) -> Result<Option<Outgoing>> {
        self.change(|shelf| {
            // With no record wanted it is one frame.
            while let Some((mark, frames)) = shelf.read_oldest(0)? {
                if let Some((payload, records)) = frames.first().and_then(|bytes| frame::payload(bytes)) {
                    return Ok(Some(Outgoing { bytes: payload.to_vec(), records, mark }));
                }
                tracing::error!("an entry of an outbox is damaged and lost");
                shelf.count_damaged(1);
                shelf.stored(mark);
            }
            Ok(None)
        })
    }

    /// Forgets what [`oldest`](Self::oldest) gave, also over a restart.
    pub fn sent(&self, outgoing: &Outgoing) {
        let mark = outgoing.mark;
        // Not flushed: a kill leaves it to the kernel, and for a crash of the machine a flush of each would cost too much.
        if let Err(error) = self.position.write_all_at(&written(mark), 0) {
            tracing::warn!(%error, "it is not written down how far an outbox was emptied; a restart would send it again");
        }
        self.change(|shelf| shelf.stored(mark));
    }

    /// How full it is. Never waits for the disk.
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf();
        let outcome = change(&mut shelf);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = shelf.stats();
        outcome
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // The shelf changes its memory only after the disk did what it should: a panic leaves nothing half done.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(mark: Mark) -> [u8; POSITION_BYTES] {
    let mut bytes = [0; POSITION_BYTES];
    bytes[..8].copy_from_slice(&mark.segment.to_le_bytes());
    bytes[8..16].copy_from_slice(&mark.end.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The position; `None` when there is none yet, or it is damaged.
fn read_position(file: &File) -> Option<Mark> {
    let mut bytes = [0; POSITION_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let number = |from: usize| Some(u64::from_le_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
    let mark = Mark { segment: number(0)?, end: number(8)? };
    (written(mark) == bytes).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> Entry {
        Entry { bytes: format!("entry {number}").into(), records: 10, oldest: Timestamp::from_secs(number.into()) }
    }

    fn open(directory: &Path) -> Outbox {
        Outbox::open(directory, Options::default()).unwrap()
    }

    fn next(outbox: &Outbox) -> Option<(String, Outgoing)> {
        let outgoing = outbox.oldest().unwrap()?;
        Some((String::from_utf8(outgoing.bytes.clone()).unwrap(), outgoing))
    }

    #[test]
    fn entries_leave_in_their_order_and_once_also_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = open(directory.path());
        outbox.append(&[entry(1), entry(2)]).unwrap();
        outbox.append(&[entry(3)]).unwrap();
        assert_eq!((outbox.stats().records, outbox.stats().oldest), (30, Some(Timestamp::from_secs(1))));
        let (text, first) = next(&outbox).unwrap();
        assert_eq!(text, "entry 1");
        assert_eq!(next(&outbox).unwrap().0, "entry 1", "it stays until it was sent");
        outbox.sent(&first);
        assert_eq!((outbox.stats().records, outbox.stats().oldest), (20, Some(Timestamp::from_secs(2))));
        drop(outbox);
        let outbox = open(directory.path());
        outbox.append(&[entry(4)]).unwrap();
        for expected in ["entry 2", "entry 3", "entry 4"] {
            let (text, outgoing) = next(&outbox).unwrap();
            assert_eq!(text, expected);
            outbox.sent(&outgoing);
        }
        assert!(next(&outbox).is_none());
    }

    #[test]
    fn an_old_position_never_hides_a_new_entry() {
        let directory = tempfile::tempdir().unwrap();
        // Empty at its end: no segment is left, and only the position knows which number comes next.
        for number in 1..4 {
            let outbox = open(directory.path());
            outbox.append(&[entry(number)]).unwrap();
            let (text, outgoing) = next(&outbox).unwrap();
            assert_eq!(text, format!("entry {number}"));
            outbox.sent(&outgoing);
        }
        open(directory.path()).append(&[entry(4)]).unwrap();
        assert_eq!(next(&open(directory.path())).unwrap().0, "entry 4");
    }

    #[test]
    fn a_full_outbox_drops_the_oldest_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path(), Options { segment_bytes: 40, capacity_bytes: 400 }).unwrap();
        for number in 1..=50 {
            outbox.append(&[entry(number)]).unwrap();
        }
        let stats = outbox.stats();
        assert!(stats.bytes <= 400 && stats.dropped_records > 0, "{stats:?}");
        assert_eq!(stats.records + stats.dropped_records, 500);
        let dropped = stats.dropped_records / 10;
        assert_eq!(next(&outbox).unwrap().0, format!("entry {}", dropped + 1));
    }

    #[test]
    fn a_damaged_position_counts_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = open(directory.path());
        outbox.append(&[entry(1), entry(2)]).unwrap();
        outbox.sent(&next(&outbox).unwrap().1);
        drop(outbox);
        let path = directory.path().join(POSITION_FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(next(&open(directory.path())).unwrap().0, "entry 1");
    }
}
