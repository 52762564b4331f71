//! CPU per scrape and memory per target of the collector, against Prometheus, vmagent and a client that only fetches.
//!
//! All scrape the same simulated fleet, one after the other, on the same schedule. Run it alone with
//! `cargo bench -p mect-collector --bench fleet`. Set `BENCH_TARGETS`, `BENCH_INTERVAL` (seconds) and
//! `BENCH_SECONDS` (measured time of each) for another fleet; `BENCH_ONLY` names one contender, or one of the last
//! parts: `largest`, a fleet of 50,000, `hostile`, one with a tenth of hostile servers, `sends` and `sends_all`, one whose
//! samples are sent on, `tls`, scrapes over TLS, `shared`, the same fleet shared by three collectors, and `clients`, who
//! ask for the list meanwhile. Ends with an error when a goal is missed.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a failed step ends the bench")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

mod clients;
mod contenders;
mod floor;
mod largest;
#[allow(dead_code, reason = "a test needs more of it")]
#[path = "../../tests/support/pki.rs"]
mod pki;
mod process;
mod shared;
mod tls;

use contenders::Contender;
use process::Usage;

/// Size of the fleet, rhythm and length of a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How the simulated servers behave, as `mect-collector simulate --profile` has it.
    profile: &'static str,
    targets: u32,
    interval: u32,
    samples: u32,
    seconds: u32,
}

/// What one contender cost.
struct Cost {
    name: &'static str,
    cpu_micros: f64,
    kib_per_target: f64,
    scrapes: u64,
}

/// Goals: what we may cost in comparison with a peer. `None`: not compared.
const GOALS: [(&str, &str, f64, Option<f64>); 4] = [
    ("mect", "prometheus", 0.4, Some(KIB_GOAL / 265.0)),
    ("mect", "vmagent", 0.5, Some(KIB_GOAL / 38.0)),
    ("mect", "fetch only", 2.0, None),
    ("mect, fresh", "fetch, fresh", 2.0, None),
];
/// Rounds before it is measured. In the first ones scrapes come for the first time and once more for the rates, out of
/// their rhythm.
const WARM_UP: u32 = 4;
/// Memory per target, all in.
const KIB_GOAL: f64 = 16.0;

fn main() -> ExitCode {
    if let Some(arguments) = floor::requested() {
        floor::run(&arguments);
        return ExitCode::SUCCESS;
    }
    let plan = Plan {
        profile: "load",
        targets: setting("BENCH_TARGETS", 5_000),
        interval: setting("BENCH_INTERVAL", 15),
        samples: 100,
        seconds: setting("BENCH_SECONDS", 45),
    };
    let only = std::env::var("BENCH_ONLY").ok();
    println!(
        "fleet: {} targets every {} s, about {} samples each; {} s measured after {WARM_UP} rounds of warm-up",
        plan.targets, plan.interval, plan.samples, plan.seconds
    );
    let directory = tempfile::tempdir().unwrap();
    let _simulation = contenders::simulate(&plan, directory.path());
    let costs: Vec<Cost> = Contender::ALL
        .into_iter()
        .filter(|contender| only.as_ref().is_none_or(|only| only == contender.name()))
        .map(|contender| measure(&plan, contender, directory.path()))
        .collect();
    let mut is_reached = print_ratios(&costs);
    for (part, profile) in [("largest", "load"), ("hostile", "hostile")] {
        if only.is_none() || only.as_deref() == Some(part) {
            is_reached &= largest::measure(profile, "");
        }
    }
    for (part, send) in [("sends", "derived"), ("sends_all", "all")] {
        if only.is_none() || only.as_deref() == Some(part) {
            is_reached &= largest::measure_sending(send);
        }
    }
    if only.is_none() || only.as_deref() == Some("tls") {
        is_reached &= tls::measure();
    }
    if only.is_none() || only.as_deref() == Some("shared") {
        is_reached &= shared::measure();
    }
    if only.is_none() || only.as_deref() == Some("clients") {
        is_reached &= clients::measure();
    }
    if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(plan: &Plan, contender: Contender, directory: &Path) -> Cost {
    let running = contender.start(plan, directory);
    std::thread::sleep(Duration::from_secs(u64::from(WARM_UP * plan.interval)));
    let (before, served) = (running.usage(), contenders::pages_served(directory));
    std::thread::sleep(Duration::from_secs(u64::from(plan.seconds)));
    let (after, scrapes) = (running.usage(), contenders::pages_served(directory) - served);
    let cost = Cost {
        name: contender.name(),
        cpu_micros: Usage::cpu_between(&before, &after).as_secs_f64() * 1e6 / scrapes as f64,
        kib_per_target: after.resident_kib as f64 / f64::from(plan.targets),
        scrapes,
    };
    println!(
        "{:<12} {:>8.1} µs CPU per scrape {:>8.1} KiB RSS per target   ({} scrapes)",
        cost.name, cost.cpu_micros, cost.kib_per_target, cost.scrapes
    );
    cost
}

/// True when every goal that could be compared was reached.
fn print_ratios(costs: &[Cost]) -> bool {
    let of = |name: &str| costs.iter().find(|cost| cost.name == name);
    let mut is_reached = true;
    for (name, peer, cpu_goal, memory_goal) in GOALS {
        let (Some(ours), Some(peer)) = (of(name), of(peer)) else { continue };
        let cpu = ours.cpu_micros / peer.cpu_micros;
        is_reached &= cpu <= cpu_goal;
        print!("{name} / {}: CPU {cpu:.2} (goal ≤ {cpu_goal})", peer.name);
        if let Some(goal) = memory_goal {
            let memory = ours.kib_per_target / peer.kib_per_target;
            is_reached &= memory <= goal;
            print!(", memory {memory:.2} (goal ≤ {goal:.2})");
        }
        println!();
    }
    if let (Some(kept), Some(fresh)) = (of("mect"), of("mect, fresh")) {
        let (cpu, memory) = (fresh.cpu_micros / kept.cpu_micros, kept.kib_per_target - fresh.kib_per_target);
        println!("a fresh connection for each scrape: CPU {cpu:.2} of a kept one's, {memory:.1} KiB less per target");
    }
    if let Some(ours) = of("mect") {
        println!("mect: {:.1} KiB per target (goal ≤ {KIB_GOAL})", ours.kib_per_target);
        is_reached &= ours.kib_per_target <= KIB_GOAL;
    }
    is_reached
}

fn setting(name: &str, default: u32) -> u32 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")),
        Err(_) => default,
    }
}
