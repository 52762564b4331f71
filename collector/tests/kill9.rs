//! kill -9 at random moments: nothing that was acknowledged is lost, health goes on where it stopped, and nothing is
//! told twice.
//!
//! Acknowledged is what a reader was shown: a heartbeat in REST. The view shows only what the store has made durable.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mect_fleet::store::History;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::{Health, ServerId, Timestamp};
use support::collector::Home;
use support::{eventually, exporter, free_port};

const KILLS: u32 = 20;
const SERVERS: u8 = 12;
/// Of these, this one is stopped and started again all the time, so that health flips under the kills.
const FLAPPING: u8 = 0;

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 100 + number)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_told_twice() {
    let ports: Vec<u16> = (0..SERVERS).map(|number| free_port(address(number))).collect();
    let _steady: Vec<_> = (0..SERVERS)
        .filter(|number| *number != FLAPPING)
        .map(|number| exporter(address(number), ports[usize::from(number)], |_| {}))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, flapping_port) = (Arc::clone(&stop), ports[usize::from(FLAPPING)]);
    let flapper = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let _up = exporter(address(FLAPPING), flapping_port, |_| {});
            std::thread::sleep(Duration::from_millis(1700));
            drop(_up);
            std::thread::sleep(Duration::from_millis(1300));
        }
    });
    let mut config = String::from("[scrape]\ninterval_seconds = 0.3\ntimeout_seconds = 0.3\nrecheck_seconds = 0.1\n");
    for (number, port) in (0..SERVERS).zip(&ports) {
        config += &format!("[[targets]]\naddress = \"{}:{port}\"\n", address(number));
    }
    let home = Home::new(&config);

    let mut acknowledged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut lot = 0x9E37_79B9_u32;
    for _ in 0..KILLS {
        let mut collector = home.start();
        // A different moment each time: between a fraction of a commit's window and several commits.
        lot = lot.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let until = Instant::now() + Duration::from_millis(u64::from(lot >> 21));
        while Instant::now() < until {
            for server in collector.all_servers() {
                if let Some(heartbeat) = server["last_heartbeat"].as_str() {
                    let id = server["server_id"].as_str().unwrap().to_owned();
                    acknowledged.entry(id).or_default().insert(heartbeat.to_owned());
                }
            }
        }
        collector.program.kill();
    }
    let last = home.start();
    eventually("every server to be scraped again", || {
        let servers = last.all_servers();
        let fresh = servers.iter().filter(|server| server["last_heartbeat"].is_string()).count();
        (fresh == usize::from(SERVERS)).then_some(())
    });
    last.stop();
    stop.store(true, Ordering::Relaxed);
    flapper.join().unwrap();

    assert_eq!(acknowledged.len(), usize::from(SERVERS));
    let total: usize = acknowledged.values().map(BTreeSet::len).sum();
    assert!(total > 2 * KILLS as usize, "too little was acknowledged to prove anything: {total} heartbeats");
    let store = Embedded::open(&home.data_dir(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (id, heartbeats) in &acknowledged {
        let id: ServerId = id.parse().unwrap();
        let all = Timestamp::from_secs(0)..Timestamp::now() + Duration::from_secs(60);
        let points = runtime.block_on(store.points(id, all)).unwrap();
        let recorded: BTreeSet<_> =
            points.iter().filter(|point| point.failure.is_none()).map(|point| point.at).collect();
        assert!(points.windows(2).all(|pair| pair[0].at < pair[1].at), "{id}: a scrape is recorded twice");
        let recorded: BTreeSet<String> = recorded.iter().map(Timestamp::to_string).collect();
        let lost: Vec<_> = heartbeats.difference(&recorded).collect();
        assert!(lost.is_empty(), "{id}: acknowledged and lost: {lost:?}");
        check_transitions(&runtime, &store, id, &points);
    }
}

/// Kills during the first start: whatever was printed last works, or the next start prints another.
#[test]
fn a_kill_during_the_first_start_leaves_a_way_in() {
    for round in 0..10 {
        let home = Home::new("");
        let told = home.path().join("told");
        for delay in [round * 6, round * 11] {
            let out = std::fs::OpenOptions::new().create(true).append(true).open(&told).unwrap();
            let mut child = home.command("serve").stdout(out).stderr(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let told = std::fs::read_to_string(told).unwrap();
        if let Some(password) = support::collector::first_password(&told) {
            std::fs::write(home.first_password_path(), password).unwrap();
        }
        // Signs in, with the password told now or with the one told last.
        home.start();
    }
}

/// The told flips are a gapless chain, and the recorded points agree with them.
fn check_transitions(
    runtime: &tokio::runtime::Runtime,
    store: &Embedded,
    id: ServerId,
    points: &[mect_fleet::store::Point],
) {
    let mut transitions = runtime.block_on(store.transitions(Some(id), 10_000)).unwrap();
    transitions.reverse();
    let mut health = Health::Pending;
    for (transition, number) in transitions.iter().zip(1..) {
        assert_eq!(transition.number, number, "{id}: told twice, or never: {transitions:?}");
        assert_eq!(transition.from, health, "{id}: {transitions:?}");
        health = transition.to;
        let point = points.iter().find(|point| point.at == transition.at);
        assert_eq!(point.map(|point| point.health), Some(health), "{id}: {transition:?}");
    }
    let flips = points
        .iter()
        .map(|point| point.health)
        .fold((Health::Pending, 0), |(before, flips), now| (now, flips + usize::from(now != before)));
    assert_eq!(flips, (health, transitions.len()), "{id}: streaks did not go on over the kills");
}
