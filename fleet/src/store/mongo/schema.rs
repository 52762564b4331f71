//! What a database needs before it is used: the version of its layout, collections, indexes, and our part of what the
//! old system left. Adds what is missing and says so; a second start finds nothing to add.

use std::collections::HashSet;
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReturnDocument, TimeseriesGranularity, TimeseriesOptions};

use super::mailbox::PUSHES;
use super::superadmins::COMMON;
use super::{HEARTBEATS, Mongo, Options, server};
use crate::store::{Result, StoreError};

/// Version of the layout. Raised when an older program could no longer work with what a newer one writes.
pub(super) const SCHEMA: i32 = 1;
/// What MongoDB 5.0 says in its greeting.
const WIRE_VERSION: i32 = 13;
/// Addresses or names named in the error about duplicates.
const DUPLICATES_NAMED: i64 = 10;
/// The database deletes scrapes this much later than retention asks: readers stop at a whole day, and until they do,
/// scrapes and rollups must hold the same.
const EXPIRY_SLACK: Duration = Duration::from_secs(2 * 86_400);
/// Code of the server for a collection that is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// A heartbeat that nobody took for so long is of no use.
const PUSHES_KEPT: Duration = Duration::from_secs(3600);
/// Code of the server for a collection that somebody else just made.
const NAMESPACE_EXISTS: i32 = 48;

/// An index that must be there. `unique` ones hold only documents where the first key is a text or number above
/// nothing, so that documents without it, of whatever system, do no harm.
pub(super) struct Index {
    pub(super) collection: &'static str,
    keys: Document,
    unique: bool,
    /// Documents are deleted so long after the date in their key.
    expire_after: Option<Duration>,
}

/// Every index that must be there, those of one collection side by side.
pub(super) fn indexes() -> Vec<Index> {
    let plain = |collection, keys| Index { collection, keys, unique: false, expire_after: None };
    let unique = |collection, keys| Index { collection, keys, unique: true, expire_after: None };
    vec![
        unique("servers", doc! { "ip": 1 }),
        unique("servers", doc! { server::ID: 1 }),
        plain("servers", doc! { server::SHARD: 1 }),
        plain("servers", doc! { server::UPDATED_AT: 1 }),
        unique("users", doc! { "username": 1 }),
        plain("sessions", doc! { "username": 1 }),
        plain("sessions", doc! { "expires_at": 1 }),
        unique("api_tokens", doc! { "username": 1, "name": 1 }),
        plain("api_tokens", doc! { "expires_at": 1 }),
        // Newer servers make it themselves; 6.0 does not.
        plain(HEARTBEATS, doc! { "server": 1, "at": 1 }),
        unique("events", doc! { "server": 1, "number": 1 }),
        plain("events", doc! { "kind": 1, "at": 1, "server": 1, "number": 1 }),
        plain("events", doc! { "server": 1, "at": 1 }),
        plain("audit", doc! { "at": 1 }),
        unique("audit", doc! { "number": 1 }),
        plain("grants", doc! { "username": 1 }),
        plain("grants", doc! { "expires_at": 1 }),
        plain("revoked", doc! { "expires_at": 1 }),
        unique("rollups", doc! { "server": 1, "day": 1 }),
        plain("rollups", doc! { "day": 1 }),
        Index { expire_after: Some(PUSHES_KEPT), ..plain(PUSHES, doc! { "left_at": 1 }) },
    ]
}

impl Index {
    /// The key whose presence makes a document part of a unique index.
    fn condition(&self) -> Option<Document> {
        let key = if self.collection == "events" { "number" } else { self.keys.keys().next()?.as_str() };
        let nothing = if key == "number" { Bson::Int64(0) } else { Bson::String(String::new()) };
        self.unique.then(|| doc! { key: { "$gt": nothing } })
    }

    pub(super) fn name(&self) -> String {
        let keys: Vec<_> = self.keys.keys().map(|key| key.replace('.', "_")).collect();
        format!("mect_{}", keys.join("_"))
    }
}

impl Mongo {
    /// Makes the database ready; returns what it added.
    pub(super) async fn prepare(&self, options: Options) -> Result<Vec<String>> {
        self.check_server().await?;
        self.check_schema().await?;
        self.refuse_duplicates("servers", "ip", "address").await?;
        self.refuse_duplicates("users", "username", "user name").await?;
        let mut added = Vec::new();
        added.extend(self.add_heartbeats(options.retention).await?);
        for index in indexes() {
            added.extend(self.add_index(&index).await?);
        }
        let common = self.meta.update_one(doc! { "_id": COMMON }, doc! { "$setOnInsert": { "changes": 0i64 } });
        self.call(common.upsert(true)).await?;
        self.warn_of_nameless().await?;
        let adopted = self.adopt_servers().await?;
        if adopted > 0 {
            added.push(format!("the sub-document `{}` in {adopted} servers", super::OURS));
        }
        for what in &added {
            tracing::info!(database = self.database.name(), "MongoDB: added {what}");
        }
        Ok(added)
    }

    /// Time series need version 5; acknowledged by a majority means nothing without a replica set.
    async fn check_server(&self) -> Result<()> {
        let hello = self.call(self.database.run_command(doc! { "hello": 1 })).await?;
        let problem = if !Self::is_replica_set(&hello) {
            "is not part of a replica set; start it with --replSet and initiate the set, one node is enough"
        } else if hello.get_i32("maxWireVersion").is_ok_and(|version| version < WIRE_VERSION) {
            "is older than version 5; upgrade it"
        } else {
            return Ok(());
        };
        let address = hello.get_str("me").unwrap_or("the server");
        Err(StoreError::Refused(format!("MongoDB: {address} {problem}")))
    }

    /// Claims an unclaimed database for this version; refuses one of a newer version.
    async fn check_schema(&self) -> Result<()> {
        let claim = self
            .meta
            .find_one_and_update(doc! { "_id": "schema" }, doc! { "$setOnInsert": { "version": SCHEMA } })
            .upsert(true)
            .return_document(ReturnDocument::After);
        let found = self.call(claim).await?;
        let found = found.and_then(|schema| schema.get_i32("version").ok()).unwrap_or_default();
        if found > SCHEMA {
            let path = format!("MongoDB database {}", self.database.name());
            let (found, known) = (found.unsigned_abs(), SCHEMA.unsigned_abs());
            return Err(StoreError::NewerSchema { path, found, known });
        }
        Ok(())
    }

    /// An old dump may hold a server twice; which one counts is for a person to say.
    async fn refuse_duplicates(&self, collection: &str, key: &str, what: &str) -> Result<()> {
        let documents = self.database.collection::<Document>(collection);
        let several = documents.aggregate([
            doc! { "$match": { key: { "$gt": "" } } },
            doc! { "$group": { "_id": format!("${key}"), "count": { "$sum": 1 } } },
            doc! { "$match": { "count": { "$gt": 1 } } },
            doc! { "$sort": { "_id": 1 } },
            doc! { "$limit": DUPLICATES_NAMED },
        ]);
        let several: Vec<Document> = self.call(async { several.await?.try_collect().await }).await?;
        if several.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = several.iter().map(|one| one.get_str("_id").unwrap_or_default()).collect();
        Err(StoreError::Refused(format!(
            "MongoDB database {}: collection `{collection}` holds more than one document with the {what} {}; delete or \
             change all but one of each, then start again",
            self.database.name(),
            named.join(", ")
        )))
    }

    async fn add_heartbeats(&self, retention: Duration) -> Result<Option<String>> {
        let (filter, expiry) = (doc! { "name": HEARTBEATS }, expiry(retention));
        let known: Vec<_> =
            self.call(async { self.database.list_collections().filter(filter).await?.try_collect().await }).await?;
        let Some(known) = known.first() else {
            let form = TimeseriesOptions::builder()
                .time_field("at".to_owned())
                .meta_field("server".to_owned())
                .granularity(TimeseriesGranularity::Minutes)
                .build();
            let create = self.database.create_collection(HEARTBEATS).timeseries(form).expire_after_seconds(expiry);
            return match self.call(create).await {
                Err(error) if error.code() == NAMESPACE_EXISTS => Ok(None),
                made => {
                    made?;
                    Ok(Some(format!("the time-series collection `{HEARTBEATS}`, kept for {} days", days(retention))))
                }
            };
        };
        if known.options.timeseries.is_none() {
            return Err(StoreError::Refused(format!(
                "MongoDB database {}: `{HEARTBEATS}` is an ordinary collection, not one of ours; rename it, or name \
                 another database in the URL",
                self.database.name()
            )));
        }
        if known.options.expire_after_seconds == Some(expiry) {
            return Ok(None);
        }
        let seconds = i64::try_from(expiry.as_secs()).unwrap_or(i64::MAX);
        let change = doc! { "collMod": HEARTBEATS, "expireAfterSeconds": seconds };
        self.call(self.database.run_command(change)).await?;
        Ok(Some(format!("a retention of {} days to `{HEARTBEATS}`", days(retention))))
    }

    async fn add_index(&self, index: &Index) -> Result<Option<String>> {
        let collection = self.database.collection::<Document>(index.collection);
        let name = index.name();
        if self.index_names(index.collection).await?.contains(&name) {
            return Ok(None);
        }
        let options = IndexOptions::builder()
            .name(name)
            .unique(index.unique.then_some(true))
            .partial_filter_expression(index.condition())
            .expire_after(index.expire_after)
            .build();
        let model = IndexModel::builder().keys(index.keys.clone()).options(options).build();
        self.call(collection.create_index(model)).await?;
        let what = if index.unique { "a unique index" } else { "an index" };
        let keys: Vec<_> = index.keys.keys().map(String::as_str).collect();
        Ok(Some(format!("{what} on {} to `{}`", keys.join(", "), index.collection)))
    }

    /// Names of the indexes of a collection; none when there is no such collection.
    pub(super) async fn index_names(&self, collection: &str) -> Result<HashSet<String>> {
        let collection = self.database.collection::<Document>(collection);
        match self.call(collection.list_index_names()).await {
            Ok(names) => Ok(names.into_iter().collect()),
            Err(error) if error.code() == NAMESPACE_NOT_FOUND => Ok(HashSet::new()),
            Err(error) => Err(error.into()),
        }
    }
}

/// After how long the database deletes scrapes.
pub(super) fn expiry(retention: Duration) -> Duration {
    retention + EXPIRY_SLACK
}

fn days(retention: Duration) -> u64 {
    const DAY: u64 = 86_400;
    retention.as_secs() / DAY
}
