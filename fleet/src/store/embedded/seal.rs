//! Sealing: moves points from the tail into the block of their day.
//!
//! Works in slices. Each is planned on a snapshot, which is where the time goes (decode, merge, compress), and applied
//! in a short write transaction, so that recording goes on in between. A crash between two slices loses nothing: every
//! point is either in the tail or in a block. Points that arrive late, for a day that has a block already, are merged
//! into it the same way.

use std::collections::BTreeMap;
use std::time::Duration;

use redb::{ReadTransaction, WriteTransaction};

use super::row::Row;
use super::tables::{DayTable, Key, TAIL, day_name};
use super::{Embedded, block, history};
use crate::server::ServerId;
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

/// A server is sealed when its oldest point in the tail is older than this …
const SEAL_AFTER: Duration = Duration::from_secs(2 * 60 * 60);
/// … and keeps points younger than this. The gap makes a block change once an hour, not at every call.
const KEEP: Duration = Duration::from_secs(60 * 60);
/// Points moved by one write transaction: the longest that recording waits, some 10 ms plus a disk sync.
const SLICE_POINTS: usize = 4096;

impl Embedded {
    /// Seals what is old enough, drops what is older than the day of `oldest`; returns the number of points sealed.
    pub(super) async fn seal(&self, now: Timestamp, oldest: Timestamp) -> Result<u64> {
        let mut sealed = 0;
        let mut from = Some(Key::default());
        while let Some(start) = from {
            let plan = self.read(move |txn| Plan::make(txn, start, now, oldest)).await?;
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
struct Plan {
    /// New blocks, by day.
    blocks: BTreeMap<i64, Vec<(Key, Vec<u8>)>>,
    /// Rows to take from the tail. Named one by one: a late point may join them before the plan is applied.
    moved: Vec<(Key, i64)>,
    sealed: u64,
    /// Where the next slice starts; `None` after the last server.
    next: Option<Key>,
}

impl Plan {
    fn make(txn: &ReadTransaction, start: Key, now: Timestamp, oldest: Timestamp) -> Result<Self> {
        let (due, keep) = ((now - SEAL_AFTER).as_millis(), (now - KEEP).as_millis());
        let tail = txn.open_table(TAIL)?;
        let mut plan = Self { next: Some(start), ..Self::default() };
        while plan.moved.len() < SLICE_POINTS {
            let Some(start) = plan.next else { break };
            let Some(first) = tail.range((&start, i64::MIN)..)?.next().transpose()? else {
                plan.next = None;
                break;
            };
            let (&key, at_ms) = first.0.value();
            plan.next = next_key(key);
            if at_ms < due {
                let room = SLICE_POINTS - plan.moved.len();
                let mut rows = Vec::new();
                for entry in tail.range((&key, i64::MIN)..(&key, keep))?.take(room) {
                    let (key, row) = entry?;
                    rows.push(Row::decode(key.value().1, row.value()));
                }
                if rows.len() == room {
                    plan.next = Some(key);
                }
                plan.add(txn, key, &rows, oldest)?;
            }
        }
        Ok(plan)
    }

    /// Plans the move of `rows`, which are in order of time.
    fn add(&mut self, txn: &ReadTransaction, key: Key, rows: &[Row], oldest: Timestamp) -> Result<()> {
        self.moved.extend(rows.iter().map(|row| (key, row.at_ms)));
        let day = |row: &Row| Timestamp::from_millis(row.at_ms).day();
        for rows in rows.chunk_by(|a, b| day(a) == day(b)) {
            let day = rows.first().map_or(i64::MIN, day);
            if day >= oldest.day() {
                self.sealed += rows.len() as u64;
                let block = merged(txn, key, day, rows)?;
                self.blocks.entry(day).or_default().push((key, block));
            }
        }
        Ok(())
    }

    fn apply(self, txn: &WriteTransaction) -> Result<()> {
        for (day, blocks) in self.blocks {
            let name = day_name(day);
            let mut table = txn.open_table(DayTable::new(&name))?;
            for (key, block) in blocks {
                table.insert(&key, block.as_slice())?;
            }
        }
        let mut tail = txn.open_table(TAIL)?;
        for (key, at_ms) in &self.moved {
            tail.remove((key, *at_ms))?;
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
        tracing::warn!(
            day,
            surplus = all.len() - block::MAX_POINTS,
            "too many points in one day; the latest are dropped"
        );
        all.truncate(block::MAX_POINTS);
    }
    block::encode(&all).map_err(StoreError::backend)
}

fn next_key(key: Key) -> Option<Key> {
    u64::from_be_bytes(key).checked_add(1).map(u64::to_be_bytes)
}
