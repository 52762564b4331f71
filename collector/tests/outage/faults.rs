//! One fault after the other, with a reader and an operator in front of the collector.

use std::time::{Duration, Instant};

use mect_fleet::Timestamp;
use mect_fleet::store::EventKind;
use mect_fleet::store::Journal;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_testkit::mongo::ReplicaSet;
use serde_json::json;

use crate::alone;
use crate::scene::{Readers, SERVERS, Scene, metric};
use crate::support::collector::Collector;
use crate::support::{eventually, http};

/// Longer than anybody may wait, whatever the database does: the bounds of the web side with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(6);

#[test]
fn whatever_happens_to_the_database() {
    let _alone = alone();
    let mut set = ReplicaSet::start(3);
    let scene = Scene::new(&set.url("faults"), 0.5, &[]);
    let collector = scene.home.start();
    eventually("the fleet", || (collector.get("/servers").json().as_array()?.len() == SERVERS).then_some(()));
    let readers = Readers::start(&collector);

    println!("== the primary is killed");
    let primary = set.primary();
    set.kill(primary);
    goes_on(&scene, &collector);
    set.restart(primary);
    recovers(&collector);

    println!("== every node is killed");
    (0..3).for_each(|node| set.kill(node));
    endures(&scene, &collector);
    (0..3).for_each(|node| set.restart(node));
    recovers(&collector);

    println!("== every node hangs, as on a disk that does not answer");
    (0..3).for_each(|node| set.stop_process(node));
    endures(&scene, &collector);
    (0..3).for_each(|node| set.continue_process(node));
    recovers(&collector);

    let (shown, longest) = readers.finish();
    println!("a reader waited {longest:?} at most");
    assert!(longest < PATIENCE, "a reader waited {longest:?}");
    assert_eq!(metric(&collector, "mect_spool_dropped_records_total"), 0.0);
    assert!(metric(&collector, "mect_records_replayed_total") > 0.0);
    let events = eventually("the events of two outages", || {
        let kinds = events(&set.url("faults"));
        (kinds.iter().filter(|kind| **kind == EventKind::StoreBack).count() >= 2).then_some(kinds)
    });
    assert!(events.chunks(2).all(|pair| pair == [EventKind::StoreBack, EventKind::StoreLost]), "{events:?}");
    collector.stop();
    set.settle();
    scene.check(&set, &shown, 0);
}

/// Scraping goes on, and what is scraped is shown.
pub(crate) fn goes_on(scene: &Scene, collector: &Collector) {
    let (served, heartbeat) = (scene.served(), newest_heartbeat(collector));
    eventually("scraping to go on", || (scene.served() > served + 4 * SERVERS as u64).then_some(()));
    eventually("fresh heartbeats to be shown", || (newest_heartbeat(collector) > heartbeat).then_some(()));
}

/// The database is away and stays so: readers are served, writers are refused, records are spooled.
pub(crate) fn endures(scene: &Scene, collector: &Collector) {
    eventually("the loss to be noticed", || {
        let ready = collector.get("/readyz");
        assert_eq!(ready.status, 200, "{ready:?}");
        ready.body.contains("store: does not answer since").then_some(())
    });
    goes_on(scene, collector);
    let started = Instant::now();
    let refused = collector.patch(&first_server(collector), &json!({"gaming": true}));
    assert!(started.elapsed() < PATIENCE, "refused after {:?}", started.elapsed());
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("5")), "{refused:?}");
    let page = collector.get("/");
    assert!(page.status == 200 && page.body.contains("The database has not answered since"), "{page:?}");
    let login = [("username", "admin"), ("password", "correct horse battery")];
    let login = http::post_form(&format!("{}/token", collector.url), &login, &[]).unwrap();
    assert_eq!((login.status, login.retry_after.as_deref()), (503, Some("5")), "{login:?}");
    let stale = collector.all_servers().iter().filter(|server| server["stale"] != json!(false)).count();
    assert_eq!(stale, 0, "what is scraped is not stale");
    eventually("the spool to fill", || (metric(collector, "mect_spool_records") > 2.0 * SERVERS as f64).then_some(()));
    assert_eq!(metric(collector, "mect_store_up"), 0.0);
    assert!(metric(collector, "mect_spool_bytes") > 0.0 && metric(collector, "mect_spool_oldest_seconds") > 0.0);
}

/// The database is there again: the spool drains, and edits work.
pub(crate) fn recovers(collector: &Collector) {
    eventually("the store to be back", || {
        let is_back = collector.get("/readyz").body == "ready\nstore: answers\n";
        (is_back && metric(collector, "mect_spool_records") == 0.0).then_some(())
    });
    assert_eq!(metric(collector, "mect_store_up"), 1.0);
    let server = first_server(collector);
    eventually("edits to work", || (collector.patch(&server, &json!({"gaming": true})).status == 200).then_some(()));
    assert!(!collector.get("/").body.contains("has not answered"));
}

fn first_server(collector: &Collector) -> String {
    format!("/server/{}/config", collector.all_servers()[0]["ip"].as_str().unwrap())
}

fn newest_heartbeat(collector: &Collector) -> String {
    let servers = collector.all_servers();
    servers.iter().filter_map(|server| server["last_heartbeat"].as_str()).max().map_or_else(String::new, str::to_owned)
}

/// Kinds of the latest events, newest first.
fn events(url: &str) -> Vec<EventKind> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mongo = Mongo::open(url, Options::default()).await.unwrap();
        let events = mongo.events(None, Timestamp::now() + Duration::from_secs(60), 100).await.unwrap();
        let kinds = events.into_iter().map(|event| event.kind);
        kinds.filter(|kind| matches!(kind, EventKind::StoreLost | EventKind::StoreBack)).collect()
    })
}
