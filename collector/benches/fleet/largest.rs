//! The largest fleet that one collector is meant for, all healthy or with a tenth of hostile servers: how late and how
//! evenly scrapes start, how many are under way, and what all of it takes; by itself, and when samples are sent on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::contenders::{self, config};
use super::process::{Running, Usage};
use super::{KIB_GOAL, Plan, setting};

/// Goal: 99 of 100 scrapes start within this time.
const LAG_GOAL_SECONDS: f64 = 1.0;
/// Goal: all of it fits one core.
const CORES_GOAL: f64 = 1.0;
/// Goal: scrapes under way at any time.
const IN_FLIGHT_GOAL: f64 = 6_000.0;
/// Goal: no ten seconds have more or fewer scrapes than their mean by this part.
const EVENNESS_GOAL: f64 = 0.15;
const BUCKET: Duration = Duration::from_secs(10);
/// Goal: of the scrapes that healthy servers were due, so many worked.
const SUCCESS_GOAL: f64 = 0.999;
/// Goal: what waits to be sent on is at most what comes in this time.
const QUEUE_SECONDS_GOAL: f64 = 5.0;
/// Of ten servers in the profile `hostile`.
const HEALTHY_OF_TEN: u32 = 9;

/// Runs it with samples sent on by remote write: those that we make of the scrapes, or `all`.
pub fn measure_sending(send: &str) -> bool {
    let url = format!("http://127.0.0.1:{}/api/v1/write", contenders::sink());
    println!("sending on: {send}");
    measure("load", &format!("[[remote_write]]\nname = \"sink\"\nurl = \"{url}\"\nsend = \"{send}\"\n"))
}

/// Runs it with further sections of configuration, for one interval of warm-up and the measured time; true when the goals
/// were reached.
pub fn measure(profile: &'static str, more: &str) -> bool {
    let plan = Plan {
        profile,
        targets: setting("BENCH_LARGEST_TARGETS", 50_000),
        interval: setting("BENCH_LARGEST_INTERVAL", 120),
        samples: 100,
        seconds: setting("BENCH_LARGEST_SECONDS", 120),
    };
    println!("largest fleet, {profile}: {} targets every {} s", plan.targets, plan.interval);
    let directory = tempfile::tempdir().unwrap();
    let _simulation = contenders::simulate(&plan, directory.path());
    let (running, url) = start(&(config(&plan, "", directory.path()) + more), directory.path());
    // Hostile servers are re-checked until they are down: that is over by then.
    std::thread::sleep(Duration::from_secs(u64::from(plan.interval + 30)));
    let (usage_before, before) = (running.usage(), Page::of(&url));
    let watched = watch(&url, Duration::from_secs(u64::from(plan.seconds)));
    let (usage, after) = (running.usage(), Page::of(&url));

    let within = percentile(&before.lags(), &after.lags(), 0.99);
    let cores = Usage::cpu_between(&usage_before, &usage).as_secs_f64() / f64::from(plan.seconds);
    let kib = usage.resident_kib as f64 / f64::from(plan.targets);
    let worked =
        after.value("mect_scrapes_total{result=\"success\"}") - before.value("mect_scrapes_total{result=\"success\"}");
    let healthy = if profile == "hostile" { plan.targets * HEALTHY_OF_TEN / 10 } else { plan.targets };
    let due = f64::from(healthy) * f64::from(plan.seconds) / f64::from(plan.interval);
    let judged = [
        ("99 % of scrapes started within", within, LAG_GOAL_SECONDS, "s"),
        ("furthest of ten seconds from their mean", watched.unevenness, EVENNESS_GOAL, "of it"),
        ("scrapes under way, at most", watched.in_flight, IN_FLIGHT_GOAL, ""),
        ("processor", cores, CORES_GOAL, "cores"),
        ("memory per target, latest page kept", kib, KIB_GOAL, "KiB"),
        ("scrapes of healthy servers that did not work", (1.0 - worked / due).max(0.0), 1.0 - SUCCESS_GOAL, "of all"),
    ];
    for (what, value, goal, unit) in judged {
        println!("    {what}: {value:.3} (goal ≤ {goal:.3}) {unit}");
    }
    let mut is_reached = judged.iter().all(|(_, value, goal, _)| value <= goal);
    if !more.is_empty() {
        let name = |name: &str| format!("mect_remote_write_{name}{{receiver=\"sink\"}}");
        let sent = after.value(&name("samples_total")) - before.value(&name("samples_total"));
        let (waiting, missed) =
            (after.value(&name("queue_samples")), after.value("mect_remote_write_missed_scrapes_total"));
        let a_second = sent / f64::from(plan.seconds);
        println!(
            "    samples sent: {a_second:.0} a second; {waiting} wait, of {missed} scrapes (goal: 0) none were made"
        );
        is_reached &= missed == 0.0 && waiting < QUEUE_SECONDS_GOAL * a_second;
    }
    is_reached
}

/// What was seen from time to time.
struct Watched {
    in_flight: f64,
    unevenness: f64,
}

fn watch(url: &str, length: Duration) -> Watched {
    let (started, mut in_flight, mut counts) = (Instant::now(), 0.0_f64, Vec::new());
    for bucket in 1.. {
        counts.push(Page::of(url).value(STARTED));
        if started.elapsed() + BUCKET / 2 > length {
            break;
        }
        while started.elapsed() < BUCKET * bucket {
            in_flight = in_flight.max(Page::of(url).value("mect_scrapes_in_flight"));
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let buckets: Vec<f64> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = buckets.iter().sum::<f64>() / buckets.len() as f64;
    let unevenness = buckets.iter().map(|count| (count / mean - 1.0).abs()).fold(0.0, f64::max);
    Watched { in_flight, unevenness }
}

/// Scrapes that started.
const STARTED: &str = "mect_scrape_lag_seconds_count";

/// A collector with that configuration, and its URL.
pub fn start(config: &str, directory: &Path) -> (Running, String) {
    let path = directory.join("collector.toml");
    let web = "[web]\nlisten = \"127.0.0.1:0\"\nopen_metrics = true\n";
    std::fs::write(&path, format!("{web}{config}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("serve").arg("--config").arg(path).stdout(Stdio::piped());
    let mut running = Running::start("cargo build", &mut command);
    let lines = BufReader::new(running.output.take().unwrap()).lines();
    let ready =
        lines.map_while(Result::ok).find_map(|line| line.split_once("ready at ").map(|(_, url)| url.to_owned()));
    (running, ready.expect("the collector ended before it was ready"))
}

/// The collector's own metrics at a moment.
pub struct Page(String);

impl Page {
    pub fn of(url: &str) -> Self {
        Self(ureq::get(format!("{url}/metrics")).call().unwrap().body_mut().read_to_string().unwrap())
    }

    pub fn value(&self, name: &str) -> f64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.0)).parse().unwrap()
    }

    /// The cumulative buckets of the lag so far, as upper bound in seconds and count.
    fn lags(&self) -> Vec<(f64, f64)> {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix("mect_scrape_lag_seconds_bucket{le=\"")?.split_once("\"} "))
            .map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap()))
            .collect()
    }
}

/// The bucket's bound below which that part of what was added lies.
fn percentile(before: &[(f64, f64)], after: &[(f64, f64)], part: f64) -> f64 {
    let added: Vec<(f64, f64)> =
        after.iter().zip(before).map(|((bound, after), (_, before))| (*bound, after - before)).collect();
    let all = added.last().map_or(0.0, |(_, count)| *count);
    added.iter().find(|(_, count)| *count >= all * part).map_or(f64::INFINITY, |(bound, _)| *bound)
}
