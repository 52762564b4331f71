//! Opening a database: what is added, once, and what is refused.

use std::time::{Duration, Instant};

use bson::doc;
use mect_fleet::store::StoreError;
use mect_fleet::store::mongo::{DEFAULT_DATABASE, Mongo, Options};

use crate::shared;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_adds_nothing() {
    let first = shared().open("twice").await;
    assert!(first.added().iter().any(|what| what.contains("time-series collection `heartbeats`")));
    assert!(first.added().iter().any(|what| what.contains("unique index on ip")));
    let second = shared().open("twice").await;
    assert_eq!(second.added(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_an_empty_database_at_once() {
    let openings: Vec<_> = (0..6)
        .map(|_| tokio::spawn(async { Mongo::open(&shared().url("at_once"), Options::default()).await.map(drop) }))
        .collect();
    for opening in openings {
        opening.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_retention_is_taken_over() {
    drop(shared().open("retention").await);
    let retention = Duration::from_secs(7 * 86_400);
    let changed = Mongo::open(&shared().url("retention"), Options { retention }).await.unwrap();
    assert_eq!(changed.added().len(), 1);
    assert!(changed.added()[0].contains("7 days"), "{:?}", changed.added());
    assert_eq!(Mongo::open(&shared().url("retention"), Options { retention }).await.unwrap().added().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused() {
    let newer = doc! { "_id": "schema", "version": 1000 };
    let insert = doc! { "insert": "meta", "documents": [newer], "$db": "newer" };
    shared().set.command(0, insert).unwrap();
    let refused = Mongo::open(&shared().url("newer"), Options::default()).await.err().unwrap();
    assert!(matches!(&refused, StoreError::NewerSchema { found: 1000, .. }), "{refused}");
    assert!(refused.to_string().contains("newer"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_heartbeats_collection_is_refused() {
    let insert = doc! { "insert": "heartbeats", "documents": [{ "from": "elsewhere" }], "$db": "foreign" };
    shared().set.command(0, insert).unwrap();
    let refused = Mongo::open(&shared().url("foreign"), Options::default()).await.err().unwrap().to_string();
    assert!(refused.contains("ordinary collection") && refused.contains("foreign"), "{refused}");
    assert_eq!(shared().set.dump("foreign", "heartbeats").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_named() {
    let servers = ["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(|ip| doc! { "ip": ip });
    let insert = doc! { "insert": "servers", "documents": servers.to_vec(), "$db": "duplicates" };
    shared().set.command(0, insert).unwrap();
    let refused = Mongo::open(&shared().url("duplicates"), Options::default()).await.err().unwrap().to_string();
    assert!(refused.contains("192.0.2.7") && !refused.contains("192.0.2.8"), "{refused}");
    assert!(refused.contains("delete or change all but one"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said_soon_and_without_the_password() {
    let started = Instant::now();
    let port = mect_testkit::free_port();
    let url = format!("mongodb://user:hidden-password@127.0.0.1:{port}/fleet?authSource=admin");
    let error = Mongo::open(&url, Options::default()).await.err().unwrap();
    assert!(matches!(&error, StoreError::Backend(_)), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_outside_a_replica_set_is_refused() {
    let alone = mect_testkit::mongo::ReplicaSet::standalone();
    let refused = Mongo::open(&alone.url("fleet"), Options::default()).await.err().unwrap().to_string();
    assert!(refused.contains("not part of a replica set") && refused.contains("--replSet"), "{refused}");
}

#[tokio::test]
async fn a_bad_url_is_refused_without_its_password() {
    for url in [
        "mongodb://user:hidden/password@127.0.0.1/fleet",
        "mongodb://user:hidden@127.0.0.1:port/fleet",
        "postgres://user:hidden@127.0.0.1/fleet",
        "mongodb://user:hidden@127.0.0.1/fleet?authMechanism=hidden",
    ] {
        let error = Mongo::open(url, Options::default()).await.err().unwrap();
        assert!(matches!(&error, StoreError::Refused(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        assert!(error.to_string().contains("mongodb://USER:PASSWORD@HOST"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_the_default_database_is_used() {
    let store = shared().open("").await;
    drop(store);
    let facts = shared().set.dump(DEFAULT_DATABASE, "meta");
    let names: Vec<_> = facts.iter().map(|fact| fact.get_str("_id").unwrap()).collect();
    assert_eq!(names, ["history", "schema", "superadmins"]);
}
