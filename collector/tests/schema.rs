//! What a newer program wrote is refused, by every subcommand that would open it, and stays as it is.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::process::Output;

use bson::doc;
use mect_testkit::mongo::ReplicaSet;
use redb::{Database, TableDefinition};
use support::collector::Home;

const NEWER: u32 = 1000;

#[track_caller]
fn refused(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["has schema version 1000", "this program knows up to", "run the newer program"] {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// Says in the data file, as the last thing, that a newer program wrote it.
fn set_schema(home: &Home, version: u32) {
    let database = Database::open(home.data_dir().join("fleet.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TableDefinition::<&str, u32>::new("meta")).unwrap().insert("schema", version).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_newer_data_file_is_refused_and_stays() {
    let home = Home::new("");
    home.start().stop();
    let backup = home.path().join("backup");
    set_schema(&home, NEWER);
    let file = home.data_dir().join("fleet.redb");
    let before = std::fs::read(&file).unwrap();
    refused(&home.command("serve").output().unwrap());
    refused(&home.command("backup").arg(&backup).output().unwrap());
    assert!(!backup.exists());
    assert!(std::fs::read(&file).unwrap() == before, "not a byte was changed");
    let looked = home.command("doctor").output().unwrap();
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(said.contains("problem  store") && said.contains("schema version 1000"), "{said}");
    // The right program goes on with it.
    set_schema(&home, 2);
    home.start();
}

#[test]
fn a_newer_database_is_refused_and_stays() {
    let set = ReplicaSet::start(1);
    let mut home = Home::new("");
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let embedded = Home::new("");
    embedded.start().stop();
    let url = set.url("newer");
    home.set("MONGO_URL", &url);
    home.start().stop();
    let say = |version: i64| {
        let update =
            doc! { "q": { "_id": "schema" }, "u": { "$set": { "version": bson::Bson::Int32(version as i32) } } };
        set.command(0, doc! { "update": "meta", "updates": [update], "$db": "newer" }).unwrap();
    };
    say(i64::from(NEWER));
    let before = set.dump("newer", "meta");
    refused(&home.command("serve").output().unwrap());
    let mut moving = embedded.command("migrate");
    moving.args(["--from", "embedded", "--to", "mongo"]).env("MONGO_URL", &url);
    refused(&moving.env("SECRET_KEY", "0123456789abcdef0123456789abcdef").output().unwrap());
    assert_eq!(set.dump("newer", "meta"), before);
    let looked = home.command("doctor").output().unwrap();
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(said.contains("problem  store") && said.contains("schema version 1000"), "{said}");
    say(1);
    home.start();
}
