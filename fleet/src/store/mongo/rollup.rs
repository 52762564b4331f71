//! Hours summed up ahead of time, so that a month of one server is read from some thirty small documents.
//!
//! One document per server and UTC day: `{ server, day, hours: { "0": bytes, … "23": bytes } }`. An hour that is rolled
//! up (before the mark in `meta`) and has no bytes had no scrape. Records that come after their hour was rolled up are
//! noted in `rollups_late`; until the hour is summed up anew, readers take it from the scrapes.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};

use super::Mongo;
use super::date::timestamp;
use super::server::date;
use crate::series::{self, Bucket, HOUR, Spread};
use crate::server::ServerId;
use crate::store::{Record, Result};
use crate::time::Timestamp;

/// A record that is older than this may belong to an hour that is rolled up. Below [`ROLL_AFTER`] by more than what
/// clocks differ and a batch is under way.
const LATE: Duration = Duration::from_secs(10 * 60);
/// An hour is rolled up this long after its end, so that what comes a little late needs no second turn.
pub(super) const ROLL_AFTER: Duration = Duration::from_secs(20 * 60);
/// Hours of a deleted server that are looked at once more: as long as maintenance may have been away.
const LAST_HOURS: Duration = Duration::from_secs(48 * 3600);
/// Numbers of a packed hour: checks, failures, and seven spreads of five.
const NUMBERS: usize = 2 + 7 * 5;

impl Mongo {
    /// The hours of one server that begin within `range`, which begins and ends with an hour.
    pub(super) async fn hours(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Bucket>> {
        let range = range.start.max(self.floor())..range.end;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        // In this order: what is rolled up or noted meanwhile is read from the scrapes, which is as right.
        let until = self.rolled_until().await?.min(range.end);
        let late = self.late_hours(server, &range).await?;
        let mut hours = self.rolled(server, range.start..until).await?;
        hours.retain(|hour| !late.contains(&hour.at));
        for hour in late.into_iter().filter(|hour| *hour < until) {
            hours.extend(series::hours(&self.scrapes(server, hour..hour + HOUR).await?));
        }
        hours.sort_by_key(|hour| hour.at);
        hours.extend(series::hours(&self.scrapes(server, until.max(range.start)..range.end).await?));
        Ok(hours)
    }

    /// Hours before this instant are rolled up.
    pub(super) async fn rolled_until(&self) -> Result<Timestamp> {
        let mark = self.call(self.meta.find_one(doc! { "_id": "rollups" })).await?;
        Ok(mark.as_ref().and_then(|mark| mark.get("until")).and_then(timestamp).unwrap_or_default())
    }

    async fn rolled(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Bucket>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let days = doc! { "$gte": date(day(range.start)), "$lt": date(range.end) };
        let found = self.rollups.find(doc! { "server": server.to_string(), "day": days });
        let found: Vec<Document> = self.all(found).await?;
        let mut hours = Vec::new();
        for document in &found {
            let Some(day) = document.get("day").and_then(timestamp) else { continue };
            for (hour, packed) in document.get_document("hours").into_iter().flatten() {
                let at = hour.parse().map_or(day, |hour: u32| day + HOUR * hour);
                if let (Bson::Binary(packed), true) = (packed, range.contains(&at)) {
                    hours.extend(unpack(at, &packed.bytes));
                }
            }
        }
        Ok(hours)
    }

    async fn late_hours(&self, server: ServerId, range: &Range<Timestamp>) -> Result<HashSet<Timestamp>> {
        let filter = doc! { "server": server.to_string(), "hour": super::history::within(range) };
        let found = self.late.find(filter);
        let found: Vec<Document> = self.all(found).await?;
        Ok(found.iter().filter_map(|late| timestamp(late.get("hour")?)).collect())
    }

    /// Notes hours that records come late for; true when there are any. Each note counts, so that one that was taken
    /// up can be told from one that came after.
    pub(super) async fn mark_late(&self, records: &[&Record]) -> Result<bool> {
        let timely = Timestamp::now() - LATE;
        let late = records.iter().filter(|record| record.report.at < timely);
        let late: HashSet<_> = late.map(|record| (record.report.server, hour(record.report.at))).collect();
        self.note(&late).await?;
        Ok(!late.is_empty())
    }

    /// Notes the hours of a server that is gone which are not rolled up yet: nobody else would look for them.
    pub(super) async fn note_last_hours(&self, server: ServerId, last_scrape: Timestamp) -> Result<()> {
        let last = hour(last_scrape);
        let first = self.rolled_until().await?.max(last - LAST_HOURS);
        let hours = (0..).map(|n| first + HOUR * n).take_while(|hour| *hour <= last);
        self.note(&hours.map(|hour| (server, hour)).collect()).await
    }

    async fn note(&self, late: &HashSet<(ServerId, Timestamp)>) -> Result<()> {
        let updates = late.iter().map(|(server, hour)| {
            let key = format!("{server} {}", hour.as_secs());
            let set = doc! { "$inc": { "notes": 1 }, "$set": { "server": server.to_string(), "hour": date(*hour) } };
            doc! { "q": { "_id": key }, "u": set, "upsert": true }
        });
        self.update(self.late.name(), updates.collect()).await?;
        Ok(())
    }
}

/// The update that keeps the hours of one server and day, and clears those of `range` that had no scrape.
pub(super) fn keep(server: ServerId, day_of: Timestamp, buckets: &[Bucket]) -> Document {
    let hours = buckets.iter().map(|bucket| (format!("hours.{}", number(bucket.at)), pack(bucket).into()));
    let hours: Document = hours.collect();
    let one = doc! { "server": server.to_string(), "day": date(day(day_of)) };
    doc! { "q": one, "u": { "$set": hours }, "upsert": true }
}

/// Start of the UTC day.
pub(super) fn day(at: Timestamp) -> Timestamp {
    const DAY_SECONDS: i64 = 86_400;
    Timestamp::from_secs(at.day() * DAY_SECONDS)
}

/// Start of the hour.
pub(super) fn hour(at: Timestamp) -> Timestamp {
    let hour = HOUR.as_millis() as i64;
    Timestamp::from_millis(at.as_millis().div_euclid(hour) * hour)
}

/// Number of the hour in its day.
fn number(at: Timestamp) -> u64 {
    at.since(day(at)).as_secs() / HOUR.as_secs()
}

/// Every number as a little-endian float, which holds them all exactly; a spread that nobody knew counts none.
fn pack(bucket: &Bucket) -> Binary {
    let spreads = [bucket.duration_ms, bucket.cpu, bucket.ram, bucket.net, bucket.receive, bucket.transmit];
    let spreads = spreads.into_iter().chain([bucket.sessions]).flat_map(|spread| match spread {
        Some(Spread { count, min, mean, p95, max }) => [f64::from(count), min, mean, p95, max],
        None => [0.0; 5],
    });
    let numbers = [f64::from(bucket.checks), f64::from(bucket.failures)].into_iter().chain(spreads);
    Binary { subtype: BinarySubtype::Generic, bytes: numbers.flat_map(f64::to_le_bytes).collect() }
}

/// `None` when it is not of this form.
fn unpack(at: Timestamp, bytes: &[u8]) -> Option<Bucket> {
    let (numbers, rest) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes));
    if numbers.len() != NUMBERS || !rest.is_empty() {
        return None;
    }
    let (checks, failures) = (numbers.next()? as u32, numbers.next()? as u32);
    let mut spread = || {
        let mut next = || numbers.next().unwrap_or_default();
        let (count, min, mean, p95, max) = (next() as u32, next(), next(), next(), next());
        (count > 0).then_some(Spread { count, min, mean, p95, max })
    };
    let (duration_ms, cpu, ram, net) = (spread(), spread(), spread(), spread());
    let (receive, transmit, sessions) = (spread(), spread(), spread());
    Some(Bucket { at, checks, failures, duration_ms, cpu, ram, net, receive, transmit, sessions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_round_trip() {
        let spread = Spread { count: u32::MAX, min: -0.1, mean: 1.0 / 3.0, p95: 1e300, max: f64::MAX };
        let bucket = Bucket {
            at: Timestamp::from_secs(3600),
            checks: 31,
            failures: 1,
            duration_ms: Some(spread),
            cpu: None,
            ram: Some(Spread { count: 1, ..spread }),
            net: None,
            receive: None,
            transmit: Some(spread),
            sessions: Some(spread),
        };
        assert_eq!(unpack(bucket.at, &pack(&bucket).bytes), Some(bucket));
        assert_eq!(unpack(Timestamp::default(), &[0; 8]), None);
    }

    #[test]
    fn instants_fall_into_their_hour_and_day() {
        let at = Timestamp::from_secs(2 * 86_400 + 5 * 3600 + 59);
        assert_eq!((hour(at).as_secs(), day(at).as_secs(), number(at)), (190_800, 172_800, 5));
    }
}
