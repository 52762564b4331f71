//! The answer on its way out, piece by piece: what was sent is held no longer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
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

/// Who has not read all by then gets no more. Prometheus waits for 10 s, unless it is told otherwise.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// What is still to be sent. Gone after [`SENT_WITHIN`], whether somebody reads or not: others wait for the turn.
struct Sending(Arc<Mutex<Option<Pieces>>>);

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
    let sending = Arc::new(Mutex::new(Some(pieces)));
    let late = Arc::downgrade(&sending);
    tokio::spawn(async move {
        tokio::time::sleep(SENT_WITHIN).await;
        if let Some(sending) = late.upgrade() {
            lock(&sending).take();
        }
    });
    Body::from_stream(stream::iter(Sending(sending)))
}

fn lock(sending: &Mutex<Option<Pieces>>) -> MutexGuard<'_, Option<Pieces>> {
    // Nothing under the lock panics half-way.
    sending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Iterator for Sending {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        match lock(&self.0).as_mut() {
            Some(pieces) => pieces.next(),
            None => Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time"))),
        }
    }
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn families() -> Vec<(Box<str>, Family)> {
        let lines = "a 1 1000\n".repeat(20_000).into_bytes();
        vec![("a".into(), Family { kind: Kind::Gauge, lines })]
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_keeps_nobody_waiting() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Arc::clone(&turns).try_acquire_owned().unwrap();
        let mut body = of(families(), false, turn).into_data_stream();
        assert!(body.next().await.unwrap().is_ok());
        assert_eq!(turns.available_permits(), 0);
        tokio::time::sleep(SENT_WITHIN * 2).await;
        assert_eq!(turns.available_permits(), 1);
        assert!(body.next().await.unwrap().is_err(), "half an answer must not look like a whole one");
    }

    #[tokio::test]
    async fn who_reads_gets_all_and_gives_the_turn_back() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Arc::clone(&turns).try_acquire_owned().unwrap();
        let mut body = of(families(), false, turn).into_data_stream();
        let mut text = Vec::new();
        while let Some(piece) = body.next().await {
            text.extend_from_slice(&piece.unwrap());
        }
        drop(body);
        assert_eq!(text.len(), "# TYPE a gauge\n".len() + 20_000 * "a 1 1000\n".len());
        assert_eq!(turns.available_permits(), 1);
    }
}
