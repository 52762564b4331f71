//! The naive way, for comparison: one JSON row per scrape in the same database.

use std::path::Path;
use std::time::Instant;

use mect_fleet::Report;
use mect_fleet::store::Inventory;
use mect_fleet::store::embedded::{Embedded, Options};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::cpu_micros;
use crate::synthetic::{Host, PER_DAY, START, hosts, registrations};

const ROWS: TableDefinition<'_, (&[u8; 8], i64), &[u8]> = TableDefinition::new("reports");
const DAYS: usize = 10;
const DAY_MS: i64 = 86_400_000;

pub(crate) async fn run(dir: &Path, servers: usize) {
    println!("== naive: one JSON row per scrape, {servers} servers, {DAYS} days");
    let store = Embedded::open(dir, Options::default()).unwrap();
    let mut hosts = hosts(&store.register(registrations(servers), START).await.unwrap());
    let path = dir.join("naive.redb");
    let database = Database::create(&path).unwrap();
    let mut cpu = 0;
    for _ in 0..DAYS * PER_DAY {
        let reports: Vec<Report> = hosts.iter_mut().map(|host| host.next().report).collect();
        let before = cpu_micros();
        write(&database, &reports);
        cpu += cpu_micros() - before;
    }
    let points = (servers * DAYS * PER_DAY) as f64;
    let bytes = std::fs::metadata(&path).unwrap().len() as f64;
    println!("naive: {:.1} bytes and {:.2} CPU µs per point", bytes / points, cpu as f64 / points);
    let started = Instant::now();
    let read = read(&database, &hosts[0]);
    println!("naive: {} points of one server and day in {:?}", read.len(), started.elapsed());
}

fn write(database: &Database, reports: &[Report]) {
    let mut txn = database.begin_write().unwrap();
    txn.set_quick_repair(true);
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        for report in reports {
            let json = serde_json::to_vec(report).unwrap();
            rows.insert((&report.server.key(), report.at.as_millis()), json.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn read(database: &Database, host: &Host) -> Vec<Report> {
    let (key, from) = (host.id().key(), START.as_millis());
    let rows = database.begin_read().unwrap().open_table(ROWS).unwrap();
    let day = rows.range((&key, from)..(&key, from + DAY_MS)).unwrap();
    day.map(|entry| serde_json::from_slice(entry.unwrap().1.value()).unwrap()).collect()
}
