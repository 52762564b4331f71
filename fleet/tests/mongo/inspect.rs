//! Looking at a database tells what a start would find, and changes nothing.

use std::time::Duration;

use bson::doc;
use mect_fleet::store::mongo::{Heartbeats, Mongo, Options, inspect};
use mect_testkit::mongo::ReplicaSet;

use crate::shared;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_stays_empty() {
    let url = shared().url("looked_at");
    let found = inspect(&url, Options::default()).await.unwrap();
    assert!(found.is_replica_set && found.members == 1, "{found:?}");
    assert_eq!((found.schema, found.heartbeats), (None, Heartbeats::Missing));
    assert!(found.missing_indexes.contains(&"servers.mect_ip".to_owned()), "{found:?}");
    assert!(found.version.starts_with(|first: char| first.is_ascii_digit()), "{found:?}");
    assert!(found.clock_ahead_ms.abs() < 60_000, "{found:?}");
    let names = shared().set.command(0, doc! { "listCollections": 1, "$db": "looked_at" }).unwrap();
    assert!(names.get_document("cursor").unwrap().get_array("firstBatch").unwrap().is_empty(), "{names}");

    drop(Mongo::open(&url, Options::default()).await.unwrap());
    let found = inspect(&url, Options::default()).await.unwrap();
    assert_eq!(found.missing_indexes, [] as [String; 0]);
    assert_eq!(found.schema, Some(found.known_schema));
    let Heartbeats::TimeSeries { kept, wanted } = found.heartbeats else { panic!("{found:?}") };
    assert_eq!(kept, Some(wanted));
    let retention = Duration::from_secs(7 * 86_400);
    let other = inspect(&url, Options { retention }).await.unwrap();
    assert!(matches!(other.heartbeats, Heartbeats::TimeSeries { kept: Some(kept), wanted } if kept > wanted));

    let drop_index = doc! { "dropIndexes": "servers", "index": "mect_ip", "$db": "looked_at" };
    shared().set.command(0, drop_index).unwrap();
    let newer = doc! { "update": "meta", "updates": [{ "q": { "_id": "schema" }, "u": { "$set": { "version": 99 } } }],
    "$db": "looked_at" };
    shared().set.command(0, newer).unwrap();
    let found = inspect(&url, Options::default()).await.unwrap();
    assert_eq!((found.missing_indexes, found.schema), (vec!["servers.mect_ip".to_owned()], Some(99)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_outside_a_set_and_a_foreign_collection_are_seen() {
    let alone = ReplicaSet::standalone();
    assert!(!inspect(&alone.url("fleet"), Options::default()).await.unwrap().is_replica_set);
    let insert = doc! { "insert": "heartbeats", "documents": [{ "from": "elsewhere" }], "$db": "looked_at_foreign" };
    shared().set.command(0, insert).unwrap();
    let found = inspect(&shared().url("looked_at_foreign"), Options::default()).await.unwrap();
    assert_eq!(found.heartbeats, Heartbeats::Ordinary);
}
