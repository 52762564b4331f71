//! Two real targets, ours and one that nobody here wrote: what the collector says of them agrees with the kernel.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{History, Point};
use mect_fleet::{ServerId, Timestamp};
use support::collector::Home;
use support::proc::{Moments, Watch, uplink};
use support::{eventually, exporter, free_port, node_exporter};

const OURS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);

/// Scrapes whose values are compared.
const COMPARED: usize = 4;
/// Points of a percentage by which two readings of one kernel may differ: it counts processor time in ticks of 10 ms,
/// and the page is made a little after the scrape begins.
const TOLERANCE: f64 = 0.06;

#[test]
fn ours_and_a_foreign_exporter_agree_with_the_kernel_and_ours_goes_down_and_comes_back() {
    let (our_port, foreign_port) = (free_port(OURS), free_port(FOREIGN));
    let mut our_exporter = exporter(OURS, our_port, |_| {});
    let _foreign_exporter = node_exporter(FOREIGN, foreign_port);
    // Twice the exporter's cache of one second: every scrape sees fresh counters.
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 2\ntimeout_seconds = 1\nrecheck_seconds = 0.2\n\
         [[targets]]\naddress = \"{OURS}:{our_port}\"\nhostname = \"ours\"\n\
         [[targets]]\naddress = \"{FOREIGN}:{foreign_port}\"\nhostname = \"foreign\"\n"
    ));
    let watch = Watch::start(&uplink());
    let collector = home.start();
    let (ours, foreign) = (OURS.to_string(), FOREIGN.to_string());
    let has_load = |server: &serde_json::Value| {
        server["status"] == "active" && ["cpu", "ram", "net"].iter().all(|part| server["load"][part].is_f64())
    };
    let ours_active = collector.server_when("ours to have a load", &ours, has_load);
    let foreign_active = collector.server_when("the foreign one to have a load", &foreign, has_load);
    let listed = collector.get("/servers").json();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let first_heartbeat = foreign_active["first_heartbeat"].clone();
    eventually("enough heartbeats", || {
        let server = collector.server_when("the foreign one", &foreign, |_| true);
        let age = |key: &str| Some(server[key].as_str()?.to_owned());
        let seconds = |text: String| text[17..].trim_end_matches('Z').parse::<f64>().unwrap();
        let passed = (seconds(age("last_heartbeat")?) - seconds(age("first_heartbeat")?)).rem_euclid(60.0);
        (passed > 2.0 * (COMPARED as f64 + 2.0)).then_some(())
    });

    our_exporter.kill();
    let down = collector.server_when("ours to be down", &ours, |server| server["status"] == "down");
    assert_eq!(down["failure"], "conn_refused", "{down}");
    assert!(collector.get("/servers").body.contains(&foreign), "the other one is not affected");
    assert!(!collector.get("/servers").body.contains(&ours), "clients are not sent to a server that is down");
    let _back = exporter(OURS, our_port, |_| {});
    let back = collector.server_when("ours to be back", &ours, |server| server["status"] == "active");
    assert_eq!(back["server_id"], ours_active["server_id"]);
    assert_eq!(collector.server_when("the foreign one", &foreign, |_| true)["first_heartbeat"], first_heartbeat);
    collector.stop();

    let kernel = watch.finish();
    let store = Embedded::open(&home.data_dir(), Options::default()).unwrap();
    for server in [&ours_active, &foreign_active] {
        let id: ServerId = server["server_id"].as_str().unwrap().parse().unwrap();
        compare(server["hostname"].as_str().unwrap(), &points(&store, id), &kernel);
    }
}

fn points(store: &Embedded, server: ServerId) -> Vec<Point> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let all = Timestamp::from_secs(0)..Timestamp::now() + Duration::from_secs(60);
    runtime.block_on(store.points(server, all)).unwrap()
}

/// Compares each scrape that had one before it with what the kernel said at the same moments.
fn compare(name: &str, points: &[Point], kernel: &Moments) {
    let mut compared = 0;
    for pair in points.windows(2) {
        let (Some(before), Some(after)) = (kernel.at(pair[0].at), kernel.at(pair[1].at)) else { continue };
        let (Some(cpu), Some(ram), Some(net)) = (pair[1].cpu, pair[1].ram, pair[1].net) else { continue };
        let seconds = pair[1].at.since(pair[0].at).as_secs_f64();
        if pair[0].failure.is_some() || seconds < 1.5 {
            continue;
        }
        let busy = 1.0 - (after.cpu_idle - before.cpu_idle) / (after.cpu_total - before.cpu_total);
        assert!((f64::from(cpu) - busy).abs() <= TOLERANCE, "{name}: cpu {cpu}, the kernel says {busy}");
        let used = after.memory_used;
        assert!((f64::from(ram) - used).abs() <= TOLERANCE, "{name}: ram {ram}, the kernel says {used}");
        let rate = (after.received - before.received).max(after.sent - before.sent) / seconds / 125_000_000.0;
        assert!((f64::from(net) - rate).abs() <= TOLERANCE, "{name}: net {net}, the kernel says {rate}");
        compared += 1;
    }
    assert!(compared >= COMPARED, "{name}: only {compared} of {} scrapes could be compared", points.len());
}
