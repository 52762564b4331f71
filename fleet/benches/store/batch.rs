//! What recording costs in the batches of real life, and how long it waits while maintenance runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Inventory, Record, Recorder};

use crate::synthetic::{Host, INTERVAL, PER_DAY, START, hosts, registrations};
use crate::{cpu_micros, quantile, written_bytes};

const SERVERS: usize = 5000;
/// Records in a batch: what 50,000 servers give in a second.
const BATCH: usize = 417;
/// Scrapes of each server: a day and a bit.
const SCRAPES: u32 = 750;
/// Those of them that are recorded while maintenance runs.
const BESIDE: u32 = 100;
/// Longest pause between two batches: a collector writes once a second, this presses harder.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(dir: &Path) {
    println!("== {SERVERS} servers, batches of {BATCH}: alone, then while one day is deleted and the next sealed");
    let store = Arc::new(Embedded::open(dir, Options::default()).unwrap());
    let mut hosts = hosts(&store.register(registrations(SERVERS), START).await.unwrap());

    // A first day, sealed; the second one waits in the tail.
    for scrape in 0..SCRAPES - BESIDE {
        let batch: Arc<Vec<_>> = Arc::new(hosts.iter_mut().map(Host::next).collect());
        store.record(batch).await.unwrap();
        if scrape % 30 == 0 {
            store.maintain(START + INTERVAL * scrape, START).await.unwrap();
        }
    }
    let next = |hosts: &mut [Host]| -> Vec<Arc<Vec<Record>>> {
        let mut records: Vec<_> = hosts.iter_mut().map(Host::next).collect();
        records.sort_by_key(|record| record.report.at);
        records.chunks(BATCH).map(|batch| Arc::new(batch.to_vec())).collect()
    };
    let (mut alone, cpu, written) = (Vec::new(), cpu_micros(), written_bytes());
    let batches: Vec<_> = (0..BESIDE / 2).flat_map(|_| next(&mut hosts)).collect();
    let made = cpu_micros() - cpu;
    for batch in &batches {
        alone.push(timed(&store, batch).await);
    }
    let points = batches.iter().map(|batch| batch.len()).sum::<usize>() as f64;
    println!(
        "record: {:.2} CPU µs and {:.0} bytes written per point",
        (cpu_micros() - cpu - made) as f64 / points,
        (written_bytes() - written) as f64 / points
    );
    print("record alone", &mut alone);

    let maintenance = tokio::spawn({
        let store = Arc::clone(&store);
        let (now, oldest) = (START + INTERVAL * (SCRAPES + 720), START + Duration::from_secs(86_400));
        async move {
            let started = Instant::now();
            (store.maintain(now, oldest).await.unwrap(), started.elapsed())
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
    debug_assert_eq!(PER_DAY, 720);
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
