//! How fast a spool drains into a real three-node replica set while live batches go on, against the live rate of the
//! largest fleet: `cargo bench -p mect-collector --bench replay`.
//!
//! Ends with an error when the goal is missed. Everything shares this machine: the three nodes, the collector's side and the disk.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_collector::metrics::Metrics;
use mect_collector::record::{Outage, Replay, Writer};
use mect_fleet::spool::{self, Spool};
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{Record, Store, story};
use mect_fleet::{Fleet, Server, Standing, Timestamp};
use mect_testkit::mongo::ReplicaSet;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// The largest fleet of one collector, and how often it scrapes each server.
const SERVERS: usize = 50_000;
const INTERVAL_SECONDS: usize = 120;
/// Length of the outage.
const OUTAGE_SECONDS: usize = 300;
/// As the writer makes them: twice a second.
const BATCH: usize = SERVERS / INTERVAL_SECONDS / 2;
/// Goal: a spool drains at least this many times as fast as the largest fleet fills it.
const RATIO_GOAL: f64 = 5.0;
/// Registered in one call.
const CHUNK: usize = 5000;

#[tokio::main]
async fn main() -> ExitCode {
    let set = ReplicaSet::start(3);
    let mongo = Mongo::open(&set.url("replay"), Options::default()).await.unwrap();
    let store = Store::of(Arc::new(mongo));
    let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
    let mut servers = Vec::new();
    for first in (0..SERVERS).step_by(CHUNK) {
        let registrations = (first..first + CHUNK).map(story::registration).collect();
        servers.extend(fleet.register(registrations, Timestamp::now()).await.unwrap());
    }
    // The outage lies in the past, its end is now.
    let start = Timestamp::now() - Duration::from_secs(OUTAGE_SECONDS as u64);
    let mut scrapes = Scrapes { servers, standings: vec![Standing::default(); SERVERS], next: 0, start };

    let directory = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::open(directory.path(), spool::Options::default()).unwrap());
    let mut appending = Duration::ZERO;
    for _ in 0..OUTAGE_SECONDS * 2 {
        let batch = scrapes.batch();
        let started = Instant::now();
        spool.append(&batch).unwrap();
        appending += started.elapsed();
    }
    let stats = spool.stats();
    println!(
        "spool: {} records, {:.0} bytes each, {:.1} ms a batch of {BATCH} with its flush",
        stats.records,
        stats.bytes as f64 / stats.records as f64,
        appending.as_secs_f64() * 1000.0 / (OUTAGE_SECONDS * 2) as f64
    );

    let metrics = Metrics::register(&mut Registry::default());
    let outage = Outage::new(fleet.clone(), metrics.clone());
    let (keeper, replay) = Replay::new(&store, spool.clone(), outage, &metrics);
    let (queue, writer) = Writer::new(keeper, fleet.clone(), metrics.clone());
    let stop = CancellationToken::new();
    let writer = tokio::spawn(writer.run());
    let started = Instant::now();
    let replay = tokio::spawn(replay.run(stop.clone()));
    let mut live = 0;
    while spool.stats().records > 0 {
        for record in scrapes.batch() {
            queue.send(record).await.unwrap();
            live += 1;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let spooled = metrics.replayed.get();
    let (replay_rate, live_rate) = (spooled as f64 / seconds, live as f64 / seconds);
    let ratio = replay_rate / (SERVERS as f64 / INTERVAL_SECONDS as f64);
    println!(
        "replay: {spooled} records in {seconds:.1} s, {replay_rate:.0}/s; live beside it {live_rate:.0}/s; ratio \
         {ratio:.1} (goal ≥ {RATIO_GOAL})"
    );
    println!("live batches that the store did not take in time: {}", metrics.record_failures.get());
    drop(queue);
    writer.await.unwrap();
    stop.cancel();
    replay.await.unwrap();
    if ratio >= RATIO_GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The fleet's scrapes in the order of a schedule.
struct Scrapes {
    servers: Vec<Server>,
    standings: Vec<Standing>,
    next: usize,
    start: Timestamp,
}

impl Scrapes {
    fn batch(&mut self) -> Vec<Record> {
        (0..BATCH).map(|_| self.scrape()).collect()
    }

    fn scrape(&mut self) -> Record {
        let (server, round) = (self.next % SERVERS, self.next / SERVERS);
        let at = self.start + Duration::from_millis((self.next * INTERVAL_SECONDS * 1000 / SERVERS) as u64);
        self.next += 1;
        let outcome = story::heartbeat((server * 31 + round * 7) as u32);
        story::observe(&mut self.standings[server], self.servers[server].id, at, outcome)
    }
}
