//! The history role: blocks and tail read as one.

use std::cmp::Ordering;
use std::ops::Range;

use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};

use super::row::Row;
use super::tables::{DayTable, Key, TAIL, TRANSITIONS, TRANSITIONS_BY_TIME, day_name, days, slot};
use super::{Embedded, block, document};
use crate::health::Transition;
use crate::server::ServerId;
use crate::store::{History, Point, Result, StoreError};
use crate::time::Timestamp;

const WHAT: &str = "transition";

#[async_trait]
impl History for Embedded {
    async fn points(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>> {
        self.read(move |txn| points(txn, server, range)).await
    }

    async fn transitions(&self, server: Option<ServerId>, limit: usize) -> Result<Vec<Transition>> {
        self.read(move |txn| transitions(txn, server, limit)).await
    }

    async fn transitions_before(
        &self,
        server: Option<ServerId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Transition>> {
        self.read(move |txn| transitions_before(txn, server, before, limit)).await
    }

    async fn transitions_since(&self, from: Timestamp) -> Result<Vec<Transition>> {
        self.read(move |txn| transitions_since(txn, from)).await
    }
}

fn points(txn: &ReadTransaction, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let key = server.key();
    // The end is not part of the range.
    let last = Timestamp::from_millis(range.end.as_millis().saturating_sub(1));
    let mut rows = Vec::new();
    for day in days(txn)? {
        if (range.start.day()..=last.day()).contains(&day) {
            let name = day_name(day);
            let blocks = txn.open_table(DayTable::new(&name))?;
            if let Some(found) = blocks.get(&key)? {
                rows.extend(readable(server, day, found.value()));
            }
        }
    }
    let (start, end) = (range.start.as_millis(), range.end.as_millis());
    rows.retain(|row: &Row| (start..end).contains(&row.at_ms));
    add_tail(txn, &key, start..end, &mut rows)?;
    in_order(&mut rows);
    Ok(rows.iter().filter_map(Row::point).collect())
}

/// The scrapes of one server on one day.
pub(super) fn points_of_day(txn: &ReadTransaction, server: ServerId, day: i64) -> Result<Vec<Point>> {
    const DAY_SECONDS: i64 = 86_400;
    let [start, end] = [day, day.saturating_add(1)].map(|day| Timestamp::from_secs(day.saturating_mul(DAY_SECONDS)));
    points(txn, server, start..end)
}

/// Adds the rows of the tail, skipping from slot to slot over those of other servers.
fn add_tail(txn: &ReadTransaction, key: &Key, range: Range<i64>, rows: &mut Vec<Row>) -> Result<()> {
    let tail = txn.open_table(TAIL)?;
    let mut from = (slot(range.start), range.start);
    while let Some(entry) = tail.range((from.0, key, from.1)..(slot(range.end) + 1, key, i64::MIN))?.next() {
        let entry = entry?;
        let (slot, found, at_ms) = entry.0.value();
        from = match found.cmp(key) {
            Ordering::Less => (slot, i64::MIN),
            Ordering::Greater => (slot + 1, i64::MIN),
            Ordering::Equal if at_ms >= range.end => break,
            Ordering::Equal => {
                rows.push(Row::decode(at_ms, entry.1.value()));
                (slot, at_ms + 1)
            }
        };
    }
    Ok(())
}

/// The rows of a block; none, and a warning, when it is damaged: one bad block must not hide the rest.
pub(super) fn readable(server: ServerId, day: i64, found: &[u8]) -> Vec<Row> {
    block::decode(found).unwrap_or_else(|error| {
        tracing::warn!(%server, day, %error, "history block lost");
        Vec::new()
    })
}

/// Sorts by time. Of rows with the same time the first stays: what a block holds wins over what was sent again.
pub(super) fn in_order(rows: &mut Vec<Row>) {
    rows.sort_by_key(|row| row.at_ms);
    rows.dedup_by_key(|row| row.at_ms);
}

/// The latest transitions, newest first.
pub(super) fn transitions(txn: &ReadTransaction, server: Option<ServerId>, limit: usize) -> Result<Vec<Transition>> {
    let documents = txn.open_table(TRANSITIONS)?;
    let decode = |bytes: &[u8]| document::decode(WHAT, bytes);
    if let Some(server) = server {
        let key = server.key();
        let newest = documents.range((&key, 0)..=(&key, u64::MAX))?.rev().take(limit);
        return newest.map(|entry| decode(entry?.1.value())).collect();
    }
    let by_time = txn.open_table(TRANSITIONS_BY_TIME)?;
    let newest = by_time.iter()?.rev().take(limit);
    newest.map(|entry| named(&documents, entry?.0.value())).collect()
}

/// The latest transitions before a time, newest first. Those of one server are in order of number, which is that of time
/// unless a clock went back.
fn transitions_before(
    txn: &ReadTransaction,
    server: Option<ServerId>,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Transition>> {
    let documents = txn.open_table(TRANSITIONS)?;
    if let Some(server) = server {
        let key = server.key();
        let decoded = documents
            .range((&key, 0)..=(&key, u64::MAX))?
            .rev()
            .map(|entry| document::decode::<Transition>(WHAT, entry?.1.value()));
        return decoded.filter(|found| found.as_ref().map_or(true, |found| found.at < before)).take(limit).collect();
    }
    let by_time = txn.open_table(TRANSITIONS_BY_TIME)?;
    let newest = by_time.range(..(before.as_millis(), &Key::default(), 0))?.rev().take(limit);
    newest.map(|entry| named(&documents, entry?.0.value())).collect()
}

fn transitions_since(txn: &ReadTransaction, from: Timestamp) -> Result<Vec<Transition>> {
    let documents = txn.open_table(TRANSITIONS)?;
    let by_time = txn.open_table(TRANSITIONS_BY_TIME)?;
    let since = by_time.range((from.as_millis(), &Key::default(), 0)..)?;
    since.map(|entry| named(&documents, entry?.0.value())).collect()
}

/// The transition that an entry of the log names.
pub(super) fn named(
    documents: &impl ReadableTable<(&'static Key, u64), &'static [u8]>,
    (_, key, number): (i64, &Key, u64),
) -> Result<Transition> {
    let found = documents.get((key, number))?;
    document::decode(WHAT, found.ok_or_else(|| StoreError::damaged(WHAT, "the log points nowhere"))?.value())
}
