//! The journal role: events in order of time, and the audit in order of its numbers.

use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::{AUDIT, AUDIT_MARKS, EVENTS, Log};
use super::{Embedded, document};
use crate::server::ServerId;
use crate::store::{AuditAnchor, AuditEntry, AuditMarks, AuditRecord, Event, Journal, Position, Result};
use crate::time::Timestamp;

/// Key of [`AuditMarks::floor`] in [`AUDIT_MARKS`].
const FLOOR: &str = "floor";
/// Key of [`AuditMarks::head`].
const HEAD: &str = "head";

#[async_trait]
impl Journal for Embedded {
    async fn append_events(&self, events: Vec<Event>) -> Result<()> {
        self.write(move |txn| events.iter().try_for_each(|event| append(txn, EVENTS, event.at, event))).await
    }

    async fn events(&self, server: Option<ServerId>, before: Timestamp, limit: usize) -> Result<Vec<Event>> {
        let wanted = move |event: &Event| server.is_none() || event.server == server;
        self.read(move |txn| newest(txn, EVENTS, "event", before, limit, wanted)).await
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<AuditRecord> {
        self.write(move |txn| {
            let mut marks = txn.open_table(AUDIT_MARKS)?;
            let record = AuditRecord::after(&mark(&marks, HEAD)?, entry);
            txn.open_table(AUDIT)?.insert(record.number, document::encode(&record)?.as_slice())?;
            marks.insert(HEAD, document::encode(&record.anchor())?.as_slice())?;
            Ok(record)
        })
        .await
    }

    async fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>> {
        self.read(move |txn| {
            let table = txn.open_table(AUDIT)?;
            let entries = table.range(..before.unwrap_or(u64::MAX))?.rev().take(limit);
            entries
                .map(|entry| entry.map_err(Into::into).and_then(|(key, value)| record(key.value(), value.value())))
                .collect()
        })
        .await
    }

    async fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>> {
        self.read(move |txn| {
            let table = txn.open_table(AUDIT)?;
            let entries = table.range(after.saturating_add(1)..)?.take(limit);
            entries
                .map(|entry| entry.map_err(Into::into).and_then(|(key, value)| record(key.value(), value.value())))
                .collect()
        })
        .await
    }

    async fn audit_marks(&self) -> Result<AuditMarks> {
        self.read(|txn| {
            let marks = txn.open_table(AUDIT_MARKS)?;
            Ok(AuditMarks { floor: mark(&marks, FLOOR)?, head: mark(&marks, HEAD)? })
        })
        .await
    }
}

/// The place in the file counts, whatever the entry says of itself.
fn record(number: u64, bytes: &[u8]) -> Result<AuditRecord> {
    let record: AuditRecord = document::decode(&format!("audit entry {number}"), bytes)?;
    Ok(AuditRecord { number, ..record })
}

fn mark(marks: &impl ReadableTable<&'static str, &'static [u8]>, name: &str) -> Result<AuditAnchor> {
    let found = marks.get(name)?.map(|mark| document::decode("mark of the audit", mark.value())).transpose()?;
    Ok(found.unwrap_or_default())
}

/// Replaces the marks.
pub(super) fn put_marks(txn: &WriteTransaction, marks: &AuditMarks) -> Result<()> {
    let mut table = txn.open_table(AUDIT_MARKS)?;
    table.insert(FLOOR, document::encode(&marks.floor)?.as_slice())?;
    table.insert(HEAD, document::encode(&marks.head)?.as_slice())?;
    Ok(())
}

/// Deletes at most `limit` entries at the old end of the audit, all of them from before `oldest`, and marks the place;
/// true once none is left.
pub(super) fn delete_audit(txn: &WriteTransaction, oldest: Timestamp, limit: usize) -> Result<bool> {
    let mut audit = txn.open_table(AUDIT)?;
    let (mut floor, mut count) = (None, 0);
    for entry in audit.iter()?.take(limit) {
        let (key, value) = entry?;
        let record = record(key.value(), value.value())?;
        if record.entry.at >= oldest {
            break;
        }
        (floor, count) = (Some(record.anchor()), count + 1);
    }
    let Some(floor) = floor else { return Ok(true) };
    audit.retain_in(..=floor.number, |_, _| false)?;
    txn.open_table(AUDIT_MARKS)?.insert(FLOOR, document::encode(&floor)?.as_slice())?;
    Ok(count < limit)
}

fn append(txn: &WriteTransaction, log: Log, at: Timestamp, entry: &impl Serialize) -> Result<()> {
    let mut table = txn.open_table(log)?;
    let at_ms = at.as_millis();
    let last = table.range((at_ms, 0)..=(at_ms, u64::MAX))?.next_back().transpose()?.map(|(key, _)| key.value().1);
    table.insert((at_ms, last.map_or(0, |number| number + 1)), document::encode(entry)?.as_slice())?;
    Ok(())
}

fn newest<T: DeserializeOwned>(
    txn: &ReadTransaction,
    log: Log,
    what: &str,
    before: Timestamp,
    limit: usize,
    wanted: impl Fn(&T) -> bool,
) -> Result<Vec<T>> {
    let table = txn.open_table(log)?;
    let entries = table.range(..(before.as_millis(), 0))?.rev();
    let decoded = entries.map(|entry| document::decode(what, entry?.1.value()));
    decoded.filter(|entry| entry.as_ref().map_or(true, &wanted)).take(limit).collect()
}

/// Entries from a position on, oldest first.
pub(super) fn page<T: DeserializeOwned>(
    txn: &ReadTransaction,
    log: Log,
    what: &str,
    from: Position,
    limit: usize,
) -> Result<Vec<(Position, T)>> {
    let table = txn.open_table(log)?;
    let entries = table.range((from.at.as_millis(), from.number)..)?.take(limit);
    let found = entries.map(|entry| {
        let entry = entry?;
        let (at_ms, number) = entry.0.value();
        Ok((Position { at: Timestamp::from_millis(at_ms), number }, document::decode(what, entry.1.value())?))
    });
    found.collect()
}

/// Puts entries at their positions.
pub(super) fn put<T: Serialize>(txn: &WriteTransaction, log: Log, entries: &[(Position, T)]) -> Result<()> {
    let mut table = txn.open_table(log)?;
    for (position, entry) in entries {
        table.insert((position.at.as_millis(), position.number), document::encode(entry)?.as_slice())?;
    }
    Ok(())
}
