//! A host of its own, in a network namespace, with real traffic on its uplink: what the collector says of the network
//! agrees with the kernel; the key is asked for and shown; and a cut cable turns the host down.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mect_fleet::Timestamp;
use support::collector::Home;
use support::host::Host;
use support::proc::Watch;
use support::{PATIENCE, Program, built, eventually, free_port, number};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 231, 231, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 231, 231, 2);
const KEY: &str = "a-key-that-only-this-test-knows";
/// Stated capacity of the host's uplink, and what the test sends into it, in bytes per second.
const CAPACITY: f64 = 12_500_000.0;
const SENT: f64 = 4_000_000.0;

/// Sends datagrams to the host until it is dropped, and for no longer than the test's patience.
struct Traffic(Arc<AtomicBool>);

impl Traffic {
    fn start() -> Self {
        const DATAGRAM: usize = 1400;
        const HEADERS: f64 = 42.0;
        let running = Arc::new(AtomicBool::new(true));
        let runs = Arc::clone(&running);
        std::thread::spawn(move || {
            let socket = UdpSocket::bind((HERE, 0)).unwrap();
            let (started, mut sent) = (Instant::now(), 0.0);
            while runs.load(Ordering::Relaxed) && started.elapsed() < 3 * PATIENCE {
                while sent < started.elapsed().as_secs_f64() * SENT {
                    // Nobody listens there: the host's refusals do not matter.
                    let _ = socket.send_to(&[0; DATAGRAM], (THERE, 9));
                    sent += DATAGRAM as f64 + HEADERS;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self(running)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn traffic_shows_as_net_load_and_a_cut_cable_turns_the_host_down() {
    let host = Host::new(HERE, THERE);
    let port = free_port(Ipv4Addr::LOCALHOST);
    let mut home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 2\ntimeout_seconds = 1\nrecheck_seconds = 0.2\n\
         [[targets]]\naddress = \"{THERE}:{port}\"\ninsecure_credentials = true\n"
    ));
    let config = home.path().join("exporter.toml");
    std::fs::write(&config, "[uplink]\ncapacity_mbit = 100\n").unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.name()]).arg(built("mect-exporter"));
    command.args(["--listen", &format!("{THERE}:{port}"), "--config", config.to_str().unwrap()]);
    command.env("AGENT_API_KEY", KEY);
    let _exporter = Program::start("mect-exporter", "apt-get install iproute2", &mut command);
    eventually("the exporter to listen", || std::net::TcpStream::connect((THERE, port)).ok());
    let there = THERE.to_string();

    // Without the key it is refused, and says so.
    let stranger = home.start();
    stranger.server_when("a refusal", &there, |server| server["failure"] == "auth");
    stranger.stop();

    home.set("AGENT_API_KEY", KEY);
    // The cable's near end receives what the host sends, and sends what the host receives.
    let watch = Watch::start(&host.cable);
    let _traffic = Traffic::start();
    let collector = home.start();
    let began = Timestamp::now();
    let loaded = collector.server_when("the traffic to show", &there, |server| {
        let net = server["load"]["net"].as_f64().unwrap_or(0.0);
        server["status"] == "active" && Timestamp::now().since(began) > Duration::from_secs(6) && net > 10.0
    });
    let kernel = watch.finish();
    let (before, after) = (kernel.at(began).unwrap(), kernel.at(Timestamp::now()).unwrap());
    let seconds = after.at.since(before.at).as_secs_f64();
    let expected = (after.sent - before.sent).max(after.received - before.received) / seconds / CAPACITY * 100.0;
    let net = number(&loaded, "/load/net");
    assert!((net - expected).abs() <= 4.0, "net is {net} %, the kernel says {expected} %");
    assert!((expected - SENT / CAPACITY * 100.0).abs() < 6.0, "the test did not send what it meant to: {expected} %");

    host.ip_inside(&["link", "set", "eth0", "down"]);
    let down = collector.server_when("the host to be down", &there, |server| server["status"] == "down");
    let reason = down["failure"].as_str().unwrap();
    assert!(["conn_timeout", "no_route"].contains(&reason), "{down}");
    host.ip_inside(&["link", "set", "eth0", "up"]);
    collector.server_when("the host to be back", &there, |server| server["status"] == "active");
}
