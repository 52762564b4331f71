//! A month on a real MongoDB, against the same scrapes inserted one document at a time into an ordinary collection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mect_fleet::Timestamp;
use mect_fleet::series::HOUR;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{History, Inventory, Record, Recorder};
use mect_testkit::mongo::ReplicaSet;
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Client, Collection};

use crate::quantile;
use crate::synthetic::{Host, PER_DAY, Random, START, hosts, registrations};

const DAY: Duration = Duration::from_secs(86_400);
const INTERVAL: Duration = crate::synthetic::INTERVAL;
/// Scrapes of each server in one batch while the month is filled; `life` measures batches of real size.
const TICKS: usize = 30;
/// Records of a batch in real life, at most.
const BATCH: usize = 2048;
const LIFE_BATCHES: usize = 20;
const NAIVE_SCRAPES: usize = 3000;
const READS: usize = 300;

pub(crate) async fn run(nodes: usize, servers: usize, days: usize) {
    println!("== MongoDB, {nodes} node(s), {servers} servers, {days} days");
    let set = ReplicaSet::start(nodes);
    set.settle();
    let store = Mongo::open(&set.url("bench"), Options::default()).await.unwrap();
    let started = Instant::now();
    let registered = store.register(registrations(servers), START).await.unwrap();
    println!("registered in {:?}, read back in {:?}", started.elapsed(), timed(store.standings()).await);
    let mut hosts = hosts(&registered);

    let life = life(&store, &mut hosts).await;
    let naive = naive(&set, &mut hosts).await;
    println!("recorded: {life:.0} heartbeats/s with standings; naive {naive:.0}/s; ratio {:.1}", life / naive);

    let filled = fill(&store, &mut hosts, days).await;
    let kept = bytes(&set, "system.buckets.heartbeats", filled);
    let plain = bytes(&set, "naive", NAIVE_SCRAPES);
    println!("on disk: {kept:.1} bytes per heartbeat, indexes included; naive {plain:.1}; ratio {:.1}", plain / kept);
    println!("rollups: {:.2} bytes per heartbeat", bytes(&set, "rollups", filled));
    read(&store, &hosts, days).await;
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let started = Instant::now();
    work.await;
    started.elapsed()
}

/// Heartbeats per second in batches of real size.
async fn life(store: &Mongo, hosts: &mut [Host]) -> f64 {
    let (mut count, mut spent) = (0, Duration::ZERO);
    for _ in 0..LIFE_BATCHES {
        let batch: Arc<Vec<Record>> = Arc::new(hosts.iter_mut().take(BATCH).map(Host::next).collect());
        count += batch.len();
        spent += timed(async { store.record(batch).await.unwrap() }).await;
    }
    count as f64 / spent.as_secs_f64()
}

/// Documents per second, one at a time, acknowledged as ours are.
async fn naive(set: &ReplicaSet, hosts: &mut [Host]) -> f64 {
    let client = Client::with_uri_str(set.url("bench")).await.unwrap();
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = mongodb::options::CollectionOptions::builder().write_concern(concern).build();
    let plain: Collection<Document> = client.database("bench").collection_with_options("naive", options);
    let index = mongodb::IndexModel::builder().keys(doc! { "server": 1, "at": 1 }).build();
    plain.create_index(index).await.unwrap();
    let mut spent = Duration::ZERO;
    for n in 0..NAIVE_SCRAPES {
        let place = n % hosts.len();
        let document = bson::serialize_to_document(&hosts[place].next().report).unwrap();
        spent += timed(async { plain.insert_one(document).await.unwrap() }).await;
    }
    client.shutdown().await;
    NAIVE_SCRAPES as f64 / spent.as_secs_f64()
}

/// Fills the days; returns the number of heartbeats in all.
async fn fill(store: &Mongo, hosts: &mut [Host], days: usize) -> usize {
    let (started, mut count, mut maintained) = (Instant::now(), 0, Duration::ZERO);
    for day in 0..days {
        for _ in (0..PER_DAY).step_by(TICKS) {
            let batch: Vec<Record> =
                (0..TICKS).flat_map(|_| hosts.iter_mut().map(Host::next).collect::<Vec<_>>()).collect();
            count += batch.len();
            store.record(Arc::new(batch)).await.unwrap();
        }
        let now = START + INTERVAL * u32::try_from((day + 1) * PER_DAY).unwrap();
        maintained += timed(async { store.maintain(now, START).await.unwrap() }).await;
    }
    let rate = count as f64 / (started.elapsed() - maintained).as_secs_f64();
    println!(
        "filled {count} heartbeats at {rate:.0}/s, large batches; maintenance {:.1?} a day",
        maintained / days as u32
    );
    count
}

/// What a collection takes on disk, per heartbeat.
fn bytes(set: &ReplicaSet, collection: &str, heartbeats: usize) -> f64 {
    set.command(set.primary(), doc! { "fsync": 1 }).unwrap();
    let stats = set.command(set.primary(), doc! { "collStats": collection, "$db": "bench" }).unwrap();
    let number = |key: &str| stats.get(key).and_then(|n| n.as_i64().or(n.as_i32().map(i64::from))).unwrap_or(0);
    (number("storageSize") + number("totalIndexSize")) as f64 / heartbeats as f64
}

async fn read(store: &Mongo, hosts: &[Host], days: usize) {
    let end = START + INTERVAL * u32::try_from(days * PER_DAY).unwrap();
    let month = DAY * u32::try_from(days).unwrap();
    let mut random = Random::new(7);
    let mut server = || hosts[random.below(hosts.len())].id();
    let mut points = Vec::new();
    let mut series = Vec::new();
    let mut scrapes = Vec::new();
    for n in 0..READS {
        let (one, range) = (server(), end - DAY..end);
        points.push(millis(timed(async { assert!(store.points(one, range).await.unwrap().len() > 700) }).await));
        series.push(millis(timed(by_the_hour(store, one, end - month..end, HOUR)).await));
        if n < READS / 10 {
            scrapes.push(millis(timed(by_the_hour(store, one, end - month..end, HOUR / 2)).await));
        }
    }
    tell("24 h of one server, every scrape", &mut points);
    tell("30 d of one server by the hour, rolled up", &mut series);
    tell("30 d of one server by the half hour, from the scrapes", &mut scrapes);
}

async fn by_the_hour(store: &Mongo, server: mect_fleet::ServerId, range: std::ops::Range<Timestamp>, step: Duration) {
    assert!(!store.series(server, range, step).await.unwrap().is_empty());
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn tell(what: &str, millis: &mut [f64]) {
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms", quantile(millis, 0.5), quantile(millis, 0.99));
}
