//! The largest fleet, shared by several collectors through one real replica set: how evenly they divide the work, and
//! what each of them costs against one that does it all.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mect_testkit::mongo::ReplicaSet;

use super::contenders::{self, config};
use super::process::{Running, Usage};
use super::{Plan, setting};

/// Collectors that are compared with one alone.
const COLLECTORS: usize = 3;
/// Shards of a fleet.
const SHARDS: f64 = 256.0;
/// Goals: the largest share of the scrapes, and of the processor time of the one that does it all. A third of each, and
/// room for shards of unequal size and for following what the others do.
const SHARE_GOAL: f64 = 1.0 / 3.0 + 0.1;
const CPU_GOAL: f64 = 0.5;
/// The collectors must have divided the fleet within this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// One collector of the group.
struct Member {
    running: Running,
    url: String,
}

/// What a member did within the measured time.
struct Work {
    scrapes: f64,
    cpu: Duration,
    kib: u64,
}

/// Measures one collector, then the group, on a database each; true when the goals were reached.
pub fn measure() -> bool {
    let plan = Plan {
        profile: "load",
        targets: setting("BENCH_LARGEST_TARGETS", 50_000),
        interval: setting("BENCH_LARGEST_INTERVAL", 120),
        samples: 100,
        seconds: setting("BENCH_LARGEST_SECONDS", 120),
    };
    println!("shared fleet: {} targets every {} s, on a replica set of three nodes", plan.targets, plan.interval);
    let directory = tempfile::tempdir().unwrap();
    let _simulation = contenders::simulate(&plan, directory.path());
    let set = ReplicaSet::start(3);
    let alone = group(1, &plan, &set.url("alone"), directory.path());
    let together = group(COLLECTORS, &plan, &set.url("together"), directory.path());
    let all: f64 = together.iter().map(|work| work.scrapes).sum();
    let one = &alone[0];
    let share = together.iter().map(|work| work.scrapes / all).fold(0.0, f64::max);
    let cpu = together.iter().map(|work| work.cpu.as_secs_f64() / one.cpu.as_secs_f64()).fold(0.0, f64::max);
    println!(
        "{COLLECTORS} collectors / one: scrapes {:.2}; largest share {share:.2} (goal ≤ {SHARE_GOAL:.2}), its processor \
         time {cpu:.2} (goal ≤ {CPU_GOAL})",
        all / one.scrapes
    );
    share <= SHARE_GOAL && cpu <= CPU_GOAL
}

fn group(size: usize, plan: &Plan, url: &str, directory: &Path) -> Vec<Work> {
    let members: Vec<_> = (0..size).map(|number| start(number, size, plan, url, directory)).collect();
    settle(&members);
    std::thread::sleep(Duration::from_secs(u64::from(plan.interval)));
    let before: Vec<_> = members.iter().map(Member::sofar).collect();
    std::thread::sleep(Duration::from_secs(u64::from(plan.seconds)));
    let work: Vec<_> = members
        .iter()
        .zip(before)
        .map(|(member, (scrapes, usage))| {
            let (scrapes_now, usage_now) = member.sofar();
            Work {
                scrapes: scrapes_now - scrapes,
                cpu: Usage::cpu_between(&usage, &usage_now),
                kib: usage_now.resident_kib,
            }
        })
        .collect();
    for work in &work {
        println!(
            "{size} collectors: {:>6} scrapes, {:.2} cores, {:.1} KiB RSS per server of the fleet",
            work.scrapes,
            work.cpu.as_secs_f64() / f64::from(plan.seconds),
            work.kib as f64 / f64::from(plan.targets)
        );
    }
    work
}

fn start(number: usize, size: usize, plan: &Plan, url: &str, directory: &Path) -> Member {
    let home = directory.join(format!("{size}-{number}"));
    std::fs::create_dir(&home).unwrap();
    let path = home.join("collector.toml");
    let web = "[web]\nlisten = \"127.0.0.1:0\"\nopen_metrics = true\n";
    std::fs::write(&path, format!("{web}{}", config(plan, "", directory))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("serve").arg("--config").arg(path).stdout(Stdio::piped());
    command.env("MONGO_URL", url).env("SECRET_KEY", "only-for-this-bench-0123456789abcdef");
    let mut running = Running::start("cargo build", &mut command);
    let lines = BufReader::new(running.output.take().unwrap()).lines();
    let ready =
        lines.map_while(Result::ok).find_map(|line| line.split_once("ready at ").map(|(_, url)| url.to_owned()));
    Member { running, url: ready.expect("the collector ended before it was ready") }
}

/// Waits until the members hold every shard between them, each one some.
fn settle(members: &[Member]) {
    let started = Instant::now();
    loop {
        let shares: Vec<_> = members.iter().map(|member| member.metric("mect_shards_held")).collect();
        if shares.iter().sum::<f64>() == SHARDS && shares.iter().all(|share| *share > 0.0) {
            return println!("{} collectors hold {shares:?} shards", members.len());
        }
        assert!(started.elapsed() < SETTLED_WITHIN, "the shards are not divided: {shares:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

impl Member {
    fn sofar(&self) -> (f64, Usage) {
        (self.metric("mect_scrapes_total{result=\"success\"}"), self.running.usage())
    }

    fn metric(&self, name: &str) -> f64 {
        let page = ureq::get(format!("{}/metrics", self.url)).call().unwrap().body_mut().read_to_string().unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }
}
