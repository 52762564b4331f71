//! The segments in their order: which one is written, which gives way, which is done with.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::frame::Encoded;
use super::segment::Segment;
use super::{Options, Result, Stats};

/// Segments at least: with fewer, dropping the oldest would drop nearly everything.
const MIN_SEGMENTS: u64 = 4;

/// How far the oldest batches were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) segment: u64,
    pub(super) end: u64,
}

/// The segments of a directory.
pub(super) struct Shelf {
    directory: PathBuf,
    options: Options,
    /// Oldest first. Each has frames that were not stored yet.
    segments: VecDeque<Segment>,
    /// The newest segment takes further frames.
    is_writing: bool,
    next_number: u64,
    dropped_records: u64,
    torn_frames: u64,
    damaged_frames: u64,
}

impl Shelf {
    pub(super) fn load(directory: &Path, options: Options) -> Result<Self> {
        let segment_bytes = options.segment_bytes.min(options.capacity_bytes / MIN_SEGMENTS);
        let mut shelf = Self {
            directory: directory.to_owned(),
            options: Options { segment_bytes, ..options },
            segments: VecDeque::new(),
            // What an earlier process left is never written to again: nothing depends on how it ended.
            is_writing: false,
            next_number: 1,
            dropped_records: 0,
            torn_frames: 0,
            damaged_frames: 0,
        };
        for number in Segment::numbers(directory)? {
            let (segment, losses) = Segment::open(directory, number)?;
            shelf.torn_frames += losses.torn;
            shelf.damaged_frames += losses.damaged;
            shelf.next_number = number + 1;
            if segment.frames.is_empty() { segment.delete() } else { shelf.segments.push_back(segment) }
        }
        Ok(shelf)
    }

    /// Makes sure that no segment has the number of one that was marked, and forgets what was done up to that mark.
    pub(super) fn go_on_from(&mut self, mark: Mark) {
        self.next_number = self.next_number.max(mark.segment.saturating_add(1));
        // Deleted once, and come back by a crash of the machine.
        self.segments.iter_mut().filter(|segment| segment.number < mark.segment).for_each(|s| s.forget(u64::MAX));
        self.stored(mark);
    }

    pub(super) fn append(&mut self, frames: &[Encoded]) -> Result<()> {
        self.make_room(frames.iter().map(|frame| frame.bytes.len() as u64).sum());
        let is_full = self.segments.back().is_some_and(|segment| segment.bytes >= self.options.segment_bytes);
        if !self.is_writing || is_full {
            self.is_writing = false;
            let segment = Segment::create(&self.directory, self.next_number)?;
            self.next_number += 1;
            self.segments.push_back(segment);
            self.is_writing = true;
        }
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        segment.append(frames).map_err(|(error, is_fit)| {
            self.is_writing = is_fit;
            self.tidy();
            error
        })
    }

    /// Drops the oldest segments until `bytes` more fit.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes() + bytes > self.options.capacity_bytes
            && let Some(segment) = self.segments.pop_front()
        {
            self.is_writing &= !self.segments.is_empty();
            self.dropped_records += segment.records;
            let (directory, records) = (self.directory.display(), segment.records);
            tracing::error!(%directory, records, "the spool is full; its oldest records are dropped");
            segment.delete();
        }
    }

    /// The bytes of the oldest frames that together hold `records` records, of one segment.
    pub(super) fn read_oldest(&self, records: usize) -> Result<Option<(Mark, Vec<Vec<u8>>)>> {
        let Some(segment) = self.segments.front() else { return Ok(None) };
        let mut frames = Vec::new();
        let (mut found, mut end) = (0, 0);
        for frame in &segment.frames {
            if found >= records && !frames.is_empty() {
                break;
            }
            frames.push(segment.read(frame)?);
            found += frame.records as usize;
            end = frame.end();
        }
        Ok((!frames.is_empty()).then_some((Mark { segment: segment.number, end }, frames)))
    }

    /// The bytes of the frames that are at most `window` older than the newest, oldest first.
    pub(super) fn read_newest(&self, window: Duration) -> Result<Vec<Vec<u8>>> {
        let frames = || self.segments.iter().flat_map(|segment| segment.frames.iter().map(move |f| (segment, f)));
        let Some(newest) = frames().map(|(_, frame)| frame.oldest).max() else { return Ok(Vec::new()) };
        frames().filter(|(_, frame)| frame.oldest >= newest - window).map(|(segment, f)| segment.read(f)).collect()
    }

    /// Forgets what was read up to `mark`. A segment that was dropped meanwhile is gone already.
    pub(super) fn stored(&mut self, mark: Mark) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == mark.segment) {
            segment.forget(mark.end);
        }
        self.tidy();
    }

    /// Deletes segments of which everything is stored, the one being written included.
    fn tidy(&mut self) {
        while self.segments.front().is_some_and(|segment| segment.frames.is_empty())
            && let Some(segment) = self.segments.pop_front()
        {
            self.is_writing &= !self.segments.is_empty();
            segment.delete();
        }
    }

    pub(super) fn count_damaged(&mut self, frames: u64) {
        self.damaged_frames += frames;
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            bytes: self.bytes(),
            records: self.segments.iter().map(|segment| segment.records).sum(),
            oldest: self.segments.front().and_then(|segment| Some(segment.frames.front()?.oldest)),
            dropped_records: self.dropped_records,
            torn_frames: self.torn_frames,
            damaged_frames: self.damaged_frames,
        }
    }
}
