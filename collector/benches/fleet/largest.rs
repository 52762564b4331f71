//! The largest fleet that one collector is meant for: how late scrapes start, and how much of a core they take.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::contenders::{self, config};
use super::process::{Running, Usage};
use super::{Plan, setting};

/// Goals: 99 of 100 scrapes start within this time, and all of it fits one core.
const LAG_GOAL_SECONDS: f64 = 1.0;
const CORES_GOAL: f64 = 1.0;

/// Runs it for one interval of warm-up and the measured time; true when the goals were reached.
pub fn measure() -> bool {
    let plan = Plan {
        targets: setting("BENCH_LARGEST_TARGETS", 50_000),
        interval: setting("BENCH_LARGEST_INTERVAL", 120),
        samples: 100,
        seconds: setting("BENCH_LARGEST_SECONDS", 120),
    };
    println!("largest fleet: {} targets every {} s", plan.targets, plan.interval);
    let directory = tempfile::tempdir().unwrap();
    let _simulation = contenders::simulate(&plan, directory.path());
    let (running, url) = start(&plan, directory.path());
    std::thread::sleep(Duration::from_secs(u64::from(plan.interval)));
    let (usage_before, before) = (running.usage(), lags(&url));
    std::thread::sleep(Duration::from_secs(u64::from(plan.seconds)));
    let (usage, after) = (running.usage(), lags(&url));
    let started: Vec<(f64, f64)> =
        after.iter().zip(&before).map(|((bound, after), (_, before))| (*bound, after - before)).collect();
    let scrapes = started.last().map_or(0.0, |(_, count)| *count);
    let within = started.iter().find(|(_, count)| *count >= scrapes * 0.99).map_or(f64::INFINITY, |(bound, _)| *bound);
    let cores = Usage::cpu_between(&usage_before, &usage).as_secs_f64() / f64::from(plan.seconds);
    println!(
        "{scrapes} scrapes, 99 % started within {within} s (goal ≤ {LAG_GOAL_SECONDS}), {cores:.2} cores (goal ≤ \
         {CORES_GOAL}), {:.1} KiB RSS per target",
        usage.resident_kib as f64 / f64::from(plan.targets)
    );
    within <= LAG_GOAL_SECONDS && cores <= CORES_GOAL
}

fn start(plan: &Plan, directory: &Path) -> (Running, String) {
    let path = directory.join("collector.toml");
    std::fs::write(&path, format!("[web]\nlisten = \"127.0.0.1:0\"\nopen_metrics = true\n{}", config(plan, directory)))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("serve").arg("--config").arg(path).stdout(Stdio::piped());
    let mut running = Running::start("cargo build", &mut command);
    let lines = BufReader::new(running.output.take().unwrap()).lines();
    let ready =
        lines.map_while(Result::ok).find_map(|line| line.split_once("ready at ").map(|(_, url)| url.to_owned()));
    (running, ready.expect("the collector ended before it was ready"))
}

/// The cumulative buckets of the lag so far, as upper bound in seconds and count.
fn lags(url: &str) -> Vec<(f64, f64)> {
    let page = ureq::get(format!("{url}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    page.lines()
        .filter_map(|line| line.strip_prefix("mect_scrape_lag_seconds_bucket{le=\"")?.split_once("\"} "))
        .map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap()))
        .collect()
}
