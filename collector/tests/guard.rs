//! Our own link is cut in several ways, at many moments, under fleets of several sizes: nobody turns down. When half of a
//! fleet really dies, that half does.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{EventKind, Journal};
use support::collector::{Collector, Home};
use support::host::{Host, ip};
use support::{eventually, http};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 231, 230, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 231, 230, 2);
/// All addresses of these networks are the host's.
const SERVERS: &str = "10.232.0.0/15";
/// The host is the way to this network, and knows no way on.
const NOWHERE: &str = "10.234.0.0/24";
const PORT: u16 = 9776;

/// Each in a network of its own.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 232, 0, 1)) + (number << 8))
}

/// There is one network of these names: one test at a time.
static NETWORK: Mutex<()> = Mutex::new(());

/// A host that is a whole fleet.
struct FleetHost {
    host: Host,
    /// Nothing listens.
    closed: Arc<AtomicBool>,
    /// The first so many servers hang up.
    dead: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    _network: MutexGuard<'static, ()>,
}

impl FleetHost {
    fn new() -> Self {
        let network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
        let host = Host::new(HERE, THERE);
        let (closed, dead, ended) = Default::default();
        let fleet = Self { host, closed, dead, ended, _network: network };
        fleet.host.ip_inside(&["route", "add", "local", SERVERS, "dev", "lo"]);
        for network in [SERVERS, NOWHERE] {
            ip(&["route", "add", network, "via", &THERE.to_string()]);
        }
        // It answers for networks that it does not know: like a router on the way.
        fleet.host.ip_inside(&["route", "del", "default"]);
        fleet.host.spawn(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap()).join().unwrap();
        let (closed, dead, ended) = (fleet.closed.clone(), fleet.dead.clone(), fleet.ended.clone());
        fleet.host.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if closed.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                } else {
                    listen(&closed, &dead, &ended);
                }
            }
        });
        fleet
    }

    /// The link is cut in one of several ways.
    fn cut(&self, how: u32) {
        match how % 3 {
            0 => self.closed.store(true, Ordering::Relaxed),
            1 => {
                self.host.ip_inside(&["route", "del", "local", SERVERS, "dev", "lo"]);
                self.host.ip_inside(&["route", "add", "blackhole", SERVERS]);
            }
            _ => ip(&["route", "replace", "unreachable", SERVERS, "metric", "0"]),
        }
    }

    fn mend(&self, how: u32) {
        match how % 3 {
            0 => self.closed.store(false, Ordering::Relaxed),
            1 => {
                self.host.ip_inside(&["route", "del", "blackhole", SERVERS]);
                self.host.ip_inside(&["route", "add", "local", SERVERS, "dev", "lo"]);
            }
            _ => ip(&["route", "replace", SERVERS, "via", &THERE.to_string()]),
        }
    }
}

impl Drop for FleetHost {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let mut command = std::process::Command::new("ip");
        // The other routes go with the cable.
        let _ = command.args(["route", "del", "unreachable", SERVERS]).stderr(std::process::Stdio::null()).status();
    }
}

fn listen(closed: &AtomicBool, dead: &Arc<AtomicU32>, ended: &AtomicBool) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    while !closed.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((socket, _)) => {
                let dead = Arc::clone(dead);
                std::thread::spawn(move || answer(socket, &dead));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn answer(mut socket: TcpStream, dead: &AtomicU32) -> std::io::Result<()> {
    const PAGE: &str = "node_memory_MemTotal_bytes 4\nnode_memory_MemAvailable_bytes 3\nnode_cpu_seconds_total 1\n";
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    if (0..dead.load(Ordering::Relaxed)).any(|number| socket.local_addr().is_ok_and(|at| at.ip() == address(number))) {
        return Ok(());
    }
    let _request = socket.read(&mut [0; 4096])?;
    let length = PAGE.len();
    write!(socket, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{PAGE}")
}

fn home(servers: u32, interval: f64) -> Home {
    let mut config = format!(
        "[web]\nopen_metrics = true\n\
         [scrape]\ninterval_seconds = {interval}\ntimeout_seconds = 0.5\nrecheck_seconds = 0.5\n"
    );
    for number in 0..servers {
        config += &format!("[[targets]]\naddress = \"{}:{PORT}\"\n", address(number));
    }
    Home::new(&config)
}

fn metric(collector: &Collector, name: &str) -> f64 {
    let page = http::get(&format!("{}/metrics", collector.url), &[]).unwrap().body;
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
}

/// The addresses of the servers in that state.
fn in_state(collector: &Collector, status: &str) -> BTreeSet<String> {
    let servers = collector.all_servers().into_iter().filter(|server| server["status"] == status);
    servers.filter_map(|server| server["ip"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_cut_of_our_own_link_turns_nobody_down_and_a_death_of_half_the_fleet_does() {
    let fleet = FleetHost::new();
    for (servers, interval) in [(2, 2.0), (20, 2.0), (500, 5.0)] {
        println!("== {servers} servers");
        let home = home(servers, interval);
        let collector = home.start();
        eventually("every server to be active", || {
            (in_state(&collector, "active").len() as u32 == servers).then_some(())
        });
        let mut lot = 0x9E37_79B9_u32 ^ servers;
        for cut in 0..9 {
            lot = lot.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            fleet.cut(cut);
            if cut < 3 {
                // Until the guard holds.
                eventually("servers that cannot be verified", || {
                    (metric(&collector, "mect_unverified_servers") > 0.0).then_some(())
                });
                let listed = eventually("a list that says its age", || {
                    Some(collector.get("/servers")).filter(|listed| listed.data_age >= Some(interval as u64))
                });
                assert_eq!(listed.json().as_array().unwrap().len() as u32, servers, "the list stays as it was");
            } else {
                // Shorter and longer than it takes to doubt.
                std::thread::sleep(Duration::from_millis(u64::from(lot >> 21) * 2));
            }
            fleet.mend(cut);
            let mended_at = Timestamp::now().to_string();
            eventually("every server to answer again", || {
                let servers = collector.all_servers();
                let fresh = |server: &serde_json::Value| server["last_heartbeat"].as_str() > Some(&mended_at);
                servers.iter().all(fresh).then_some(())
            });
            assert_eq!(metric(&collector, "mect_unverified_servers"), 0.0);
        }
        assert_eq!(metric(&collector, "mect_transitions_total{to=\"down\"}"), 0.0, "{}", home.log());

        fleet.dead.store(servers / 2, Ordering::Relaxed);
        let dead: BTreeSet<_> = (0..servers / 2).map(|number| address(number).to_string()).collect();
        eventually("half of the servers to be down", || (in_state(&collector, "down") == dead).then_some(()));
        assert_eq!(in_state(&collector, "active").len() as u32, servers - servers / 2);
        fleet.dead.store(0, Ordering::Relaxed);
        eventually("all to be back", || (in_state(&collector, "active").len() as u32 == servers).then_some(()));
        eventually("an incident of each time that servers could not be verified, and its end", || {
            let page = collector.get("/api/v1/incidents?kind=unverified&limit=500").json();
            let incidents = page["items"].as_array()?;
            (incidents.len() >= 3 && incidents.iter().all(|incident| incident["state"] == "closed")).then_some(())
        });
        collector.stop();

        let kinds = events(&home);
        assert!(kinds.chunks(2).all(|pair| pair == [EventKind::Verified, EventKind::Unverified]), "{kinds:?}");
        assert!(kinds.len() >= 6, "three cuts lasted until servers could not be verified: {kinds:?}");
    }
}

/// What was told of servers that could not be verified, newest first.
fn events(home: &Home) -> Vec<EventKind> {
    let store = Embedded::open(&home.data_dir(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let soon = Timestamp::now() + Duration::from_secs(60);
    let events = runtime.block_on(store.events(None, soon, 500)).unwrap().into_iter().map(|event| event.kind);
    events.filter(|kind| matches!(kind, EventKind::Verified | EventKind::Unverified)).collect()
}

/// A router on the way says that it knows no way on: not our own network is gone, but the host's.
#[test]
fn a_network_that_was_withdrawn_turns_its_servers_down() {
    let _fleet = FleetHost::new();
    let home = home(2, 1.0);
    let gone = NOWHERE.replace("0/24", "7");
    let config = std::fs::read_to_string(home.config_path()).unwrap();
    home.configure(&format!("{config}[[targets]]\naddress = \"{gone}:{PORT}\"\n"));
    let collector = home.start();
    collector.server_when("the server to be down", &gone, |server| server["status"] == "down");
    // A router says so only so often; the other attempts end in silence.
    assert!(metric(&collector, "mect_scrapes_total{result=\"no_route\"}") > 0.0);
    assert_eq!(metric(&collector, "mect_scrapes_total{result=\"local\"}"), 0.0);
    assert_eq!(in_state(&collector, "active").len(), 2);
}

/// A name server that knows `s0.fleet.test` and so on, and says nothing while it is dead.
fn serve_names(dead: &AtomicBool, ended: &AtomicBool) {
    let socket = UdpSocket::bind((THERE, 53)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut question = [0; 512];
    while !ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
        // Header of 12 bytes, then labels, each after its length (RFC 1035, section 4.1).
        let label = usize::from(question[12]);
        let number: u32 = std::str::from_utf8(&question[14..13 + label]).unwrap().parse().unwrap();
        let end = 12 + question[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
        let is_ipv4 = question[end - 3] == 1;
        let mut answer = question[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]);
        if is_ipv4 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address(number).octets());
        }
        if !dead.load(Ordering::Relaxed) {
            socket.send_to(&answer, from).unwrap();
        }
    }
}

/// The same command, with a resolver that asks `THERE`.
fn with_names(home: &Home) -> Command {
    let resolver = home.data_dir().with_file_name("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {THERE}\noptions timeout:1 attempts:1\n")).unwrap();
    let serve = home.command("serve");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"").arg(resolver);
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn a_dead_name_server_turns_nobody_down_not_even_after_a_restart() {
    let fleet = FleetHost::new();
    let (dead, ended) = (Arc::new(AtomicBool::new(false)), fleet.ended.clone());
    let is_dead = Arc::clone(&dead);
    fleet.host.spawn(move || serve_names(&is_dead, &ended));
    for (servers, interval) in [(2, 1.0), (20, 1.0), (500, 3.0)] {
        println!("== {servers} servers");
        let mut config = format!(
            "[web]\nopen_metrics = true\n\
             [scrape]\ninterval_seconds = {interval}\ntimeout_seconds = 0.5\nrecheck_seconds = 0.2\n"
        );
        for number in 0..servers {
            config += &format!("[[targets]]\naddress = \"s{number}.fleet.test:{PORT}\"\n");
        }
        let home = Home::new(&config);
        let collector = home.start_by(with_names(&home));
        eventually("every server to be active", || {
            (in_state(&collector, "active").len() as u32 == servers).then_some(())
        });
        collector.stop();
        // Before a new one has heard of any address, when it has heard of some, when of all.
        let (mut lot, mut ours) = (servers, 0.0);
        for cut in 0..4 {
            lot = lot.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            dead.store(cut == 0, Ordering::Relaxed);
            let collector = home.start_by(with_names(&home));
            std::thread::sleep(Duration::from_secs_f64(interval * f64::from(lot) / f64::from(u32::MAX)));
            dead.store(true, Ordering::Relaxed);
            let before = tries(&collector);
            eventually("each server to be tried some times", || {
                (tries(&collector) >= before + f64::from(5 * servers)).then_some(())
            });
            assert_eq!(metric(&collector, "mect_transitions_total{to=\"down\"}"), 0.0, "{}", home.log());
            assert_eq!(in_state(&collector, "active").len() as u32, servers);
            let listed = collector.get("/servers").json();
            assert_eq!(listed.as_array().unwrap().len() as u32, servers, "the list stays as it was");
            ours += metric(&collector, "mect_scrapes_total{result=\"local\"}");

            dead.store(false, Ordering::Relaxed);
            let mended_at = Timestamp::now().to_string();
            eventually("every server to answer again", || {
                let servers = collector.all_servers();
                servers.iter().all(|server| server["last_heartbeat"].as_str() > Some(&mended_at)).then_some(())
            });
            assert_eq!(metric(&collector, "mect_transitions_total{to=\"down\"}"), 0.0, "{}", home.log());
            collector.stop();
        }
        assert!(ours >= f64::from(5 * servers), "names were looked up in vain: {ours}");
    }
}

/// Scrapes so far, whatever came of them.
fn tries(collector: &Collector) -> f64 {
    let page = http::get(&format!("{}/metrics", collector.url), &[]).unwrap().body;
    let values = page.lines().filter(|line| line.starts_with("mect_scrapes_total{"));
    values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}
