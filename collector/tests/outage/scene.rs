//! A simulated fleet, a collector's home, and what readers were shown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bson::doc;
use mect_fleet::series::HOUR;
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{Point, Store};
use mect_fleet::{Health, ServerId, Timestamp, Transition};
use mect_testkit::mongo::ReplicaSet;
use serde_json::Value;

use crate::support::collector::{Collector, Home};
use crate::support::{Program, http, simulate};

/// Servers of the fleet.
pub(crate) const SERVERS: usize = 20;

/// A simulated fleet and a collector's home beside it.
pub(crate) struct Scene {
    _simulation: Program,
    served_url: String,
    url: String,
    pub(crate) home: Home,
}

impl Scene {
    /// With the database at `url`, and `targets` beside the simulated ones.
    pub(crate) fn new(url: &str, interval_seconds: f64, targets: &[SocketAddr]) -> Self {
        let beside: String = targets.iter().map(|at| format!("[[targets]]\naddress = \"{at}\"\n")).collect();
        let mut home = Home::new(&format!(
            "[scrape]\ninterval_seconds = {interval_seconds}\ntimeout_seconds = {interval_seconds}\nrecheck_seconds = 0.1\n\
             [[file_sd]]\nfiles = [\"targets.json\"]\n{beside}"
        ));
        home.set("MONGO_URL", url);
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        let targets = home.path().join("targets.json");
        let simulation = simulate(SERVERS, &targets);
        let groups: Value = serde_json::from_slice(&std::fs::read(targets).unwrap()).unwrap();
        let served_url = format!("http://{}/served", groups[0]["targets"][0].as_str().unwrap());
        Self { _simulation: simulation, served_url, url: url.to_owned(), home }
    }

    /// Scrapes that the fleet has answered.
    pub(crate) fn served(&self) -> u64 {
        http::get(&self.served_url, &[]).unwrap().body.trim().parse().unwrap()
    }

    /// Checks the history against what was shown: nothing lost, nothing twice, flips told once and in order. `kills` tells
    /// how often a collector was killed.
    pub(crate) fn check(&self, set: &ReplicaSet, shown: &Shown, kills: usize) {
        let total: usize = shown.0.values().map(BTreeSet::len).sum();
        assert!(shown.0.len() >= SERVERS && total > 5 * SERVERS, "{total} heartbeats shown prove little");
        let database = self.url.rsplit('/').next().and_then(|name| name.split('?').next()).unwrap();
        let raw = raw_counts(set, database);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let points = runtime.block_on(async {
            let mongo = Mongo::open(&self.url, Options::default()).await.unwrap();
            let store = Store::of(Arc::new(mongo));
            let mut points = 0;
            for (id, heartbeats) in &shown.0 {
                points += check_server(&store, id.parse().unwrap(), heartbeats, &raw[id], kills).await;
            }
            points
        });
        let stored: i64 = raw.values().map(|raw| raw.documents).sum();
        println!("{total} heartbeats shown, {points} scrapes recorded, in {stored} documents");
    }
}

/// What the collection holds of one server, before any reader drops the second of a kind.
pub(crate) struct Raw {
    documents: i64,
    /// Different times among them.
    ticks: i64,
    /// Times of which the documents disagree.
    disputed: i64,
}

pub(crate) fn raw_counts(set: &ReplicaSet, database: &str) -> BTreeMap<String, Raw> {
    let outcome = doc! { "d": "$d", "h": "$h", "f": "$f", "c": "$c", "i": "$i" };
    let by_tick = doc! {
        "_id": { "server": "$server", "at": "$at" }, "documents": { "$sum": 1i64 }, "outcomes": { "$addToSet": outcome },
    };
    let is_disputed = doc! { "$cond": [{ "$gt": [{ "$size": "$outcomes" }, 1] }, 1i64, 0i64] };
    let by_server = doc! {
        "_id": "$_id.server", "documents": { "$sum": "$documents" }, "ticks": { "$sum": 1i64 },
        "disputed": { "$sum": is_disputed },
    };
    let pipeline = vec![doc! { "$group": by_tick }, doc! { "$group": by_server }];
    let ask =
        doc! { "aggregate": "heartbeats", "pipeline": pipeline, "cursor": { "batchSize": 1000 }, "$db": database };
    let answer = set.command(set.primary(), ask).unwrap();
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let servers = batch.iter().map(|server| server.as_document().unwrap());
    let raw = servers.map(|server| {
        let [documents, ticks, disputed] = ["documents", "ticks", "disputed"].map(|key| server.get_i64(key).unwrap());
        (server.get_str("_id").unwrap().to_owned(), Raw { documents, ticks, disputed })
    });
    raw.collect()
}

async fn check_server(store: &Store, id: ServerId, heartbeats: &BTreeSet<String>, raw: &Raw, kills: usize) -> usize {
    let all = Timestamp::from_secs(0)..Timestamp::now() + Duration::from_secs(60);
    let points = store.history.points(id, all.clone()).await.unwrap();
    let recorded: BTreeSet<_> =
        points.iter().filter(|point| point.failure.is_none()).map(|point| point.at.to_string()).collect();
    let lost: Vec<_> = heartbeats.difference(&recorded).collect();
    assert!(lost.is_empty(), "{id}: shown and lost: {lost:?}");

    // A batch of which nobody knew whether it was stored was sent again. It must be the same, and count once.
    assert_eq!(raw.disputed, 0, "{id}: stored twice, and not the same");
    assert_eq!(raw.ticks, points.len() as i64, "{id}: a reader is shown each scrape once, and all of them");
    let hours = store.history.series(id, all, HOUR).await.unwrap();
    let counted =
        hours.iter().fold((0, 0), |(checks, failures), hour| (checks + hour.checks, failures + hour.failures));
    let failures = points.iter().filter(|point| point.failure.is_some()).count();
    assert_eq!(counted, (points.len() as u32, failures as u32), "{id}: a scrape counts twice, or not");

    let mut transitions = store.history.transitions(Some(id), 10_000).await.unwrap();
    transitions.reverse();
    // Of a batch that was cut short by a kill and shown to nobody, heartbeats may be there and the flip not: the next
    // collector went on from before it.
    let untold = check_flips(id, &points, &transitions);
    let shown = untold.iter().copied().flatten().find(|point| heartbeats.contains(&point.at.to_string()));
    assert!(shown.is_none(), "{id}: shown, and its health was never told: {shown:?}");
    assert!(untold.len() <= kills, "{id}: changes of health that were never told: {untold:?}, {transitions:?}");
    assert!(!transitions.is_empty(), "{id}: its first heartbeat made it active");
    points.len()
}

/// Told flips are a gapless chain, and each belongs to a scrape. Gives the stretches of scrapes that have another health
/// than was told.
pub(crate) fn check_flips<'a>(id: ServerId, points: &'a [Point], transitions: &[Transition]) -> Vec<&'a [Point]> {
    assert!(points.is_sorted_by(|earlier, later| earlier.at < later.at), "{id}: a scrape is shown twice");
    let mut health = Health::Pending;
    for (transition, number) in transitions.iter().zip(1..) {
        assert_eq!(transition.number, number, "{id}: told twice, or never: {transitions:?}");
        assert_eq!(transition.from, health, "{id}: {transitions:?}");
        health = transition.to;
        let point = points.iter().find(|point| point.at == transition.at);
        assert_eq!(point.map(|point| point.health), Some(health), "{id}: {transition:?}");
    }
    let is_told = |point: &Point| {
        let told = transitions.iter().rfind(|transition| transition.at <= point.at);
        told.map_or(Health::Pending, |told| told.to) == point.health
    };
    let stretches = points.chunk_by(|earlier, later| is_told(earlier) == is_told(later));
    stretches.filter(|stretch| !is_told(&stretch[0])).collect()
}

/// Heartbeats that readers were shown, by server.
#[derive(Default)]
pub(crate) struct Shown(pub(crate) BTreeMap<String, BTreeSet<String>>);

impl Shown {
    pub(crate) fn extend(&mut self, more: Self) {
        for (id, heartbeats) in more.0 {
            self.0.entry(id).or_default().extend(heartbeats);
        }
    }
}

/// Reads the list of servers again and again, as operators and clients do.
pub(crate) struct Readers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Shown, Duration)>,
}

impl Readers {
    /// Starts reading from `collector`. Whoever does not answer is passed over: it may have been killed.
    pub(crate) fn start(collector: &Collector) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, bearer) = (Arc::clone(&stop), collector.bearer());
        let url = format!("{}/servers?all_servers=true", collector.url);
        let thread = std::thread::spawn(move || {
            let (mut shown, mut longest) = (Shown::default(), Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                let answer = http::get(&url, &[("authorization", &bearer)]);
                let Some(answer) = answer else { continue };
                longest = longest.max(started.elapsed());
                assert_eq!(answer.status, 200, "{answer:?}");
                for server in answer.json().as_array().unwrap() {
                    if let Some(heartbeat) = server["last_heartbeat"].as_str() {
                        let id = server["server_id"].as_str().unwrap().to_owned();
                        shown.0.entry(id).or_default().insert(heartbeat.to_owned());
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (shown, longest)
        });
        Self { stop, thread }
    }

    /// What was shown, and the longest that a reader waited for an answer.
    pub(crate) fn finish(self) -> (Shown, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The value of one of the collector's own metrics.
pub(crate) fn metric(collector: &Collector, name: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}
