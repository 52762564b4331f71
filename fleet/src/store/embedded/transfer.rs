//! The transfer role: scrapes come and go as blocks, without the detour over the tail.

use async_trait::async_trait;
use redb::ReadableTable;

use super::recorder::Tables;
use super::row::Row;
use super::seal::Plan;
use super::tables::{
    AUDIT, DayTable, EVENTS, Key, META, REVOKED, TAIL, TOKENS, TRANSITIONS, TRANSITIONS_BY_TIME, USERS, day_name, slot,
};
use super::{Embedded, document, history, inventory, journal};
use crate::account::{ApiToken, User};
use crate::health::Transition;
use crate::server::{Server, ServerId};
use crate::store::transfer::{Mark, OfServer, Position, Revocation, Transfer};
use crate::store::{AuditMarks, AuditRecord, Event, Result};
use crate::time::Timestamp;
use crate::view::Standing;

/// Key in [`META`] of the fleet's number.
const FLEET: &str = "fleet";
/// Key in [`META`] that is there while a move into this store is not finished.
const UNFINISHED: &str = "unfinished";
const DAY_MS: i64 = 86_400_000;

#[async_trait]
impl Transfer for Embedded {
    async fn mark(&self) -> Result<Option<Mark>> {
        self.read(|txn| {
            let meta = txn.open_table(META)?;
            let Some(fleet) = meta.get(FLEET)? else { return Ok(None) };
            Ok(Some(Mark { fleet: fleet.value(), unfinished: meta.get(UNFINISHED)?.is_some() }))
        })
        .await
    }

    async fn set_mark(&self, mark: Mark) -> Result<()> {
        self.write(move |txn| {
            let mut meta = txn.open_table(META)?;
            meta.insert(FLEET, mark.fleet)?;
            if mark.unfinished {
                meta.insert(UNFINISHED, 1)?;
            } else {
                meta.remove(UNFINISHED)?;
            }
            Ok(())
        })
        .await
    }

    /// The file's lock excludes every other one.
    async fn collectors(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn put_servers(&self, servers: Vec<(Server, Standing)>) -> Result<()> {
        self.write(move |txn| servers.iter().try_for_each(|(server, standing)| inventory::put(txn, server, standing)))
            .await
    }

    async fn put_users(&self, users: Vec<User>) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(USERS)?;
            for user in &users {
                table.insert(user.username.as_str(), document::encode(user)?.as_slice())?;
            }
            Ok(())
        })
        .await
    }

    async fn put_tokens(&self, tokens: Vec<ApiToken>) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(TOKENS)?;
            for token in &tokens {
                table.insert(&token.digest, document::encode(token)?.as_slice())?;
            }
            Ok(())
        })
        .await
    }

    async fn transitions_page(
        &self,
        from: Timestamp,
        after: Option<&Transition>,
        limit: usize,
    ) -> Result<Vec<Transition>> {
        let start = after.map_or((from.as_millis(), Key::default(), 0), |after| {
            (after.at.as_millis(), after.server.key(), after.number + 1)
        });
        self.read(move |txn| {
            let (at_ms, key, number) = start;
            let (documents, by_time) = (txn.open_table(TRANSITIONS)?, txn.open_table(TRANSITIONS_BY_TIME)?);
            let page = by_time.range((at_ms, &key, number)..)?.take(limit);
            page.map(|entry| history::named(&documents, entry?.0.value())).collect()
        })
        .await
    }

    async fn put_transitions(&self, transitions: Vec<Transition>) -> Result<()> {
        self.write(move |txn| {
            let mut tables = Tables::open(txn)?;
            transitions.iter().try_for_each(|transition| tables.put_transition(transition))
        })
        .await
    }

    async fn events_page(&self, from: Position, limit: usize) -> Result<Vec<(Position, Event)>> {
        self.read(move |txn| journal::page(txn, EVENTS, "event", from, limit)).await
    }

    async fn put_events(&self, events: Vec<(Position, Event)>) -> Result<()> {
        self.write(move |txn| journal::put(txn, EVENTS, &events)).await
    }

    async fn put_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        self.write(move |txn| {
            let mut audit = txn.open_table(AUDIT)?;
            for record in &records {
                audit.insert(record.number, document::encode(record)?.as_slice())?;
            }
            Ok(())
        })
        .await
    }

    async fn put_audit_marks(&self, marks: AuditMarks) -> Result<()> {
        self.write(move |txn| {
            txn.open_table(AUDIT)?.retain_in(..=marks.floor.number, |_, _| false)?;
            journal::put_marks(txn, &marks)
        })
        .await
    }

    async fn revocations(&self) -> Result<Vec<Revocation>> {
        self.read(|txn| {
            let revoked = txn.open_table(REVOKED)?;
            let found = revoked.iter()?.map(|entry| {
                let (id, until) = entry?;
                Ok((*id.value(), Timestamp::from_millis(until.value())))
            });
            found.collect()
        })
        .await
    }

    async fn servers_of(&self, day: i64) -> Result<Vec<ServerId>> {
        self.read(move |txn| {
            let mut keys = std::collections::BTreeSet::<Key>::new();
            let name = day_name(day);
            match txn.open_table(DayTable::new(&name)) {
                Ok(blocks) => {
                    for entry in blocks.iter()? {
                        keys.insert(*entry?.0.value());
                    }
                }
                Err(redb::TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let (start, end) = (day.saturating_mul(DAY_MS), day.saturating_add(1).saturating_mul(DAY_MS));
            let tail = txn.open_table(TAIL)?;
            for entry in tail.range((slot(start), &Key::default(), i64::MIN)..(slot(end), &Key::default(), i64::MIN))? {
                keys.insert(*entry?.0.value().1);
            }
            Ok(keys.into_iter().filter_map(ServerId::from_key).collect())
        })
        .await
    }

    async fn points_of(&self, servers: &[ServerId], day: i64) -> Result<Vec<OfServer>> {
        let servers = servers.to_vec();
        self.read(move |txn| {
            let mut found = Vec::new();
            for server in servers {
                let points = history::points_of_day(txn, server, day)?;
                if !points.is_empty() {
                    found.push((server, points));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn put_points(&self, day: i64, points: Vec<OfServer>) -> Result<()> {
        let _maintaining = self.maintaining.lock().await;
        let plan = self.read(move |txn| {
            let mut plan = Plan::default();
            for (server, points) in &points {
                let rows: Vec<_> = points.iter().map(Row::of_point).collect();
                plan.add_day(txn, server.key(), day, &rows)?;
            }
            Ok(plan)
        });
        let plan = plan.await?;
        self.write(move |txn| plan.apply(txn)).await
    }

    /// Nothing is summed up here ahead of time.
    async fn finish(&self, _now: Timestamp) -> Result<()> {
        Ok(())
    }
}
