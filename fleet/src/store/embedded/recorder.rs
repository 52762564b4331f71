//! The recorder role: heartbeat, standing and transition in one commit.

use std::sync::Arc;

use async_trait::async_trait;
use redb::{ReadableTable, Table, WriteTransaction};

use super::row::{ROW_BYTES, Row};
use super::standing;
use super::tables::{Key, STANDINGS, TAIL, TRANSITIONS, TRANSITIONS_BY_TIME, slot};
use super::{Embedded, document, history};
use crate::health::Transition;
use crate::server::ServerId;
use crate::store::{Maintenance, Record, Recorded, Recorder, Result};
use crate::time::Timestamp;
use crate::view::Standing;

#[async_trait]
impl Recorder for Embedded {
    async fn record(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        if batch.is_empty() {
            return Ok(Recorded::default());
        }
        self.write(move |txn| {
            // In key order neighbours share pages. Stable: reports of one server keep their order.
            let mut records: Vec<&Record> = batch.iter().collect();
            records.sort_by_key(|record| record.report.server);
            let mut tables = Tables::open(txn)?;
            records.into_iter().try_for_each(|record| tables.put(record))?;
            Ok(Recorded::default())
        })
        .await
    }

    async fn replay(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        self.record(batch).await
    }

    async fn standings(&self) -> Result<Vec<(ServerId, Standing)>> {
        self.read(|txn| {
            let standings = txn.open_table(STANDINGS)?;
            let mut loaded = Vec::new();
            for entry in standings.iter()? {
                let (key, value) = entry?;
                let Some(server) = ServerId::from_key(*key.value()) else { continue };
                let standing = match standing::decode(value.value()) {
                    Ok(standing) => standing,
                    Err(error) => {
                        tracing::warn!(%server, %error, "standing lost; health restarts from the last transition");
                        Standing::after(history::transitions(txn, Some(server), 1)?.first())
                    }
                };
                loaded.push((server, standing));
            }
            Ok(loaded)
        })
        .await
    }

    async fn maintain(&self, now: Timestamp, oldest: Timestamp) -> Result<Maintenance> {
        let _maintaining = self.maintaining.lock().await;
        // Space first: a full disk must not keep the old days alive.
        let days_deleted = self.delete_old(now, oldest).await?;
        let points_sealed = self.seal(now, oldest).await?;
        Ok(Maintenance { points_sealed, days_deleted })
    }
}

pub(super) struct Tables<'txn> {
    tail: Table<'txn, (i64, &'static Key, i64), &'static [u8; ROW_BYTES]>,
    standings: Table<'txn, &'static Key, &'static [u8]>,
    transitions: Table<'txn, (&'static Key, u64), &'static [u8]>,
    transitions_by_time: Table<'txn, (i64, &'static Key, u64), ()>,
    buffer: Vec<u8>,
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self> {
        Ok(Self {
            tail: txn.open_table(TAIL)?,
            standings: txn.open_table(STANDINGS)?,
            transitions: txn.open_table(TRANSITIONS)?,
            transitions_by_time: txn.open_table(TRANSITIONS_BY_TIME)?,
            buffer: Vec::new(),
        })
    }

    fn put(&mut self, record: &Record) -> Result<()> {
        let key = record.report.server.key();
        let row = Row::of(record);
        self.tail.insert((slot(row.at_ms), &key, row.at_ms), &row.encode())?;
        // A batch that comes late, from a spool for example, must not set the standing back.
        let stored = self.standings.get(&key)?.and_then(|stored| Some(standing::peek(stored.value())?.0));
        if stored.is_none_or(|stored| stored < standing::age(record)) {
            standing::encode(&record.standing, record.report.at, &mut self.buffer)?;
            self.standings.insert(&key, self.buffer.as_slice())?;
        }
        record.transition.as_ref().map_or(Ok(()), |transition| self.put_transition(transition))
    }

    pub(super) fn put_transition(&mut self, transition: &Transition) -> Result<()> {
        let (key, number) = (transition.server.key(), transition.number);
        if self.transitions.get((&key, number))?.is_none() {
            self.transitions.insert((&key, number), document::encode(transition)?.as_slice())?;
            self.transitions_by_time.insert((transition.at.as_millis(), &key, number), ())?;
        }
        Ok(())
    }
}
