//! Standings as stored: version byte, transitions so far, time of the report that made it, JSON.
//!
//! Number and time stand in front so that recording can tell which of two standings is newer without parsing JSON.

use crate::store::{Record, Result, StoreError};
use crate::time::Timestamp;
use crate::view::Standing;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 17;

/// What orders the standings of one server. Transitions come first: their numbers never go back, a clock may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    transitions: u64,
    at: Timestamp,
}

impl Age {
    pub(super) fn of(record: &Record) -> Self {
        Self { transitions: record.standing.state.transitions, at: record.report.at }
    }

    /// Age of a stored standing; `None` when it is damaged, and so older than any.
    pub(super) fn peek(bytes: &[u8]) -> Option<Self> {
        let (&[version, ref head @ ..], _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (transitions, at) = head.split_first_chunk::<8>()?;
        let at = i64::from_le_bytes(at.try_into().ok()?);
        let transitions = u64::from_le_bytes(*transitions);
        (version == VERSION).then_some(Self { transitions, at: Timestamp::from_millis(at) })
    }
}

/// Writes the standing of `record` into `bytes`, which is cleared first: one buffer serves a batch.
pub(super) fn encode(record: &Record, bytes: &mut Vec<u8>) -> Result<()> {
    let age = Age::of(record);
    bytes.clear();
    bytes.push(VERSION);
    bytes.extend_from_slice(&age.transitions.to_le_bytes());
    bytes.extend_from_slice(&age.at.as_millis().to_le_bytes());
    serde_json::to_writer(bytes, &record.standing).map_err(StoreError::backend)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Standing> {
    let damaged = |detail: &dyn std::fmt::Display| StoreError::damaged("standing", detail);
    Age::peek(bytes).ok_or_else(|| damaged(&"unknown version or cut short"))?;
    serde_json::from_slice(bytes.get(HEAD_BYTES..).unwrap_or_default()).map_err(|error| damaged(&error))
}
