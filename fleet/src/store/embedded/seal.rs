//! Sealing: moves points from the tail into the block of their day.
//!
//! Works in slices of some servers each. A slice is planned on a snapshot, which is where the time goes (decode, merge,
//! compress), and applied in a short write transaction, so that recording goes on in between. A crash between two
//! slices loses nothing: every point is either in the tail or in a block. Points that arrive late, for a day that has a
//! block already, are merged into it the same way.

use std::collections::BTreeMap;
use std::time::Duration;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::row::Row;
use super::tables::{DayTable, Key, STANDINGS, TAIL, day_name, slot};
use super::{Embedded, block, history};
use crate::server::ServerId;
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

/// Sealing starts when the oldest point of the tail is older than this …
const SEAL_AFTER: Duration = Duration::from_secs(2 * 60 * 60);
/// … and leaves points younger than this. The gap makes a block change once an hour, not at every call.
const KEEP: Duration = Duration::from_secs(60 * 60);
/// Servers in a slice. With an hour's points each it holds up recording for some 20 ms and a disk sync.
const SLICE_SERVERS: usize = 128;
/// Points at which a slice is cut short, its servers to be taken up again: more wait after a long stop of maintenance
/// or a replay.
const SLICE_POINTS: usize = 8192;

impl Embedded {
    /// Seals what is old enough, drops what is older than the day of `oldest`; returns the number of points sealed.
    pub(super) async fn seal(&self, now: Timestamp, oldest: Timestamp) -> Result<u64> {
        let due = (now - SEAL_AFTER).as_millis();
        let is_due = |txn: &ReadTransaction| Ok(txn.open_table(TAIL)?.first()?.map(|first| first.0.value().0));
        if self.read(is_due).await?.is_none_or(|first| first >= slot(due)) {
            return Ok(0);
        }
        let mut sealed = 0;
        let mut from = Some(Key::default());
        while let Some(start) = from {
            let plan = self.read(move |txn| Plan::make(txn, start, now - KEEP, oldest)).await?;
            from = plan.next;
            if !plan.moved.is_empty() {
                sealed += plan.sealed;
                self.write(move |txn| plan.apply(txn)).await?;
            }
        }
        Ok(sealed)
    }
}

/// One slice of work.
#[derive(Default)]
pub(super) struct Plan {
    /// New blocks, by day.
    blocks: BTreeMap<i64, Vec<(Key, Vec<u8>)>>,
    /// Rows to take from the tail, as slot, server, time. Named one by one: a late point may join them before the plan
    /// is applied.
    moved: Vec<(i64, Key, i64)>,
    sealed: u64,
    /// Where the next slice starts; `None` after the last server.
    next: Option<Key>,
}

impl Plan {
    /// Plans the points before `end` of the servers from `start` on.
    fn make(txn: &ReadTransaction, start: Key, end: Timestamp, oldest: Timestamp) -> Result<Self> {
        // Whoever has points has a standing; the last slice is open-ended all the same.
        let beyond = txn.open_table(STANDINGS)?.range::<&Key>(&start..)?.nth(SLICE_SERVERS).transpose()?;
        let beyond = beyond.map(|(key, _)| *key.value());
        let mut plan = Self { next: beyond, ..Self::default() };
        let mut rows_by_server = BTreeMap::<Key, Vec<Row>>::new();
        let (tail, end) = (txn.open_table(TAIL)?, end.as_millis());
        let mut from = i64::MIN;
        while let Some(first) = tail.range((from, &start, i64::MIN)..(slot(end) + 1, &Key::default(), i64::MIN))?.next()
        {
            let (first, _) = first?;
            let (slot, key, _) = first.value();
            if *key < start {
                from = slot;
                continue;
            }
            from = slot + 1;
            let slot_end = beyond.as_ref().map_or((from, &[0; 8], i64::MIN), |beyond| (slot, beyond, i64::MIN));
            for entry in tail.range((slot, &start, i64::MIN)..slot_end)? {
                let (key, row) = entry?;
                let (_, key, at_ms) = key.value();
                if at_ms < end {
                    plan.moved.push((slot, *key, at_ms));
                    rows_by_server.entry(*key).or_default().push(Row::decode(at_ms, row.value()));
                }
            }
            if plan.moved.len() >= SLICE_POINTS {
                plan.next = Some(start);
                break;
            }
        }
        rows_by_server.into_iter().try_for_each(|(key, rows)| plan.add(txn, key, &rows, oldest))?;
        Ok(plan)
    }

    /// Plans the blocks of `rows`, which are in order of time.
    fn add(&mut self, txn: &ReadTransaction, key: Key, rows: &[Row], oldest: Timestamp) -> Result<()> {
        let day = |row: &Row| Timestamp::from_millis(row.at_ms).day();
        for rows in rows.chunk_by(|a, b| day(a) == day(b)) {
            let day = rows.first().map_or(i64::MIN, day);
            if day >= oldest.day() {
                self.add_day(txn, key, day, rows)?;
            }
        }
        Ok(())
    }

    /// Plans the block of `rows`, all of that day.
    pub(super) fn add_day(&mut self, txn: &ReadTransaction, key: Key, day: i64, rows: &[Row]) -> Result<()> {
        self.sealed += rows.len() as u64;
        self.blocks.entry(day).or_default().push((key, merged(txn, key, day, rows)?));
        Ok(())
    }

    pub(super) fn apply(self, txn: &WriteTransaction) -> Result<()> {
        for (day, blocks) in self.blocks {
            let name = day_name(day);
            let mut table = txn.open_table(DayTable::new(&name))?;
            for (key, block) in blocks {
                table.insert(&key, block.as_slice())?;
            }
        }
        let mut tail = txn.open_table(TAIL)?;
        for (slot, key, at_ms) in &self.moved {
            tail.remove((*slot, key, *at_ms))?;
        }
        Ok(())
    }
}

/// The block of `day` with `rows` merged in.
fn merged(txn: &ReadTransaction, key: Key, day: i64, rows: &[Row]) -> Result<Vec<u8>> {
    let name = day_name(day);
    let mut all = match txn.open_table(DayTable::new(&name)) {
        Ok(table) => match (table.get(&key)?, ServerId::from_key(key)) {
            (Some(found), Some(server)) => history::readable(server, day, found.value()),
            _ => Vec::new(),
        },
        Err(redb::TableError::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    all.extend_from_slice(rows);
    history::in_order(&mut all);
    if all.len() > block::MAX_POINTS {
        let surplus = all.len() - block::MAX_POINTS;
        tracing::warn!(day, surplus, "too many points in one day; the latest are dropped");
        all.truncate(block::MAX_POINTS);
    }
    block::encode(&all).map_err(StoreError::backend)
}
