//! Several collectors share a fleet through a real replica set: who scrapes what when they join, die, hang and leave.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::doc;
use mect_fleet::Timestamp;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{History, Inventory};
use mect_testkit::mongo::ReplicaSet;
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::{Program, eventually, signal, simulate};

const SERVERS: usize = 60;
const SHARDS: usize = 256;
const INTERVAL: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(4);
/// Without an election: the lease runs out, somebody looks, the overdue are scraped. 45 s of the default lease.
const TAKEOVER: Duration = LEASE.checked_mul(3).unwrap().checked_div(2).unwrap();
/// With one: 75 s of the default lease.
const TAKEOVER_AND_ELECTION: Duration = LEASE.checked_mul(5).unwrap().checked_div(2).unwrap();

/// Scrapes that worked.
const SCRAPES: &str = "mect_scrapes_total{result=\"success\"}";

/// A replica set, a simulated fleet, and homes for collectors.
struct Scene {
    set: ReplicaSet,
    simulation: Program,
    targets: String,
    database: &'static str,
}

impl Scene {
    fn new(nodes: usize, database: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap().keep();
        let path = directory.join("targets.json");
        let simulation = simulate(SERVERS, &path);
        let targets = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_dir_all(directory).unwrap();
        Self { set: ReplicaSet::start(nodes), simulation, targets, database }
    }

    fn home(&self) -> Home {
        let mut home = Home::new(&format!(
            "[scrape]\ninterval_seconds = {}\nrecheck_seconds = 0.3\n[collectors]\nlease_seconds = {}\n\
             [[file_sd]]\nfiles = [\"targets.json\"]\n",
            INTERVAL.as_secs_f64(),
            LEASE.as_secs_f64()
        ));
        std::fs::write(home.path().join("targets.json"), &self.targets).unwrap();
        home.set("MONGO_URL", &self.set.url(self.database));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        home
    }

    fn open(&self) -> (tokio::runtime::Runtime, Arc<Mongo>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Mongo::open(&self.set.url(self.database), Options::default())).unwrap();
        (runtime, Arc::new(store))
    }

    /// The longest time between two scrapes of one server since `from`.
    fn longest_gap(&self, from: Timestamp) -> Duration {
        let (runtime, store) = self.open();
        runtime.block_on(async {
            let mut longest = Duration::ZERO;
            let servers = store.servers().await.unwrap();
            assert_eq!(servers.len(), SERVERS);
            for server in servers {
                let mut points = Vec::new();
                // The last of them may wait in a spool.
                while points.len() < 4 {
                    points = store.points(server.id, from..Timestamp::now()).await.unwrap();
                }
                let gap = points.windows(2).map(|pair| pair[1].at.since(pair[0].at)).max();
                longest = longest.max(gap.unwrap());
            }
            longest
        })
    }

    /// Ticks of which two scrapes are stored: two collectors made them. The same record may be stored twice when the answer
    /// to its write was lost; readers drop the second.
    fn recorded_by_two(&self) -> i64 {
        let pipeline = vec![
            // `x`: it was overtaken, which a second writing may have found.
            doc! { "$unset": ["_id", "x"] },
            doc! { "$group": { "_id": "$$ROOT" } },
            doc! { "$group": { "_id": { "server": "$_id.server", "at": "$_id.at" }, "n": { "$sum": 1 } } },
            doc! { "$match": { "n": { "$gt": 1 } } },
            doc! { "$count": "twice" },
        ];
        let ask = doc! { "aggregate": "heartbeats", "pipeline": pipeline, "cursor": {}, "$db": self.database };
        let answer = self.set.command(self.set.primary(), ask).unwrap();
        let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let first = batch.first().and_then(|first| first.as_document());
        first.map_or(0, |first| first.get_i32("twice").map_or_else(|_| first.get_i64("twice").unwrap(), i64::from))
    }
}

/// The value of one of a collector's metrics.
fn metric(collector: &Collector, name: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

fn held(collector: &Collector) -> usize {
    metric(collector, "mect_shards_held") as usize
}

/// Waits until the collectors hold every shard between them, each one some.
fn settled(what: &str, collectors: &[&Collector]) -> Vec<usize> {
    eventually(what, || {
        let shares: Vec<_> = collectors.iter().map(|collector| held(collector)).collect();
        (shares.iter().sum::<usize>() == SHARDS && shares.iter().all(|share| *share > 0)).then_some(shares)
    })
}

/// Every server, scraped within the last seconds as this collector shows it.
fn shows_a_fresh_fleet(collector: &Collector) {
    let heartbeats = || -> BTreeMap<String, String> {
        let servers = collector.all_servers().into_iter();
        servers
            .filter_map(|server| {
                Some((server["server_id"].as_str()?.to_owned(), server["last_heartbeat"].as_str()?.to_owned()))
            })
            .collect()
    };
    let before = eventually("a heartbeat of every server", || {
        let heartbeats = heartbeats();
        (heartbeats.len() == SERVERS).then_some(heartbeats)
    });
    eventually("a newer heartbeat of every server", || {
        heartbeats().iter().all(|(server, at)| before.get(server).is_some_and(|before| before < at)).then_some(())
    });
}

#[test]
fn three_collectors_share_one_fleet() {
    let scene = Scene::new(1, "many");
    let homes = [scene.home(), scene.home(), scene.home()];
    let a = homes[0].start();
    assert_eq!(settled("the first to hold everything", &[&a]), [SHARDS]);
    shows_a_fresh_fleet(&a);

    // Who joins takes its share, and nothing else moves: at most 1/N + 10 %.
    let b = homes[1].start();
    let shares = settled("the second to take its share", &[&a, &b]);
    assert!(shares[1] <= SHARDS * 6 / 10, "{shares:?}");
    let mut c = homes[2].start();
    let shares = settled("the third to take its share", &[&a, &b, &c]);
    assert!(shares[2] * 100 <= SHARDS * 43, "{shares:?}");
    for collector in [&a, &b, &c] {
        assert_eq!(metric(collector, "mect_collectors"), 3.0);
        shows_a_fresh_fleet(collector);
    }

    // What an operator changes through one is seen through all.
    let ip = a.all_servers()[0]["ip"].as_str().unwrap().to_owned();
    assert_eq!(a.patch(&format!("/server/{ip}/config"), &json!({"paid": true, "gaming": true})).status, 200);
    for collector in [&b, &c] {
        collector.server_when("the change", &ip, |server| server["paid"] == true && server["gaming"] == true);
    }

    // One dies: nothing stays unscraped for longer than the interval and a takeover.
    let killed_at = Timestamp::now() - INTERVAL * 2;
    c.program.kill();
    let shares_after = settled("the others to take over", &[&a, &b]);
    assert!(shares_after[0] >= shares[0] && shares_after[1] >= shares[1], "{shares:?} became {shares_after:?}");
    shows_a_fresh_fleet(&a);
    shows_a_fresh_fleet(&b);
    let gap = scene.longest_gap(killed_at);
    assert!(gap <= INTERVAL + TAKEOVER, "a server was not scraped for {gap:?}");

    // It comes back under its old identity: the same shards move back.
    let c = homes[2].start();
    assert_eq!(settled("the third to be back", &[&a, &b, &c]), shares);

    // One leaves in good order: the others have its shards within five seconds.
    let leaving = Instant::now();
    signal(c.program.child.id(), "TERM");
    settled("the others to be handed its shards", &[&a, &b]);
    let handed_over = leaving.elapsed();
    assert!(handed_over <= Duration::from_secs(5), "the hand-over took {handed_over:?}");
    drop(c);
    assert_eq!(scene.recorded_by_two(), 0);
    drop(scene.simulation);
}

/// SIGSTOP for longer than the lease, then SIGCONT: the others have taken over, and what it still holds in its hands is
/// refused. It holds some for sure: the database hangs while it is stopped.
#[test]
fn a_collector_that_was_stopped_does_not_scrape_on() {
    let scene = Scene::new(1, "stopped");
    let homes = [scene.home(), scene.home()];
    let (a, b) = (homes[0].start(), homes[1].start());
    let shares = settled("both to have a share", &[&a, &b]);
    shows_a_fresh_fleet(&a);
    let stopped_at = Timestamp::now() - INTERVAL * 2;
    let (primary, scraped) = (scene.set.primary(), metric(&b, SCRAPES));
    let hung = Instant::now();
    scene.set.stop_process(primary);
    // More than a batch: what is scraped now waits behind it.
    eventually("scrapes that cannot be stored", || {
        (metric(&b, SCRAPES) > scraped + 2.0 * SERVERS as f64).then_some(())
    });
    signal(b.program.child.id(), "STOP");
    scene.set.continue_process(primary);
    // Nobody could store a scrape or take over a lease before.
    let hung = hung.elapsed();
    settled("the other to take over", &[&a]);
    shows_a_fresh_fleet(&a);
    let before = metric(&a, "mect_records_total");
    signal(b.program.child.id(), "CONT");
    assert_eq!(settled("both to have their shares again", &[&a, &b]), shares);
    shows_a_fresh_fleet(&b);
    assert!(metric(&b, "mect_leases_lost_total") > 0.0, "it noticed that its leases were gone");
    eventually("the spool to be empty", || (metric(&b, "mect_spool_records") == 0.0).then_some(()));
    assert!(metric(&b, "mect_records_refused_total") > 0.0, "what it held in its hands was refused");
    assert!(metric(&a, "mect_records_total") > before);
    let gap = scene.longest_gap(stopped_at);
    let longest = hung + INTERVAL + TAKEOVER;
    assert!(gap <= longest, "a server was not scraped for {gap:?}, longer than {longest:?}");
    assert_eq!(scene.recorded_by_two(), 0, "both recorded the same tick");
    let flips: Vec<Value> = a.all_servers().into_iter().filter(|server| server["status"] != "active").collect();
    assert!(flips.is_empty(), "{flips:?}");
}

/// A collector and the primary die in the same moment.
#[test]
fn a_death_during_an_election_is_made_good() {
    let mut scene = Scene::new(3, "election");
    let homes = [scene.home(), scene.home()];
    let (a, mut b) = (homes[0].start(), homes[1].start());
    settled("both to have a share", &[&a, &b]);
    shows_a_fresh_fleet(&a);
    let killed_at = Timestamp::now() - INTERVAL * 2;
    let primary = scene.set.primary();
    scene.set.kill(primary);
    b.program.kill();
    settled("the survivor to take over", &[&a]);
    shows_a_fresh_fleet(&a);
    let gap = scene.longest_gap(killed_at);
    assert!(gap <= INTERVAL + TAKEOVER_AND_ELECTION, "a server was not scraped for {gap:?}");
}
