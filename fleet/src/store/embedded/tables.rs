//! The layout of the data file: every table, its key and its kind of value.

use redb::{Key as KeyKind, ReadTransaction, TableDefinition, TableHandle, Value, WriteTransaction};

use super::row::ROW_BYTES;
use crate::store::{Result, StoreError};

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
/// Digest → document.
pub(super) const TOKENS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("tokens");
/// Identity → document.
pub(super) const GRANTS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("grants");
/// Identity → milliseconds until which it is kept.
pub(super) const REVOKED: TableDefinition<'_, &[u8; 16], i64> = TableDefinition::new("revoked");
/// Milliseconds and a number that tells entries of one millisecond apart → document.
pub(super) type Log = TableDefinition<'static, (i64, u64), &'static [u8]>;
/// What happened.
pub(super) const EVENTS: Log = TableDefinition::new("events");
/// Number → document: who changed what.
pub(super) const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit_chain");
/// Name of an end of the chain → document.
pub(super) const AUDIT_MARKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("audit_marks");
/// The audit of version 2, which had no chain. Nobody reads it, and nobody throws it away.
const AUDIT_2: Log = TableDefinition::new("audit");
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
    struct Create<'txn>(&'txn WriteTransaction);
    impl Visitor for Create<'_> {
        fn visit<K: KeyKind + 'static, V: Value + 'static>(&mut self, table: TableDefinition<'_, K, V>) -> Result<()> {
            self.0.open_table(table)?;
            Ok(())
        }
    }
    each_fixed(&mut Create(txn))
}

/// Work on tables whose types differ.
pub(super) trait Visitor {
    /// Called for a table.
    fn visit<K: KeyKind + 'static, V: Value + 'static>(&mut self, table: TableDefinition<'_, K, V>) -> Result<()>;
}

/// Visits every table that has a fixed name.
fn each_fixed(visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit(META)?;
    visitor.visit(SERVERS)?;
    visitor.visit(SERVER_BY_IP)?;
    visitor.visit(STANDINGS)?;
    visitor.visit(TRANSITIONS)?;
    visitor.visit(TRANSITIONS_BY_TIME)?;
    visitor.visit(TAIL)?;
    visitor.visit(USERS)?;
    visitor.visit(SESSIONS)?;
    visitor.visit(TOKENS)?;
    visitor.visit(EVENTS)?;
    visitor.visit(AUDIT)?;
    visitor.visit(AUDIT_MARKS)?;
    visitor.visit(GRANTS)?;
    visitor.visit(REVOKED)
}

/// Visits the table with that name.
///
/// # Errors
/// There is no such table in this version; so for a visitor that fails.
pub(super) fn visit_named(name: &str, visitor: &mut impl Visitor) -> Result<()> {
    struct Named<'a, V>(&'a str, &'a mut V, bool);
    impl<W: Visitor> Visitor for Named<'_, W> {
        fn visit<K: KeyKind + 'static, V: Value + 'static>(&mut self, table: TableDefinition<'_, K, V>) -> Result<()> {
            if table.name() != self.0 {
                return Ok(());
            }
            self.2 = true;
            self.1.visit(table)
        }
    }
    if name.strip_prefix(DAY_PREFIX).is_some_and(|day| day.parse::<i64>().is_ok()) {
        return visitor.visit(DayTable::new(name));
    }
    if name == AUDIT_2.name() {
        return visitor.visit(AUDIT_2);
    }
    let mut named = Named(name, visitor, false);
    each_fixed(&mut named)?;
    if named.2 { Ok(()) } else { Err(StoreError::damaged("data", format_args!("there is no table {name:?}"))) }
}
