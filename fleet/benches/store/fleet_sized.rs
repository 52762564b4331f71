//! The largest fleet: what starting up and recording cost with 50,000 servers.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Inventory, Record, Recorder};

use crate::synthetic::{Host, START, hosts, registrations};
use crate::{cpu_micros, file_bytes, quantile, written_bytes};

const SERVERS: usize = 50_000;
/// A second of the schedule.
const BATCH: usize = 417;
/// Rounds of the whole fleet recorded: an hour.
const ROUNDS: usize = 30;

pub(crate) async fn run(dir: &Path) {
    println!("== {SERVERS} servers");
    let store = Embedded::open(dir, Options::default()).unwrap();
    let started = Instant::now();
    let registered = store.register(registrations(SERVERS), START).await.unwrap();
    println!("register, all new: {:?}", started.elapsed());
    let started = Instant::now();
    store.register(registrations(SERVERS), START).await.unwrap();
    println!("register, all known: {:?}", started.elapsed());

    let mut hosts = hosts(&registered);
    let (mut millis, mut cpu, mut written) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        for hosts in hosts.chunks_mut(BATCH) {
            let batch: Arc<Vec<Record>> = Arc::new(hosts.iter_mut().map(Host::next).collect());
            let (started, cpu_before, written_before) = (Instant::now(), cpu_micros(), written_bytes());
            store.record(batch).await.unwrap();
            millis.push(started.elapsed().as_secs_f64() * 1e3);
            cpu += cpu_micros() - cpu_before;
            written += written_bytes() - written_before;
        }
    }
    let points = (SERVERS * ROUNDS) as f64;
    let (half, most, longest) = (quantile(&mut millis, 0.5), quantile(&mut millis, 0.99), quantile(&mut millis, 1.0));
    println!("record, batches of {BATCH}: p50 {half:.2} ms, p99 {most:.2} ms, longest {longest:.2} ms");
    println!("record: {:.2} CPU µs and {:.0} bytes written per point", cpu as f64 / points, written as f64 / points);

    let started = Instant::now();
    let standings = store.standings().await.unwrap().len();
    println!("standings: {standings} in {:?}", started.elapsed());
    let started = Instant::now();
    let servers = store.servers().await.unwrap().len();
    println!("servers: {servers} in {:?}", started.elapsed());
    println!("file {:.0} MiB with an hour in the tail", file_bytes(dir) as f64 / 1_048_576.0);
}
