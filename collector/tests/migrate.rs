//! The fleet of a real collector moves to MongoDB and back, killed on the way again and again.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use mect_fleet::store::embedded::{self, Embedded};
use mect_fleet::store::mongo::{self, Mongo};
use mect_fleet::store::{Store, story};
use mect_fleet::{Standing, Timestamp};
use mect_testkit::mongo::ReplicaSet;
use serde_json::json;
use support::collector::Home;
use support::{eventually, http};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SERVERS: usize = 30;
/// A day of every server.
const SCRAPES: u32 = 720;

fn migrate(home: &Home, from: &str, to: &str) -> std::process::Command {
    let mut command = home.command("migrate");
    command.args(["--from", from, "--to", to]);
    command
}

#[track_caller]
fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[track_caller]
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn open_embedded(dir: &Path) -> Store {
    Store::of_own(Arc::new(Embedded::open(dir, embedded::Options::default()).unwrap()))
}

/// A day of scrapes behind the fleet's back.
fn fill(dir: &Path) {
    let store = open_embedded(dir);
    block_on(async {
        let start = Timestamp::now() - Duration::from_secs(120) * SCRAPES;
        let servers = store.inventory.register((0..SERVERS).map(story::registration).collect(), start).await.unwrap();
        for server in servers {
            let mut standing = Standing::default();
            let at = |n: u32| start + Duration::from_secs(120) * n;
            let records = (0..SCRAPES).map(|n| story::observe(&mut standing, server.id, at(n), story::heartbeat(n)));
            store.recorder.record(Arc::new(records.collect())).await.unwrap();
        }
    });
}

/// Documents of the time series, as they lie there.
fn scrapes(set: &ReplicaSet) -> i32 {
    let count = doc! { "aggregate": "heartbeats", "pipeline": [{ "$count": "n" }], "cursor": {}, "$db": "moved" };
    let Ok(answer) = set.command(0, count) else { return 0 };
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.first().map_or(0, |counted| counted.as_document().unwrap().get_i32("n").unwrap())
}

#[test]
fn a_fleet_moves_to_the_database_and_back_under_kills() {
    let set = ReplicaSet::start(1);
    let mut home = Home::new("");
    home.set("SECRET_KEY", KEY);
    fill(&home.data_dir());
    let collector = home.start();
    let ip = story::registration(3).ip;
    let changed = collector.patch(&format!("/server/{ip}/config"), &json!({ "gaming": true, "enabled": false }));
    assert_eq!(changed.status, 200, "{changed:?}");
    let servers = collector.all_servers();
    let bearer = collector.bearer();
    let url = set.url("moved");
    let mut moving = migrate(&home, "embedded", "mongo");
    refused(&moving.env("MONGO_URL", &url).output().unwrap(), 1, &["in use by another collector"]);
    collector.stop();

    home.set("MONGO_URL", &url);
    let expected = SERVERS as i32 * SCRAPES as i32;
    for part in 1..4 {
        let mut child = migrate(&home, "embedded", "mongo").stdout(Stdio::null()).spawn().unwrap();
        let (enough, mut ended) = (expected * part / 5, false);
        eventually("a part to be there", || {
            ended = child.try_wait().unwrap().is_some();
            (ended || scrapes(&set) >= enough).then_some(())
        });
        assert!(!ended, "it ended before it could be killed");
        child.kill().unwrap();
        child.wait().unwrap();
        refused(&home.command("serve").output().unwrap(), 1, &["not finished", "migrate"]);
    }
    let said = done(&migrate(&home, "embedded", "mongo").output().unwrap());
    let parts = [
        format!("scrapes: {expected} in "),
        "scrapes read back".into(),
        format!("Done: {SERVERS} servers, 1 users, "),
        "read back and found the same".into(),
        "SECRET_KEY".into(),
    ];
    for part in parts {
        assert!(said.contains(&part), "{said:?} lacks {part:?}");
    }
    assert_eq!(scrapes(&set), expected, "nothing is there twice");
    done(&migrate(&home, "embedded", "mongo").output().unwrap());
    assert_eq!(scrapes(&set), expected);

    // The collector goes on with it: the same servers, password and tokens. Maintenance sums nothing up anew.
    let collector = home.start();
    assert_eq!(collector.all_servers(), servers);
    let mine = http::get(&format!("{}/users/me", collector.url), &[("authorization", &bearer)]).unwrap();
    assert_eq!(mine.status, 200, "a token of before: {mine:?}");
    let mut back = Home::new("");
    back.set("SECRET_KEY", KEY);
    back.set("MONGO_URL", &url);
    let running = migrate(&back, "mongo", "embedded").output().unwrap();
    refused(&running, 1, &["a collector runs on the source", "stop every collector"]);
    let changed = collector.patch(&format!("/server/{ip}/config"), &json!({ "streaming": true }));
    assert_eq!(changed.status, 200, "{changed:?}");
    let servers = collector.all_servers();
    collector.stop();

    // Back into a new directory.
    let mut child = migrate(&back, "mongo", "embedded").stdout(Stdio::null()).spawn().unwrap();
    eventually("the file to be made", || back.data_dir().join("fleet.redb").exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = done(&migrate(&back, "mongo", "embedded").output().unwrap());
    assert!(said.contains(&format!("and {expected} scrapes")) && said.contains("without MONGO_URL"), "{said}");
    back.set("MONGO_URL", "");
    let collector = back.start();
    assert_eq!(collector.all_servers(), servers);
    collector.stop();
    let (database, directory) =
        (block_on(points_of_database(&url)), block_on(points(&open_embedded(&back.data_dir()))));
    assert_eq!(database, directory);
    assert_eq!(database.len(), expected as usize);
}

async fn points_of_database(url: &str) -> Vec<(String, Timestamp)> {
    points(&Store::of_shared(Arc::new(Mongo::open(url, mongo::Options::default()).await.unwrap()))).await
}

async fn points(store: &Store) -> Vec<(String, Timestamp)> {
    let mut all = Vec::new();
    for server in store.inventory.servers().await.unwrap() {
        let range = Timestamp::from_secs(0)..Timestamp::now();
        let points = store.history.points(server.id, range).await.unwrap();
        all.extend(points.iter().map(|point| (server.ip.clone(), point.at)));
    }
    all.sort();
    all
}

#[test]
fn what_cannot_be_moved_is_said() {
    let set = ReplicaSet::start(1);
    let mut home = Home::new("");
    home.set("SECRET_KEY", KEY);
    refused(&migrate(&home, "mongo", "mongo").output().unwrap(), 1, &["the same store"]);
    refused(&migrate(&home, "embedded", "mongo").output().unwrap(), 1, &["there is no store", "MECT_DATA_DIR"]);
    fill(&home.data_dir());
    refused(&migrate(&home, "embedded", "mongo").output().unwrap(), 2, &["MONGO_URL", "is needed"]);
    home.set("MONGO_URL", &set.url("other"));
    let other = doc! { "ip": "192.0.2.1", "status": "active" };
    set.command(0, doc! { "insert": "servers", "documents": [other], "$db": "other" }).unwrap();
    refused(&migrate(&home, "embedded", "mongo").output().unwrap(), 1, &["other data", "1 servers", "empty database"]);
    assert_eq!(set.dump("other", "users").len(), 0);
}

/// Records that wait in the spool would be left behind.
#[test]
fn a_filled_spool_is_refused() {
    let mut set = ReplicaSet::start(1);
    let mut home =
        Home::new("[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\n[[targets]]\naddress = \"127.0.97.1:1\"\n");
    home.set("SECRET_KEY", KEY);
    home.set("MONGO_URL", &set.url("spooled"));
    let mut collector = home.start();
    eventually("a scrape", || collector.all_servers().first()?.get("health").cloned());
    set.kill(0);
    eventually("the spool to fill", || {
        let page = collector.get("/metrics").body;
        let records = page.lines().find_map(|line| line.strip_prefix("mect_spool_records "))?.to_owned();
        (records.parse::<f64>().unwrap() > 0.0).then_some(())
    });
    collector.program.kill();
    set.restart(0);
    set.primary();
    refused(
        &migrate(&home, "mongo", "embedded").output().unwrap(),
        1,
        &["records are not in the database yet", "mect_spool_records"],
    );
    assert!(!home.data_dir().join("fleet.redb").exists());
}
