//! Maintenance: sums up hours, deletes what is too old, adopts servers that others added. One collector at a time does
//! it; should two, the second does the same again.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::Mongo;
use super::date::timestamp;
use super::rollup::{self, ROLL_AFTER};
use super::server::date;
use crate::series::{self, HOUR};
use crate::server::ServerId;
use crate::store::{Inventory, Maintenance, Result};
use crate::time::Timestamp;

/// Whoever started maintenance and does not end it within this time is believed to have died.
const TURN: Duration = Duration::from_secs(600);
/// Hours of servers that are summed up at once, whether of 64 servers and a day or of 1,536 and an hour: 46,000 scrapes
/// at 30 an hour, some 5 MB.
const HOURS_AT_ONCE: usize = 1536;
/// Hours noted as late that one call takes up.
const LATE_AT_ONCE: i64 = 20_000;

impl Mongo {
    pub(super) async fn keep_up(&self, now: Timestamp, oldest: Timestamp) -> Result<Maintenance> {
        let floor = self.raise_floor(rollup::day(oldest)).await?;
        if !self.take_turn().await? {
            return Ok(Maintenance::default());
        }
        let done = self.work(now, oldest, floor).await;
        self.end_turn().await?;
        done
    }

    async fn work(&self, now: Timestamp, oldest: Timestamp, floor: Timestamp) -> Result<Maintenance> {
        let days_deleted = self.delete_old(now, oldest, floor).await?;
        self.adopt_servers().await?;
        // Tells flips that still wait.
        self.read_standings(doc! { "mect.pending.0": { "$exists": true } }).await?;
        let points_sealed = self.roll(now, floor).await? + self.roll_late().await?;
        Ok(Maintenance { points_sealed, days_deleted })
    }

    /// True when nobody else is at it. By the database's clock.
    async fn take_turn(&self) -> Result<bool> {
        let me = ObjectId::new();
        let free = doc! { "$lte": [{ "$ifNull": ["$until", "$$NOW"] }, "$$NOW"] };
        let until = doc! { "$add": ["$$NOW", i64::try_from(TURN.as_millis()).unwrap_or(i64::MAX)] };
        let set = doc! {
            "turn": { "$cond": [&free, me, "$turn"] },
            "until": { "$cond": [&free, until, "$until"] },
        };
        let take = self.meta.find_one_and_update(doc! { "_id": "maintenance" }, vec![doc! { "$set": set }]);
        let taken = self.call(take.upsert(true).return_document(ReturnDocument::After)).await?;
        Ok(taken.is_some_and(|taken| taken.get_object_id("turn").is_ok_and(|turn| turn == me)))
    }

    async fn end_turn(&self) -> Result<()> {
        let end = vec![doc! { "$set": { "until": "$$NOW" } }];
        self.call(self.meta.update_one(doc! { "_id": "maintenance" }, end)).await?;
        Ok(())
    }

    async fn delete_old(&self, now: Timestamp, oldest: Timestamp, floor: Timestamp) -> Result<u64> {
        let (now, before) = (doc! { "$lte": date(now) }, doc! { "$lt": date(oldest) });
        self.call(self.sessions.delete_many(doc! { "expires_at": now.clone() })).await?;
        for expiring in [&self.tokens, &self.grants, &self.revoked] {
            self.call(expiring.delete_many(doc! { "expires_at": now.clone() })).await?;
        }
        self.call(self.events.delete_many(doc! { "at": before })).await?;
        self.delete_audit(oldest).await?;
        self.call(self.late.delete_many(doc! { "hour": { "$lt": date(floor) } })).await?;
        let mut days = 0;
        loop {
            let first = self.rollups.find_one(doc! { "day": { "$lt": date(floor) } });
            let first = self.call(first.sort(doc! { "day": 1 }).projection(doc! { "day": 1 })).await?;
            let Some(day) = first.as_ref().and_then(|first| first.get("day")) else { return Ok(days) };
            self.call(self.rollups.delete_many(doc! { "day": day })).await?;
            days += 1;
        }
    }

    /// Sums up every hour that is over, a day at most at a time; returns the number of scrapes. The last hours of a
    /// server that was deleted are noted as late, see [`note_last_hours`](Self::note_last_hours).
    async fn roll(&self, now: Timestamp, floor: Timestamp) -> Result<u64> {
        let end = rollup::hour(now - ROLL_AFTER);
        let Some(first) = self.first_to_roll().await? else { return Ok(0) };
        let (mut from, mut points) = (rollup::hour(first).max(floor), 0);
        if from >= end {
            return Ok(0);
        }
        let servers: Vec<_> = self.servers().await?.into_iter().map(|server| server.id).collect();
        while from < end {
            let until = (rollup::day(from) + HOUR * 24).min(end);
            let hours = until.since(from).as_secs() / HOUR.as_secs();
            for servers in servers.chunks(HOURS_AT_ONCE / hours.clamp(1, 24) as usize) {
                points += self.roll_range(servers, from..until).await?;
            }
            let mark = doc! { "$max": { "until": date(until) } };
            self.call(self.meta.update_one(doc! { "_id": "rollups" }, mark).upsert(true)).await?;
            from = until;
        }
        Ok(points)
    }

    /// Where the last roll ended; at the first call, the oldest scrape.
    async fn first_to_roll(&self) -> Result<Option<Timestamp>> {
        let until = self.rolled_until().await?;
        if until > Timestamp::default() {
            return Ok(Some(until));
        }
        let oldest = self.heartbeats.find_one(doc! {}).sort(doc! { "at": 1 });
        Ok(self.call(oldest).await?.as_ref().and_then(|oldest| timestamp(oldest.get("at")?)))
    }

    async fn roll_range(&self, servers: &[ServerId], range: Range<Timestamp>) -> Result<u64> {
        let points = self.scrapes_of(servers, range.clone()).await?;
        let mut count = 0;
        let updates = points.into_iter().map(|(server, points)| {
            count += points.len() as u64;
            rollup::keep(server, range.start, &series::hours(&points))
        });
        let updates = updates.collect();
        self.update(self.rollups.name(), updates).await?;
        Ok(count)
    }

    /// Sums up anew what records came late for.
    async fn roll_late(&self) -> Result<u64> {
        let until = self.rolled_until().await?;
        let late = self.late.find(doc! { "hour": { "$lt": date(until) } }).limit(LATE_AT_ONCE);
        let late: Vec<Document> = self.all(late).await?;
        let mut by_day: HashMap<(ServerId, Timestamp), Vec<&Document>> = HashMap::new();
        for note in &late {
            let server = note.get_str("server").ok().and_then(|id| id.parse::<ServerId>().ok());
            if let (Some(server), Some(hour)) = (server, note.get("hour").and_then(timestamp)) {
                by_day.entry((server, rollup::day(hour))).or_default().push(note);
            }
        }
        let mut points = 0;
        for ((server, day), notes) in by_day {
            points += self.roll_range(&[server], day..(day + HOUR * 24).min(until)).await?;
            // One that was noted again since we looked stays for the next turn.
            let done = notes.iter().map(|note| {
                let as_read = |key: &str| note.get(key).cloned().unwrap_or(Bson::Null);
                doc! { "_id": as_read("_id"), "notes": as_read("notes") }
            });
            let done: Vec<_> = done.collect();
            self.call(self.late.delete_many(doc! { "$or": done })).await?;
        }
        Ok(points)
    }
}
