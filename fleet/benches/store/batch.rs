//! What recording costs in the batches of real life, and how long it waits while maintenance runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Inventory, Record, Recorder};

use crate::synthetic::{Host, INTERVAL, START, hosts, registrations};
use crate::{cpu_micros, quantile, written_bytes};

const SERVERS: usize = 2000;
/// Records in a batch: what 50,000 servers give in a second.
const BATCH: usize = 417;
/// Scrapes of the first day, which is sealed and then deleted.
const FIRST_DAY: u32 = 720;
/// Scrapes of the second day, which wait in the tail until maintenance is measured.
const WAITING: u32 = 240;
/// Scrapes measured without maintenance.
const ALONE: u32 = 60;
/// Pause between two batches: a collector writes once a second, this presses harder.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(dir: &Path) {
    println!("== {SERVERS} servers, batches of {BATCH}: alone, then while one day is deleted and the next sealed");
    let store = Arc::new(Embedded::open(dir, Options::default()).unwrap());
    let mut hosts = hosts(&store.register(registrations(SERVERS), START).await.unwrap());
    let tomorrow = START + Duration::from_secs(86_400);
    for scrapes in [FIRST_DAY, WAITING] {
        for batch in (0..scrapes).flat_map(|_| next(&mut hosts)).collect::<Vec<_>>().chunks(100) {
            let batch = batch.iter().flat_map(|batch| batch.iter().cloned()).collect();
            store.record(Arc::new(batch)).await.unwrap();
        }
        if scrapes == FIRST_DAY {
            store.maintain(tomorrow + Duration::from_secs(7200), START).await.unwrap();
        }
    }

    let batches: Vec<_> = (0..ALONE).flat_map(|_| next(&mut hosts)).collect();
    let (mut alone, cpu, written) = (Vec::new(), cpu_micros(), written_bytes());
    for batch in &batches {
        alone.push(timed(&store, batch).await);
    }
    let points = batches.iter().map(|batch| batch.len()).sum::<usize>() as f64;
    println!(
        "record: {:.2} CPU µs and {:.0} bytes written per point",
        (cpu_micros() - cpu) as f64 / points,
        (written_bytes() - written) as f64 / points
    );
    print("record alone", &mut alone);

    let maintenance = tokio::spawn({
        let (store, now) = (Arc::clone(&store), tomorrow + INTERVAL * (WAITING + ALONE + 60));
        async move {
            let started = Instant::now();
            (store.maintain(now, tomorrow).await.unwrap(), started.elapsed())
        }
    });
    let mut beside = Vec::new();
    while !maintenance.is_finished() {
        for batch in next(&mut hosts) {
            if !maintenance.is_finished() {
                beside.push(timed(&store, &batch).await);
                tokio::task::spawn_blocking(|| std::thread::sleep(PAUSE)).await.unwrap();
            }
        }
    }
    let (done, took) = maintenance.await.unwrap();
    println!("maintain: {done:?} in {took:?}");
    print("record while maintain runs", &mut beside);
}

/// The next scrape of every server, in batches and in order of time.
fn next(hosts: &mut [Host]) -> Vec<Arc<Vec<Record>>> {
    let mut records: Vec<_> = hosts.iter_mut().map(Host::next).collect();
    records.sort_by_key(|record| record.report.at);
    records.chunks(BATCH).map(|batch| Arc::new(batch.to_vec())).collect()
}

async fn timed(store: &Embedded, batch: &Arc<Vec<Record>>) -> f64 {
    let started = Instant::now();
    store.record(Arc::clone(batch)).await.unwrap();
    started.elapsed().as_secs_f64() * 1e3
}

fn print(name: &str, millis: &mut [f64]) {
    let (half, most, longest) = (quantile(millis, 0.5), quantile(millis, 0.99), quantile(millis, 1.0));
    println!("{name}: {} calls, p50 {half:.2} ms, p99 {most:.2} ms, longest {longest:.2} ms", millis.len());
}
