//! Frames: one batch each, or one entry of an outbox, as bytes. Pure.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | marker: where a frame may start, to find the next one behind a damaged one |
//! | 4 | CRC-32 of all that follows |
//! | 4 | length of the payload |
//! | 4 | number of records |
//! | 8 | start of the earliest scrape, in milliseconds since 1970 |
//! | 1 | version |
//! | … | payload: the records as JSON, deflated; of an outbox whatever its owner gave |
//!
//! Numbers are little-endian. JSON repeats every name in every record, and standings of healthy servers look alike:
//! deflating makes a tenth of it, so that the same disk holds out ten times as long.

use std::io::Read;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};

use super::{Result, SpoolError};
use crate::store::Record;
use crate::time::Timestamp;

/// Version of the payload. Raised by every change of [`Record`] that older or newer programs would misread.
pub(super) const VERSION: u8 = 1;
const MARKER: [u8; 4] = [0xf5, b'S', b'P', b'L'];
const HEADER_BYTES: usize = 25;
/// A longer payload is no frame of ours: a batch holds 2,048 records of a few hundred bytes.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// A payload that inflates beyond this is damaged.
const MAX_JSON_BYTES: u64 = 1 << 30;

/// A batch in its form on disk.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
    pub(super) oldest: Timestamp,
}

/// Where a frame lies in the bytes of its segment, and what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) records: u32,
    pub(super) oldest: Timestamp,
}

impl Frame {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Every sound frame.
    pub(super) frames: Vec<Frame>,
    /// Stretches between sound frames that are none.
    pub(super) gaps: u64,
    /// Behind the last sound frame.
    pub(super) end: u64,
    /// The first frame of another version than ours.
    pub(super) foreign: Option<u8>,
}

pub(super) fn encode(batch: &[Record]) -> Result<Encoded> {
    let json = serde_json::to_vec(batch).map_err(SpoolError::Encode)?;
    let mut bytes = vec![0; HEADER_BYTES];
    // The fastest level: the next ones take twice the time for a few percent.
    let deflated = DeflateEncoder::new(json.as_slice(), Compression::fast()).read_to_end(&mut bytes);
    deflated.map_err(|error| SpoolError::Encode(serde_json::Error::io(error)))?;
    let records = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    let oldest = batch.iter().map(|record| record.report.at).min().unwrap_or_default();
    Ok(sealed(bytes, records, oldest))
}

/// A frame with this very payload.
pub(super) fn of_payload(payload: &[u8], records: u32, oldest: Timestamp) -> Encoded {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend_from_slice(payload);
    sealed(bytes, records, oldest)
}

/// The payload of a whole frame, and its number of records; `None` when it is damaged.
pub(super) fn payload(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (frame, _) = parse(bytes).filter(|(frame, _)| frame.end() == bytes.len() as u64)?;
    Some((bytes.get(HEADER_BYTES..)?, frame.records))
}

/// Writes the header into the room that was left for it before the payload.
fn sealed(mut bytes: Vec<u8>, records: u32, oldest: Timestamp) -> Encoded {
    let length = u32::try_from(bytes.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..16].copy_from_slice(&records.to_le_bytes());
    bytes[16..24].copy_from_slice(&oldest.as_millis().to_le_bytes());
    bytes[24] = VERSION;
    let checksum = crc32fast::hash(&bytes[8..]);
    bytes[..4].copy_from_slice(&MARKER);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    Encoded { bytes, records, oldest }
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("its checksum does not match")]
    Checksum,
    #[error("its records cannot be read: {0}")]
    Records(#[from] serde_json::Error),
}

/// The records of a whole frame.
pub(super) fn decode(bytes: &[u8]) -> std::result::Result<Vec<Record>, Damage> {
    let (payload, _) = payload(bytes).ok_or(Damage::Checksum)?;
    let mut json = Vec::new();
    DeflateDecoder::new(payload).take(MAX_JSON_BYTES).read_to_end(&mut json).map_err(serde_json::Error::io)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Finds every sound frame of a segment, also behind damaged ones.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        let found = parse(&bytes[at..]).map(|found| (at, found)).or_else(|| next(bytes, at + 1));
        let Some((start, (frame, version))) = found else { break };
        scan.gaps += u64::from(start > at);
        if version != VERSION {
            scan.foreign.get_or_insert(version);
        }
        let frame = Frame { offset: start as u64, ..frame };
        at = start + frame.bytes as usize;
        scan.end = frame.end();
        scan.frames.push(frame);
    }
    scan
}

/// The first sound frame that starts at `from` or later.
fn next(bytes: &[u8], from: usize) -> Option<(usize, (Frame, u8))> {
    let rest = bytes.get(from..)?;
    let starts = rest.windows(MARKER.len()).enumerate().filter(|(_, window)| *window == MARKER);
    starts.map(|(place, _)| from + place).find_map(|start| Some((start, parse(&bytes[start..])?)))
}

/// The frame at the very start of `bytes`, if it is sound; and its version.
fn parse(bytes: &[u8]) -> Option<(Frame, u8)> {
    let header = bytes.get(..HEADER_BYTES).filter(|header| header[..4] == MARKER)?;
    let number = |from: usize| Some(u32::from_le_bytes(header.get(from..from + 4)?.try_into().ok()?));
    let (checksum, length, records) = (number(4)?, number(8)? as usize, number(12)?);
    let oldest = Timestamp::from_millis(i64::from_le_bytes(header.get(16..24)?.try_into().ok()?));
    let total = HEADER_BYTES + Some(length).filter(|length| *length <= MAX_PAYLOAD_BYTES)?;
    let checked = bytes.get(8..total)?;
    let is_sound = crc32fast::hash(checked) == checksum;
    is_sound.then_some((Frame { offset: 0, bytes: u32::try_from(total).ok()?, records, oldest }, header[24]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::story;
    use crate::view::Standing;

    fn batch(from: u32, records: u32) -> Vec<Record> {
        let server = "srv-abcdefgh".parse().unwrap();
        let mut standing = Standing::default();
        let outcome = |n: u32| if n.is_multiple_of(5) { story::failed() } else { story::heartbeat(n) };
        let at = |n: u32| Timestamp::from_secs(i64::from(n) * 120);
        (from..from + records).map(|n| story::observe(&mut standing, server, at(n), outcome(n))).collect()
    }

    #[test]
    fn what_was_encoded_comes_back_bit_for_bit() {
        let batch = batch(7, 100);
        let encoded = encode(&batch).unwrap();
        assert_eq!((encoded.records, encoded.oldest), (100, Timestamp::from_secs(840)));
        assert_eq!(decode(&encoded.bytes).unwrap(), batch);
    }

    #[test]
    fn deflating_pays() {
        let batch = batch(0, 500);
        let json = serde_json::to_vec(&batch).unwrap().len();
        let bytes = encode(&batch).unwrap().bytes.len();
        assert!(bytes * 8 < json, "{bytes} bytes for {json} of JSON");
    }

    #[test]
    fn every_flipped_bit_is_seen_and_hides_no_other_frame() {
        let frames = [encode(&batch(0, 3)).unwrap(), encode(&batch(3, 3)).unwrap(), encode(&batch(6, 3)).unwrap()];
        let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect();
        let sound = scan(&whole);
        assert_eq!((sound.frames.len(), sound.gaps, sound.end), (3, 0, whole.len() as u64));
        let second = sound.frames[1];
        for byte in second.offset..second.end() {
            let mut damaged = whole.clone();
            damaged[byte as usize] ^= 1 << (byte % 8);
            let found = scan(&damaged);
            assert_eq!(found.frames, [sound.frames[0], sound.frames[2]], "byte {byte}");
            assert_eq!((found.gaps, found.end), (1, whole.len() as u64), "byte {byte}");
            assert!(decode(&damaged[second.offset as usize..second.end() as usize]).is_err(), "byte {byte}");
        }
    }
}
