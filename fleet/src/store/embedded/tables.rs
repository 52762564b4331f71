//! The layout of the data file: every table, its key and its kind of value.

use redb::{ReadTransaction, TableDefinition, TableHandle, WriteTransaction};

use super::row::ROW_BYTES;
use crate::store::Result;

/// [`ServerId::key`](crate::server::ServerId::key).
pub(super) type Key = [u8; 8];

/// Server → document.
pub(super) const SERVERS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("servers");
/// Address → server.
pub(super) const SERVER_BY_IP: TableDefinition<'_, &str, &Key> = TableDefinition::new("server_by_ip");
/// Server → standing.
pub(super) const STANDINGS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("standings");
/// Server and number → document. The key makes a transition that is sent again fall on itself.
pub(super) const TRANSITIONS: TableDefinition<'_, (&Key, u64), &[u8]> = TableDefinition::new("transitions");
/// Milliseconds, server and number: the log of all servers in order of time.
pub(super) const TRANSITIONS_BY_TIME: TableDefinition<'_, (i64, &Key, u64), ()> =
    TableDefinition::new("transitions_by_time");
/// Slot, server and milliseconds → row: points that no block holds yet.
pub(super) const TAIL: TableDefinition<'_, (i64, &Key, i64), &[u8; ROW_BYTES]> = TableDefinition::new("tail");
/// Name → document.
pub(super) const USERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("users");
/// Digest → document.
pub(super) const SESSIONS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("sessions");
/// Facts about the file itself.
pub(super) const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
/// The key in [`META`] of the layout's version.
pub(super) const SCHEMA: &str = "schema";

/// Length of a slot of the tail. Slots come first in the key so that a batch falls on a few neighbouring pages instead
/// of one page per server: every touched page is written in full. Longer slots spread batches over more pages, shorter
/// ones make a reader of one server look into more of them: 720 for two hours.
const SLOT_MS: i64 = 10_000;

/// The slot of the tail that holds `at_ms`.
pub(super) const fn slot(at_ms: i64) -> i64 {
    at_ms.div_euclid(SLOT_MS)
}

const DAY_PREFIX: &str = "history-";

/// A table of blocks: server → one block. One table per UTC day, because a day is deleted as a whole: its pages
/// come free together and serve the days to come, so that the file stops growing.
pub(super) type DayTable<'a> = TableDefinition<'a, &'static Key, &'static [u8]>;

/// Name of the table of `day` (days since the epoch).
pub(super) fn day_name(day: i64) -> String {
    format!("{DAY_PREFIX}{day}")
}

/// Days that have a table in this snapshot, oldest first.
pub(super) fn days(txn: &ReadTransaction) -> Result<Vec<i64>> {
    let mut days: Vec<i64> =
        txn.list_tables()?.filter_map(|table| table.name().strip_prefix(DAY_PREFIX)?.parse().ok()).collect();
    days.sort_unstable();
    Ok(days)
}

/// Creates every table that has a fixed name, so that readers need not care for missing ones.
pub(super) fn create(txn: &WriteTransaction) -> Result<()> {
    txn.open_table(SERVERS)?;
    txn.open_table(SERVER_BY_IP)?;
    txn.open_table(STANDINGS)?;
    txn.open_table(TRANSITIONS)?;
    txn.open_table(TRANSITIONS_BY_TIME)?;
    txn.open_table(TAIL)?;
    txn.open_table(USERS)?;
    txn.open_table(SESSIONS)?;
    Ok(())
}
