//! A month of a fleet, and ten days more to see that the file has stopped growing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::Timestamp;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{History, Inventory, Maintenance, Recorder};

use crate::synthetic::{Host, INTERVAL, PER_DAY, Random, START, hosts, registrations};
use crate::{cpu_micros, file_bytes, quantile, written_bytes};

const MEBIBYTE: f64 = 1_048_576.0;
const DAY: Duration = Duration::from_secs(86_400);
/// Days simulated after retention has set in.
const STEADY_DAYS: usize = 10;
/// Scrapes of each server in one batch, with a call of `maintain` after it: half an hour. Keeps the run short and
/// leaves the same data; `batch` measures what recording costs in batches of real life.
const TICKS: usize = 15;
const READS: usize = 1000;

pub(crate) async fn run(dir: &Path, servers: usize, days: usize) {
    println!("== {servers} servers, a scrape every {} s, {days} days kept", INTERVAL.as_secs());
    let store = Embedded::open(dir, Options::default()).unwrap();
    let mut hosts = hosts(&store.register(registrations(servers), START).await.unwrap());
    let retention = DAY * u32::try_from(days).unwrap();
    let mut costs = Costs::default();
    for day in 0..days + STEADY_DAYS {
        for tick in (TICKS..=PER_DAY).step_by(TICKS) {
            let now = START + INTERVAL * u32::try_from(day * PER_DAY + tick).unwrap();
            costs.record(&store, &mut hosts).await;
            costs.maintain(&store, now, now - retention).await;
        }
        let done = day + 1;
        if done % 5 == 0 || done == days {
            report(dir, servers, done, days);
        }
    }
    costs.print();
    read(&store, &hosts, days + STEADY_DAYS, days.saturating_sub(2)).await;
}

#[derive(Default)]
struct Costs {
    points: u64,
    record_cpu: u64,
    record_written: u64,
    maintain_cpu: u64,
    maintain_written: u64,
    maintained: Maintenance,
    longest_maintain: Duration,
}

impl Costs {
    async fn record(&mut self, store: &Embedded, hosts: &mut [Host]) {
        let batch: Arc<Vec<_>> =
            Arc::new((0..TICKS).flat_map(|_| hosts.iter_mut().map(Host::next).collect::<Vec<_>>()).collect());
        let (points, cpu, written) = (batch.len() as u64, cpu_micros(), written_bytes());
        store.record(batch).await.unwrap();
        self.points += points;
        self.record_cpu += cpu_micros() - cpu;
        self.record_written += written_bytes() - written;
    }

    async fn maintain(&mut self, store: &Embedded, now: Timestamp, oldest: Timestamp) {
        let (started, cpu, written) = (Instant::now(), cpu_micros(), written_bytes());
        let done = store.maintain(now, oldest).await.unwrap();
        self.longest_maintain = self.longest_maintain.max(started.elapsed());
        self.maintain_cpu += cpu_micros() - cpu;
        self.maintain_written += written_bytes() - written;
        self.maintained.points_sealed += done.points_sealed;
        self.maintained.days_deleted += done.days_deleted;
    }

    fn print(&self) {
        let per_point = |total: u64| total as f64 / self.points as f64;
        println!(
            "record, half an hour per batch: {:.2} CPU µs and {:.0} bytes written per point",
            per_point(self.record_cpu),
            per_point(self.record_written)
        );
        println!(
            "maintain: {:.2} CPU µs and {:.0} bytes written per point, longest call {:?}, in all {:?}",
            per_point(self.maintain_cpu),
            per_point(self.maintain_written),
            self.longest_maintain,
            self.maintained
        );
    }
}

fn report(dir: &Path, servers: usize, done: usize, days: usize) {
    let bytes = file_bytes(dir) as f64;
    let points = (servers * PER_DAY * done.min(days)) as f64;
    println!(
        "after day {done}: file {:.0} MiB, {:.1} bytes per point kept, all included",
        bytes / MEBIBYTE,
        bytes / points
    );
}

/// 24 hours of one server: at random times, then the latest, tail included.
async fn read(store: &Embedded, hosts: &[Host], days: usize, spread: usize) {
    let end = START + DAY * u32::try_from(days).unwrap();
    let mut random = Random::new(7);
    for (name, spread) in [("any 24 h", DAY * u32::try_from(spread).unwrap()), ("latest 24 h", Duration::ZERO)] {
        let mut millis = Vec::new();
        for _ in 0..READS {
            let server = hosts[random.below(hosts.len())].id();
            let end = end - spread.mul_f64(random.unit());
            let started = Instant::now();
            let points = store.points(server, end - DAY..end).await.unwrap();
            millis.push(started.elapsed().as_secs_f64() * 1e3);
            assert!(points.len() > PER_DAY - 3, "{} points", points.len());
        }
        let (half, most) = (quantile(&mut millis, 0.5), quantile(&mut millis, 0.99));
        println!("history, {name} of one server: p50 {half:.2} ms, p99 {most:.2} ms");
    }
}
