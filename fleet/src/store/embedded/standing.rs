//! Standings as stored: version byte, transitions so far, scrapes so far, time of the report that made it, JSON.
//!
//! Numbers and time stand in front so that recording can tell which of two standings is newer without parsing JSON.
//! Version 1, of older programs, lacks the scrapes.

use crate::store::{Record, Result, StoreError};
use crate::time::Timestamp;
use crate::view::{Age, Standing};

const VERSION: u8 = 2;
const HEAD_BYTES: usize = 25;
const VERSION_1: u8 = 1;
const HEAD_BYTES_1: usize = 17;

/// Age of a stored standing, and its JSON; `None` when it is damaged, and so older than any.
pub(super) fn peek(bytes: &[u8]) -> Option<(Age, &[u8])> {
    let (head, json) = match *bytes.first()? {
        VERSION => bytes.split_at_checked(HEAD_BYTES)?,
        VERSION_1 => bytes.split_at_checked(HEAD_BYTES_1)?,
        _ => return None,
    };
    let (numbers, _) = head.get(1..)?.as_chunks();
    let (transitions, scrapes, at) = match *numbers {
        [transitions, scrapes, at] => (transitions, u64::from_le_bytes(scrapes), at),
        [transitions, at] => (transitions, 0, at),
        _ => return None,
    };
    let at = Timestamp::from_millis(i64::from_le_bytes(at));
    Some((Age { epoch: 0, transitions: u64::from_le_bytes(transitions), scrapes, at: Some(at) }, json))
}

/// Age of the standing that a record brings. Nothing is leased here.
pub(super) fn age(record: &Record) -> Age {
    Age { epoch: 0, at: Some(record.report.at), ..record.standing.age() }
}

/// Writes a standing, made by the report of `at`, into `bytes`, which is cleared first: one buffer serves a batch.
pub(super) fn encode(standing: &Standing, at: Timestamp, bytes: &mut Vec<u8>) -> Result<()> {
    let Age { transitions, scrapes, .. } = standing.age();
    bytes.clear();
    bytes.push(VERSION);
    bytes.extend_from_slice(&transitions.to_le_bytes());
    bytes.extend_from_slice(&scrapes.to_le_bytes());
    bytes.extend_from_slice(&at.as_millis().to_le_bytes());
    serde_json::to_writer(bytes, standing).map_err(StoreError::backend)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Standing> {
    let damaged = |detail: &dyn std::fmt::Display| StoreError::damaged("standing", detail);
    let (_, json) = peek(bytes).ok_or_else(|| damaged(&"unknown version or cut short"))?;
    serde_json::from_slice(json).map_err(|error| damaged(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::story;

    #[test]
    fn what_an_older_program_wrote_is_read_and_gives_way() {
        let mut standing = Standing::default();
        let mut scrape = |at| {
            let (server, at) = ("srv-abcdefgh".parse().unwrap(), Timestamp::from_secs(at));
            story::observe(&mut standing, server, at, story::heartbeat(1))
        };
        let (first, second) = (scrape(1000), scrape(10));
        let mut bytes = Vec::new();
        encode(&first.standing, first.report.at, &mut bytes).unwrap();
        assert_eq!(peek(&bytes).unwrap().0, age(&first));
        assert_eq!(decode(&bytes).unwrap(), first.standing);

        let mut old = vec![VERSION_1];
        old.extend_from_slice(&bytes[1..9]);
        old.extend_from_slice(&bytes[17..25]);
        old.extend_from_slice(&bytes[25..]);
        assert_eq!(decode(&old).unwrap(), first.standing);
        assert_eq!(peek(&old).unwrap().0, Age { scrapes: 0, ..age(&first) });
        assert!(peek(&old).unwrap().0 < age(&second), "although the clock was set back");
        for damaged in [&bytes[..HEAD_BYTES - 1], &old[..HEAD_BYTES_1 - 1], &[3; 40], &[]] {
            assert!(peek(damaged).is_none() && decode(damaged).is_err());
        }
    }
}
