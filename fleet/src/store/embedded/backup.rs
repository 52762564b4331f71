//! The backup role: every row of every table of one snapshot, to an archive.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, TableHandle, Value};
use tokio::task::spawn_blocking;

use super::Embedded;
use super::file::SCHEMA_VERSION;
use super::tables::{Visitor, visit_named};
use crate::archive::{Head, Tally, Writer};
use crate::store::backup::{Backup, Companion};
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

#[async_trait]
impl Backup for Embedded {
    async fn back_up(&self, companions: Vec<Companion>, to: Box<dyn Write + Send>) -> Result<Tally> {
        let file = Arc::clone(&self.file);
        let task = spawn_blocking(move || write(&file.snapshot()?, &companions, to));
        self.joined(task.await)
    }
}

fn write(txn: &ReadTransaction, companions: &[Companion], to: Box<dyn Write + Send>) -> Result<Tally> {
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let head = Head { schema: SCHEMA_VERSION, taken_at: Timestamp::now(), program };
    let mut export =
        Export { txn, archive: Writer::new(BufWriter::new(to), &head).map_err(|error| unwritten(&error))? };
    for companion in companions {
        export.archive.file(&companion.name, &companion.bytes).map_err(|error| unwritten(&error))?;
    }
    // As they are in the file, so that none can be forgotten.
    for table in txn.list_tables()? {
        visit_named(table.name(), &mut export)?;
    }
    export.archive.finish().map_err(|error| unwritten(&error))
}

struct Export<'txn, W: Write> {
    txn: &'txn ReadTransaction,
    archive: Writer<W>,
}

impl<W: Write> Visitor for Export<'_, W> {
    fn visit<K: Key + 'static, V: Value + 'static>(&mut self, table: TableDefinition<'_, K, V>) -> Result<()> {
        self.archive.table(table.name()).map_err(|error| unwritten(&error))?;
        for row in self.txn.open_table(table)?.iter()? {
            let (key, value) = row?;
            let (key, value) = (key.value(), value.value());
            self.archive
                .row(K::as_bytes(&key).as_ref(), V::as_bytes(&value).as_ref())
                .map_err(|error| unwritten(&error))?;
        }
        Ok(())
    }
}

/// The store is well: it is the other end that takes no more.
fn unwritten(error: &std::io::Error) -> StoreError {
    StoreError::Refused(format!("the backup cannot be written: {error}"))
}
