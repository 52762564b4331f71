//! The history role: scrapes from the time series, each once, and flips from the log.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, doc};

use super::heartbeat::Stored;
use super::recorder::TRANSITION;
use super::server::date;
use super::{Mongo, heartbeat, journal};
use crate::health::Transition;
use crate::series::{self, Bucket};
use crate::server::ServerId;
use crate::store::{History, Point, Result};
use crate::time::Timestamp;

/// Dates that a time series finds: the years 1970 to 9999.
const DATES: Range<i64> = 0..253_402_300_800_000;

#[async_trait]
impl History for Mongo {
    async fn points(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>> {
        self.scrapes(server, range.start.max(self.floor())..range.end).await
    }

    async fn series(&self, server: ServerId, range: Range<Timestamp>, step: Duration) -> Result<Vec<Bucket>> {
        let range = series::aligned(range, step);
        if step < series::HOUR {
            return Ok(series::of_points(&self.points(server, range).await?, step));
        }
        Ok(series::of_hours(&self.hours(server, range).await?, step))
    }

    async fn transitions(&self, server: Option<ServerId>, limit: usize) -> Result<Vec<Transition>> {
        let mut filter = doc! { "kind": TRANSITION };
        let order = match server {
            Some(server) => {
                filter.insert("server", server.to_string());
                doc! { "number": -1 }
            }
            None => doc! { "at": -1, "server": -1, "number": -1 },
        };
        self.newest(&self.events, filter, order, limit).await
    }

    async fn transitions_before(
        &self,
        server: Option<ServerId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Transition>> {
        let mut filter = doc! { "kind": TRANSITION, "at": { "$lt": date(before) } };
        let order = match server {
            Some(server) => {
                filter.insert("server", server.to_string());
                doc! { "number": -1 }
            }
            None => doc! { "at": -1, "server": -1, "number": -1 },
        };
        self.newest(&self.events, filter, order, limit).await
    }

    async fn transitions_since(&self, from: Timestamp) -> Result<Vec<Transition>> {
        let filter = doc! { "kind": TRANSITION, "at": { "$gte": date(from) } };
        let found = self.events.find(filter).sort(doc! { "at": 1, "server": 1, "number": 1 });
        let found: Vec<Document> = self.all(found).await?;
        found.into_iter().map(journal::undated).collect()
    }
}

impl Mongo {
    /// The scrapes of one server within `range`, in order of time, each once.
    pub(super) async fn scrapes(&self, server: ServerId, range: Range<Timestamp>) -> Result<Vec<Point>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let filter = doc! { "server": server.to_string(), "at": within(&range) };
        let found = self.heartbeats.find(filter).projection(doc! { "_id": 0, "server": 0 });
        let found: Vec<Document> = self.all(found).await?;
        Ok(in_order(found.iter().filter_map(heartbeat::stored).collect()))
    }

    /// The latest flip of a server.
    pub(super) async fn last_transition(&self, server: ServerId) -> Result<Option<Transition>> {
        Ok(self.transitions(Some(server), 1).await?.pop())
    }
}

/// A condition on a date.
pub(super) fn within(range: &Range<Timestamp>) -> Document {
    let [start, end] = [range.start, range.end].map(|at| at.as_millis().clamp(DATES.start, DATES.end));
    doc! { "$gte": date(Timestamp::from_millis(start)), "$lt": date(Timestamp::from_millis(end)) }
}

/// In order of time, each scrape once: it may have been sent again, and one who was replaced may have made it too, of
/// which the newer epoch counts. Heartbeats of one who was replaced show the health that was told meanwhile.
pub(super) fn in_order(mut scrapes: Vec<Stored>) -> Vec<Point> {
    scrapes.sort_by_key(|scrape| (scrape.point.at, Reverse(scrape.epoch), scrape.is_overtaken));
    scrapes.dedup_by_key(|scrape| scrape.point.at);
    let mut told = scrapes.iter().find(|scrape| !scrape.is_overtaken).map(|scrape| scrape.point.health);
    let points = scrapes.into_iter().map(|Stored { mut point, is_overtaken, .. }| {
        if is_overtaken {
            point.health = told.unwrap_or(point.health);
        }
        told = Some(point.health);
        point
    });
    points.collect()
}
