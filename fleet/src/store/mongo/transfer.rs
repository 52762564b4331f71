//! The transfer role. Scrapes are compared with those that are there before they are put: a time series knows no unique
//! index. With them goes the day's rollup, which would otherwise be summed up again from all of them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::{Document, doc};
use mongodb::Collection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::heartbeat::Stored;
use super::history::{in_order, within};
use super::recorder::{INSERTS, TRANSITION};
use super::rollup::{self, ROLL_AFTER};
use super::server::{date, old_fields};
use super::{Mongo, accounts, heartbeat, journal, recorder, server};
use crate::account::{ApiToken, User};
use crate::health::Transition;
use crate::series::{self, HOUR};
use crate::server::{Server, ServerId};
use crate::store::transfer::{Mark, OfServer, Position, Revocation, Transfer};
use crate::store::{AuditMarks, AuditRecord, Event, EventKind, Point, Result, StoreError};
use crate::time::Timestamp;
use crate::view::Standing;

/// Begins the address of a server that waits for its own.
const ASIDE: &str = "moving ";
/// Bits of an entry's number within its millisecond; the rest of an entry's identity is time and fleet.
const NUMBER_BITS: u32 = 22;

#[async_trait]
impl Transfer for Mongo {
    async fn mark(&self) -> Result<Option<Mark>> {
        let found = self.call(self.meta.find_one(doc! { "_id": "fleet" })).await?;
        Ok(found.and_then(|found| {
            let fleet = u32::try_from(found.get_i64("number").ok()?).ok()?;
            Some(Mark { fleet, unfinished: found.get_bool("unfinished").unwrap_or(false) })
        }))
    }

    async fn set_mark(&self, mark: Mark) -> Result<()> {
        let set = doc! { "$set": { "number": i64::from(mark.fleet), "unfinished": mark.unfinished } };
        self.call(self.meta.update_one(doc! { "_id": "fleet" }, set).upsert(true)).await?;
        Ok(())
    }

    async fn collectors(&self) -> Result<Vec<String>> {
        Ok(self.living().await?.into_iter().map(|member| member.name).collect())
    }

    async fn put_servers(&self, servers: Vec<(Server, Standing)>) -> Result<()> {
        // Whoever else has such an address gets another one with its own turn: servers may have exchanged theirs.
        let aside = servers.iter().map(|(server, _)| {
            let holder = doc! { "ip": &server.ip, server::ID: { "$ne": server.id.to_string() } };
            doc! { "q": holder, "u": [{ "$set": { "ip": { "$concat": [ASIDE, format!("${}", server::ID)] } } }] }
        });
        self.update(self.servers.name(), aside.collect()).await?;
        let updates = servers.iter().map(|(server, standing)| put_server(server, standing));
        match self.update(self.servers.name(), updates.collect::<Result<_>>()?).await?.duplicates.as_slice() {
            [] => Ok(()),
            _ => Err(StoreError::Conflict("somebody else gives away the addresses of servers that are moved".into())),
        }
    }

    async fn put_users(&self, users: Vec<User>) -> Result<()> {
        let updates = users.iter().map(|user| {
            let set = doc! { "$set": accounts::fields(user) };
            doc! { "q": { "username": &user.username }, "u": set, "upsert": true }
        });
        self.update(self.users.name(), updates.collect()).await?;
        Ok(())
    }

    async fn put_tokens(&self, tokens: Vec<ApiToken>) -> Result<()> {
        let updates = tokens.iter().map(|token| {
            let mut document = accounts::token_document(token);
            let id = document.remove("_id");
            doc! { "q": { "_id": id }, "u": { "$set": document }, "upsert": true }
        });
        match self.update(self.tokens.name(), updates.collect()).await?.duplicates.as_slice() {
            [] => Ok(()),
            _ => Err(StoreError::Conflict("the database holds other API tokens of the same names".into())),
        }
    }

    async fn transitions_page(
        &self,
        from: Timestamp,
        after: Option<&Transition>,
        limit: usize,
    ) -> Result<Vec<Transition>> {
        let mut filter = doc! { "kind": TRANSITION, "at": { "$gte": date(after.map_or(from, |after| after.at)) } };
        if let Some(Transition { at, server, number, .. }) = after {
            let (at, server) = (date(*at), server.to_string());
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            let behind = doc! { "$or": [
                { "at": { "$gt": at } },
                { "at": at, "server": { "$gt": &server } },
                { "at": at, "server": &server, "number": { "$gt": number } },
            ] };
            filter.extend(behind);
        }
        self.newest(&self.events, filter, doc! { "at": 1, "server": 1, "number": 1 }, limit).await
    }

    async fn put_transitions(&self, transitions: Vec<Transition>) -> Result<()> {
        let documents = transitions.iter().map(recorder::transition_document).collect::<Result<Vec<_>>>()?;
        self.insert_once(&self.events, documents).await
    }

    async fn events_page(&self, from: Position, limit: usize) -> Result<Vec<(Position, Event)>> {
        // Transitions lie in the same collection and are none of them.
        let kinds = bson::serialize_to_bson(&EventKind::ALL).map_err(|error| StoreError::Backend(Box::new(error)))?;
        self.page(&self.events, doc! { "kind": { "$in": kinds } }, from, limit, |event: &Event| event.at).await
    }

    async fn put_events(&self, events: Vec<(Position, Event)>) -> Result<()> {
        self.put_entries(&self.events, &events).await
    }

    async fn put_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        let documents = records.iter().map(|record| journal::dated(record, record.entry.at)).collect::<Result<_>>()?;
        self.insert_once(&self.audit, documents).await
    }

    async fn put_audit_marks(&self, marks: AuditMarks) -> Result<()> {
        self.replace_marks(&marks).await
    }

    async fn revocations(&self) -> Result<Vec<Revocation>> {
        let found = self.all(self.revoked.find(doc! {})).await?;
        Ok(found.iter().filter_map(accounts::revocation).collect())
    }

    async fn servers_of(&self, day: i64) -> Result<Vec<ServerId>> {
        let found = self.call(self.heartbeats.distinct("server", doc! { "at": within(&of_day(day)) })).await?;
        let mut servers: Vec<ServerId> = found.iter().filter_map(|server| server.as_str()?.parse().ok()).collect();
        servers.sort_unstable();
        Ok(servers)
    }

    async fn points_of(&self, servers: &[ServerId], day: i64) -> Result<Vec<OfServer>> {
        Ok(self.scrapes_of(servers, of_day(day)).await?.into_iter().collect())
    }

    async fn put_points(&self, day: i64, points: Vec<OfServer>) -> Result<()> {
        let servers: Vec<_> = points.iter().map(|(server, _)| *server).collect();
        let mut there = self.scrapes_of(&servers, of_day(day)).await?;
        let (mut missing, mut rollups) = (Vec::new(), Vec::with_capacity(points.len()));
        for (server, points) in points {
            let mut all = there.remove(&server).unwrap_or_default();
            let known: HashSet<_> = all.iter().map(|point| point.at).collect();
            let new = points.into_iter().filter(|point| !known.contains(&point.at));
            for point in new {
                missing.push(heartbeat::of_point(server, &point));
                all.push(point);
            }
            rollups.push(rollup::keep(server, of_day(day).start, &series::hours(&sorted(all))));
        }
        for documents in missing.chunks(INSERTS) {
            self.call(self.heartbeats.insert_many(documents).ordered(false)).await?;
        }
        self.update(self.rollups.name(), rollups).await?;
        Ok(())
    }

    /// Every hour that is over is rolled up: with its scrapes, or because it has none.
    async fn finish(&self, now: Timestamp) -> Result<()> {
        let mark = doc! { "$max": { "until": date(rollup::hour(now - ROLL_AFTER)) } };
        self.call(self.meta.update_one(doc! { "_id": "rollups" }, mark).upsert(true)).await?;
        Ok(())
    }
}

impl Mongo {
    /// The scrapes of several servers within `range`, of each in order of time.
    pub(super) async fn scrapes_of(
        &self,
        servers: &[ServerId],
        range: Range<Timestamp>,
    ) -> Result<BTreeMap<ServerId, Vec<Point>>> {
        let names: Vec<_> = servers.iter().map(ServerId::to_string).collect();
        let filter = doc! { "server": { "$in": names }, "at": within(&range) };
        let found = self.all(self.heartbeats.find(filter).projection(doc! { "_id": 0 })).await?;
        let mut scrapes: BTreeMap<ServerId, Vec<Stored>> = BTreeMap::new();
        for document in &found {
            let server = document.get_str("server").ok().and_then(|id| id.parse().ok());
            if let (Some(server), Some(scrape)) = (server, heartbeat::stored(document)) {
                scrapes.entry(server).or_default().push(scrape);
            }
        }
        Ok(scrapes.into_iter().map(|(server, scrapes)| (server, in_order(scrapes))).collect())
    }

    /// Entries of a log from a position on. The order within a millisecond is that of their identities.
    async fn page<T: DeserializeOwned>(
        &self,
        log: &Collection<Document>,
        mut filter: Document,
        from: Position,
        limit: usize,
        at: impl Fn(&T) -> Timestamp,
    ) -> Result<Vec<(Position, T)>> {
        filter.insert("at", doc! { "$gte": date(from.at) });
        // Those of its own millisecond are counted from the first.
        let skipped = usize::try_from(from.number).unwrap_or(usize::MAX);
        let entries: Vec<T> =
            self.newest(log, filter, doc! { "at": 1, "_id": 1 }, limit.saturating_add(skipped)).await?;
        let mut next = Position::first(from.at);
        let placed = entries.into_iter().map(|entry| {
            let at = at(&entry);
            let position = if at == next.at { next } else { Position::first(at) };
            next = position.next();
            (position, entry)
        });
        Ok(placed.filter(|(position, _)| *position >= from).collect())
    }

    /// Puts entries of a log under identities that tell where they belong, so that they fall on themselves.
    async fn put_entries<T: Serialize + Sync>(
        &self,
        log: &Collection<Document>,
        entries: &[(Position, T)],
    ) -> Result<()> {
        let fleet = self.mark().await?.map_or(0, |mark| mark.fleet);
        let documents = entries.iter().map(|(position, entry)| {
            let mut document = journal::dated(entry, position.at)?;
            document.insert("_id", identity(*position, fleet));
            Ok(document)
        });
        self.insert_once(log, documents.collect::<Result<Vec<_>>>()?).await
    }

    /// Inserts documents; those that a unique index knows already are left as they are.
    async fn insert_once(&self, collection: &Collection<Document>, documents: Vec<Document>) -> Result<()> {
        for documents in documents.chunks(INSERTS) {
            match self.call(collection.insert_many(documents).ordered(false)).await {
                Err(error) if !error.is_duplicate() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn sorted(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by_key(|point| point.at);
    points.dedup_by_key(|point| point.at);
    points
}

fn of_day(day: i64) -> Range<Timestamp> {
    const DAY_SECONDS: i64 = 86_400;
    let start = Timestamp::from_secs(day.saturating_mul(DAY_SECONDS));
    start..start + HOUR * 24
}

/// The update that puts a server with its standing.
fn put_server(server: &Server, standing: &Standing) -> Result<Document> {
    let mut set = server::fields(server)?;
    // What other programs gave it, and whoever may record it by now, stay.
    set.insert("server_id", doc! { "$ifNull": ["$server_id", server.id.to_string()] });
    set.insert(server::EPOCH, doc! { "$ifNull": [format!("${}", server::EPOCH), 0i64] });
    for (key, value) in old_fields(standing) {
        set.insert(key, doc! { "$literal": value });
    }
    set.insert(server::STANDING, doc! { "$literal": recorder::document(standing)? });
    set.insert(server::UPDATED_AT, "$$NOW");
    Ok(doc! { "q": { server::ID: server.id.to_string() }, "u": [{ "$set": set }], "upsert": true })
}

/// An identity that sorts like the position within the same second.
fn identity(position: Position, fleet: u32) -> ObjectId {
    let millis = u32::try_from(position.at.as_millis().rem_euclid(1000)).unwrap_or(0);
    let number = u32::try_from(position.number).unwrap_or(u32::MAX).min((1 << NUMBER_BITS) - 1);
    let seconds = u32::try_from(position.at.as_secs()).unwrap_or(0);
    let mut bytes = [0; 12];
    let (head, tail) = bytes.split_at_mut(4);
    head.copy_from_slice(&seconds.to_be_bytes());
    tail[..4].copy_from_slice(&fleet.to_be_bytes());
    tail[4..].copy_from_slice(&(millis << NUMBER_BITS | number).to_be_bytes());
    ObjectId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_sort_like_positions_and_tell_fleets_apart() {
        let position =
            |millis: i64, number| Position { at: Timestamp::from_millis(1_790_000_000_000 + millis), number };
        let ids: Vec<_> = [(0, 0), (0, 1), (0, 70_000), (1, 0), (999, 4_000_000)]
            .map(|(ms, n)| identity(position(ms, n), 7))
            .to_vec();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_ne!(identity(position(0, 0), 7), identity(position(0, 0), 8));
    }
}
