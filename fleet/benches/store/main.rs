//! What the stores cost, printed as plain lines: `cargo bench -p mect-fleet --bench store`.
//!
//! Writes weeks of a fleet's scrapes through the real path, `record` and `maintain`, with the clock handed in, so that
//! only the data is large and not the time. `STORE_BENCH_SERVERS` and `STORE_BENCH_DAYS` make a run smaller,
//! `STORE_BENCH_DIR` chooses the disk, `STORE_BENCH_ONLY` one part: `month`, `naive`, `batch`, `mongo`, `migrate` or `fleet`.
//! MongoDB has a fleet of its own size, `STORE_BENCH_MONGO_SERVERS`, also for the way there and back, and `STORE_BENCH_NODES`, 1 or 3.
#![allow(clippy::unwrap_used)]

use std::path::Path;

mod batch;
mod fleet_sized;
mod migrate;
mod mongo;
mod month;
mod naive;
mod synthetic;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

fn main() {
    let servers = number("STORE_BENCH_SERVERS", 1000);
    let days = number("STORE_BENCH_DAYS", 30);
    let parent = std::env::var("STORE_BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    let only = std::env::var("STORE_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let dir = tempfile::tempdir_in(parent).unwrap();
    let dir = |part: &str| dir.path().join(part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("month") {
            month::run(&dir("month"), servers, days).await;
        }
        if wanted("naive") {
            naive::run(&dir("naive"), servers.min(100)).await;
        }
        if wanted("batch") {
            batch::run(&dir("batch")).await;
        }
        if wanted("mongo") {
            let servers = number("STORE_BENCH_MONGO_SERVERS", 100);
            mongo::run(number("STORE_BENCH_NODES", 1), servers, days).await;
        }
        if wanted("migrate") {
            let servers = number("STORE_BENCH_MONGO_SERVERS", 100);
            migrate::run(&dir("migrate"), number("STORE_BENCH_NODES", 1), servers, days).await;
        }
        if wanted("fleet") {
            fleet_sized::run(&dir("fleet")).await;
        }
    });
}

/// Bytes that the data file takes on the disk.
fn file_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    std::fs::metadata(dir.join("fleet.redb")).unwrap().blocks() * BLOCK_BYTES
}

/// Memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// CPU time of this process so far, in microseconds (user and system, all threads).
fn cpu_micros() -> u64 {
    const TICK_MICROS: u64 = 10_000;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * TICK_MICROS
}

/// Bytes this process has handed to the disk so far.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

/// The value below which `share` of the samples lie; sorts them.
fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[((samples.len() - 1) as f64 * share).round() as usize]
}
