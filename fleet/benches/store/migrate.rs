//! A fleet's month from the embedded store to MongoDB and back, read back and compared, in scrapes per second; and a
//! backup of it, and what is restored from that.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::migration::{Progress, Span, Stage, migrate};
use mect_fleet::store::embedded::{Embedded, Options, restore};
use mect_fleet::store::mongo::{self, Mongo};
use mect_fleet::store::{Backup, Inventory, Recorder, Store};
use mect_testkit::mongo::ReplicaSet;

use crate::synthetic::{Host, INTERVAL, PER_DAY, START, hosts, registrations};
use crate::{file_bytes, resident_bytes};

const MEBIBYTE: f64 = 1_048_576.0;
/// Scrapes of each server in one batch while the month is filled.
const TICKS: usize = 90;

pub(crate) async fn run(dir: &Path, nodes: usize, servers: usize, days: usize) {
    println!("== {servers} servers, {days} days, embedded to MongoDB ({nodes} node(s)) and back");
    let old = Arc::new(Embedded::open(&dir.join("old"), Options::default()).unwrap());
    let mut hosts = hosts(&old.register(registrations(servers), START).await.unwrap());
    for tick in (TICKS..=days * PER_DAY).step_by(TICKS) {
        let batch = (0..TICKS).flat_map(|_| hosts.iter_mut().map(Host::next).collect::<Vec<_>>()).collect();
        old.record(Arc::new(batch)).await.unwrap();
        old.maintain(START + INTERVAL * u32::try_from(tick).unwrap(), START).await.unwrap();
    }
    back_up(&old, dir).await;
    let set = ReplicaSet::start(nodes);
    set.settle();
    let old = Store::of_own(old);
    let mongo = Mongo::open(&set.url("migrate"), mongo::Options::default()).await.unwrap();
    let mongo = Store::of_shared(Arc::new(mongo));
    let new = Store::of_own(Arc::new(Embedded::open(&dir.join("new"), Options::default()).unwrap()));
    let now = START + INTERVAL * u32::try_from(days * PER_DAY).unwrap();
    timed("embedded to MongoDB", &old, &mongo, Span { oldest: START, now }).await;
    timed("the same again", &old, &mongo, Span { oldest: START, now }).await;
    timed("MongoDB to embedded", &mongo, &new, Span { oldest: START, now }).await;
}

async fn timed(what: &str, from: &Store, to: &Store, span: Span) {
    let (started, mut scrapes, mut check) = (Instant::now(), Part::default(), Part::default());
    let mut watch = |progress: Progress| match progress.stage {
        Stage::Scrapes => scrapes.note(),
        Stage::Check => check.note(),
        _ => {}
    };
    let moved = migrate(from, to, span, &mut watch).await.unwrap();
    let rate = |part: &Part| moved.scrapes as f64 / part.last.as_secs_f64().max(1e-9);
    println!(
        "{what}: {} scrapes in {:.1} s; put {:.0}/s, read back {:.0}/s; {:.0} MiB of memory",
        moved.scrapes,
        started.elapsed().as_secs_f64(),
        rate(&scrapes),
        rate(&check),
        resident_bytes() as f64 / MEBIBYTE
    );
}

/// From the first to the last time it was told of.
#[derive(Default)]
struct Part {
    first: Option<Instant>,
    last: Duration,
}

impl Part {
    fn note(&mut self) {
        self.last = self.first.get_or_insert_with(Instant::now).elapsed();
    }
}

async fn back_up(store: &Arc<Embedded>, dir: &Path) {
    let path = dir.join("backup");
    let started = Instant::now();
    let tally = store.back_up(Vec::new(), Box::new(File::create(&path).unwrap())).await.unwrap();
    let (took, bytes) = (started.elapsed().as_secs_f64(), std::fs::metadata(&path).unwrap().len() as f64);
    println!(
        "backup: {} rows, {:.0} MiB (the store takes {:.0} MiB) in {took:.1} s, {:.0} MiB/s",
        tally.rows,
        bytes / MEBIBYTE,
        file_bytes(&dir.join("old")) as f64 / MEBIBYTE,
        bytes / MEBIBYTE / took
    );
    let started = Instant::now();
    restore(&path, &dir.join("restored")).unwrap();
    println!("restore: {:.1} s", started.elapsed().as_secs_f64());
}
