//! The answer on its way out, piece by piece: what was sent is held no longer.

use std::io::{self, Write};
use std::vec;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::families::Family;
use super::sink::Kind;

/// Bytes that are packed and sent at a time: some hundred microseconds of work.
const PIECE_BYTES: usize = 64 * 1024;

/// What is still to be sent.
struct Pieces {
    families: vec::IntoIter<(Box<str>, Family)>,
    /// Of the family that is being sent.
    lines: Bytes,
    /// `None` where nothing is packed, or when the end was sent.
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Others may ask when this one is gone.
    _turn: OwnedSemaphorePermit,
}

/// The text of `families` as a body that is packed on its way if `is_gzip`.
pub(super) fn of(families: Vec<(Box<str>, Family)>, is_gzip: bool, turn: OwnedSemaphorePermit) -> Body {
    // The fastest level: the text repeats itself so much that it shrinks to a tenth all the same.
    let gzip = is_gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let pieces = Pieces { families: families.into_iter(), lines: Bytes::new(), gzip, _turn: turn };
    Body::from_stream(stream::iter(pieces))
}

impl Pieces {
    /// The next piece of text; `None` at the end.
    fn text(&mut self) -> Option<Bytes> {
        if self.lines.is_empty() {
            let (name, family) = self.families.next()?;
            self.lines = family.lines.into();
            let kind = match family.kind {
                Kind::Gauge => "gauge",
                Kind::Untyped => "untyped",
            };
            return Some(format!("# TYPE {name} {kind}\n").into());
        }
        Some(self.lines.split_to(self.lines.len().min(PIECE_BYTES)))
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let Some(text) = self.text() else {
                // The trailer of the gzip stream, once.
                return self.gzip.take().map(|gzip| gzip.finish().map(Bytes::from));
            };
            let Some(gzip) = &mut self.gzip else { return Some(Ok(text)) };
            if let Err(error) = gzip.write_all(&text) {
                return Some(Err(error));
            }
            let packed = std::mem::take(gzip.get_mut());
            if !packed.is_empty() {
                return Some(Ok(packed.into()));
            }
        }
    }
}
