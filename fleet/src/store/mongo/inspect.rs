//! Looks at a database without changing anything in it: what an operator would want to know before a start.

use std::collections::HashSet;
use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;

use super::command::number;
use super::schema::{SCHEMA, expiry, indexes};
use super::{HEARTBEATS, Mongo, Options};
use crate::store::Result;
use crate::time::Timestamp;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Version of the server, for example `8.0.17`.
    pub version: String,
    /// It is part of a replica set, or a router in front of such.
    pub is_replica_set: bool,
    /// Members of the set that vote or hold data, as the server knows them.
    pub members: usize,
    /// By how many milliseconds the database's clock is ahead of ours, within half of what asking took.
    pub clock_ahead_ms: i64,
    /// Version of the layout; `None` where nothing of ours was started on it yet.
    pub schema: Option<u32>,
    /// Version of the layout that this program makes.
    pub known_schema: u32,
    /// Indexes that are missing, by collection and name.
    pub missing_indexes: Vec<String>,
    /// The collection of scrapes.
    pub heartbeats: Heartbeats,
}

/// The collection of scrapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeats {
    /// It is not there.
    Missing,
    /// It is no time series.
    Ordinary,
    /// It is a time series whose scrapes the database deletes after so long, or never.
    TimeSeries {
        /// Set in the database.
        kept: Option<Duration>,
        /// What a start would set.
        wanted: Duration,
    },
}

/// Looks at the database that `url` names. `options` are those of [`Mongo::open`].
///
/// # Errors
/// The URL cannot be used, nobody answers, or this user may not look.
pub async fn inspect(url: &str, options: Options) -> Result<Inspection> {
    let store = Mongo::connect(url).await?;
    let found = store.look(options).await;
    store.close().await;
    found
}

impl Mongo {
    async fn look(&self, options: Options) -> Result<Inspection> {
        let asked = Timestamp::now();
        let hello = self.call(self.database.run_command(doc! { "hello": 1 })).await?;
        let half = Timestamp::now().since(asked) / 2;
        let local_time = hello.get_datetime("localTime").map_or(asked.as_millis(), |time| time.timestamp_millis());
        let build = self.call(self.database.run_command(doc! { "buildInfo": 1 })).await?;
        let schema = self.call(self.meta.find_one(doc! { "_id": "schema" })).await?;
        Ok(Inspection {
            version: build.get_str("version").unwrap_or_default().to_owned(),
            is_replica_set: Self::is_replica_set(&hello),
            members: hello.get_array("hosts").map_or(0, Vec::len),
            clock_ahead_ms: local_time.saturating_sub((asked + half).as_millis()),
            schema: schema.map(|schema| u32::try_from(number(schema.get("version"))).unwrap_or(u32::MAX)),
            known_schema: SCHEMA.unsigned_abs(),
            missing_indexes: self.missing_indexes().await?,
            heartbeats: self.look_at_heartbeats(options).await?,
        })
    }

    async fn missing_indexes(&self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let mut known: Option<(&str, HashSet<String>)> = None;
        for index in indexes() {
            let name = index.name();
            if known.as_ref().is_none_or(|(collection, _)| *collection != index.collection) {
                let there = self.index_names(index.collection).await?;
                known = Some((index.collection, there));
            }
            if known.as_ref().is_some_and(|(_, there)| !there.contains(&name)) {
                missing.push(format!("{}.{name}", index.collection));
            }
        }
        Ok(missing)
    }

    async fn look_at_heartbeats(&self, options: Options) -> Result<Heartbeats> {
        let filter = doc! { "name": HEARTBEATS };
        let known: Vec<_> =
            self.call(async { self.database.list_collections().filter(filter).await?.try_collect().await }).await?;
        Ok(match known.first() {
            None => Heartbeats::Missing,
            Some(known) if known.options.timeseries.is_none() => Heartbeats::Ordinary,
            Some(known) => {
                Heartbeats::TimeSeries { kept: known.options.expire_after_seconds, wanted: expiry(options.retention) }
            }
        })
    }

    /// True for what a `hello` of a replica set, or of a router, says.
    pub(super) fn is_replica_set(hello: &Document) -> bool {
        hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
    }
}
