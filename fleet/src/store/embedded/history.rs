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
}

fn points(txn: &ReadTransaction, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let key = server.key();
    let mut rows = Vec::new();
    for day in days(txn)? {
        // The end is not part of the range, so a range that ends at midnight touches one table too many: harmless.
        if (range.start.day()..=range.end.day()).contains(&day) {
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
    newest
        .map(|entry| {
            let entry = entry?;
            let (_, key, number) = entry.0.value();
            let found = documents.get((key, number))?;
            decode(found.ok_or_else(|| StoreError::damaged(WHAT, "the log points nowhere"))?.value())
        })
        .collect()
}
