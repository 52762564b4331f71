//! Pages that read well, addresses that lead to the right server, and behaviour as declared, over real sockets.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::parse::{self, Limits};

/// Within a day of normal swing; long after any epoch.
const NOON: i64 = 1_795_521_600;

fn options(servers: u32, profile: Profile) -> Options {
    Options { servers, port: 0, samples: None, profile, seed: 11 }
}

/// Samples of a page, by the text that names the series.
fn series(page: &[u8]) -> HashMap<String, f64> {
    let page = parse::text(page, &Limits::default()).unwrap();
    let read = page.samples().iter().map(|sample| (format!("{}{:?}", sample.name, sample.labels), sample.value));
    let series: HashMap<_, _> = read.collect();
    assert_eq!(series.len(), page.samples().len(), "a series twice");
    series
}

fn sum(series: &HashMap<String, f64>, parts: &[&str]) -> f64 {
    series.iter().filter(|(name, _)| parts.iter().all(|part| name.contains(part))).map(|(_, value)| value).sum()
}

#[test]
fn counters_grow_at_plausible_rates_and_memory_adds_up() {
    let pages = Pages::new(&options(300, Profile::Load));
    let (mut hot, mut checked) = (0, 0);
    for server in 0..300 {
        let page = |minute: i64| series(&pages.render(server, Timestamp::from_secs(NOON + 60 * minute), None));
        let (mut before, mut minute) = (page(0), 1);
        if before["node_boot_time_seconds{}"] > (NOON - 86_400) as f64 {
            // It may reboot or have rebooted just now: another test's subject.
            continue;
        }
        while minute < 10 {
            let now = page(minute);
            if now["node_boot_time_seconds{}"] != before["node_boot_time_seconds{}"] {
                break;
            }
            for (name, value) in now.iter().filter(|(name, _)| name.contains("_total")) {
                assert!(*value >= before[name], "server {server}: {name} fell");
            }
            checked += 1;
            let rate = |parts: &[&str]| (sum(&now, parts) - sum(&before, parts)) / 60.0;
            let cpus = rate(&["node_cpu_seconds_total"]);
            let idle = rate(&["node_cpu_seconds_total", "\"idle\""]);
            assert!((cpus - cpus.round()).abs() < 0.02, "server {server}: {cpus} processors");
            assert!((0.0..cpus).contains(&idle), "server {server}: {idle} idle of {cpus}");
            let received = rate(&["node_network_receive_bytes_total", "eth0"]);
            let net = received / sum(&now, &["vpn_uplink_capacity"]);
            assert!((0.01..0.99).contains(&net), "server {server}: net {net}");
            hot += u32::from(minute == 1 && 1.0 - idle / cpus > 0.8);
            let memory = sum(&now, &["MemAvailable"]) / sum(&now, &["MemTotal"]);
            assert!((0.05..0.95).contains(&memory), "server {server}: {memory} of memory available");
            (before, minute) = (now, minute + 1);
        }
    }
    assert!((3..40).contains(&hot), "{hot} of 300 near saturation");
    assert!(checked > 2_000, "{checked} minutes checked");
}

#[test]
fn a_reboot_starts_counters_anew() {
    let pages = Pages::new(&options(1, Profile::Load));
    let boot = |day: i64| {
        let page = series(&pages.render(0, Timestamp::from_secs(NOON + day * 86_400), None));
        (page["node_boot_time_seconds{}"], sum(&page, &["node_cpu_seconds_total"]))
    };
    let reboot = (0..80).find(|day| boot(*day).0 != boot(day + 1).0).unwrap();
    assert!(boot(reboot + 1).1 < boot(reboot).1);
    assert!(boot(reboot + 1).0 > boot(reboot).0);
}

#[test]
fn pages_are_the_same_for_the_same_seed_and_padded_as_asked() {
    let at = Timestamp::from_secs(NOON);
    let page = |options: &Options, server| Pages::new(options).render(server, at, None);
    let plain = options(10, Profile::Load);
    assert_eq!(page(&plain, 3), page(&plain, 3));
    assert_ne!(page(&plain, 3), page(&Options { seed: 12, ..plain }, 3));
    for server in 0..10 {
        let own = series(&page(&plain, server)).len();
        assert!((80..=220).contains(&own), "{own} samples");
        assert_eq!(series(&page(&Options { samples: Some(1_000), ..plain }, server)).len(), 1_000);
        assert_eq!(series(&page(&Options { samples: Some(5), ..plain }, server)).len(), own);
    }
}

#[test]
fn a_failed_service_shows_and_has_no_sessions() {
    let pages = Pages::new(&options(1, Profile::Load));
    let at = Timestamp::from_secs(NOON);
    let (good, bad) = (series(&pages.render(0, at, None)), series(&pages.render(0, at, Some(0))));
    assert_eq!(sum(&good, &["vpn_service_active"]) - sum(&bad, &["vpn_service_active"]), 1.0);
    assert_eq!(bad["vpn_service_active{\"service\": \"wg\", \"unit\": \"wg-quick@wg0.service\"}"], 0.0);
    assert_eq!(bad["vpn_service_health{\"service\": \"wg\", \"unit\": \"wg-quick@wg0.service\"}"], 0.0);
    assert_eq!(good["vpn_service_health{\"service\": \"wg\", \"unit\": \"wg-quick@wg0.service\"}"], 5.0);
    assert_eq!(sum(&bad, &["vpn_sessions", "\"wg\""]), 0.0);
    assert!(sum(&good, &["vpn_sessions", "\"wg\""]) > 0.0);
}

#[test]
fn addresses_and_names_are_unique_and_lead_back() {
    let (mut addresses, mut names) = (HashSet::new(), HashSet::new());
    for server in 0..130_000 {
        let address = host::address(server);
        assert!(address.is_loopback() && address.octets()[1] >= 64);
        assert_eq!(host::server_at(address), Some(server), "{address}");
        assert!(addresses.insert(address) && names.insert(host::hostname(server)));
    }
    assert_eq!(host::server_at(host::address(host::MAX_SERVERS - 1)), Some(host::MAX_SERVERS - 1));
    for other in ["127.0.0.1", "127.64.0.1", "127.64.1.0", "127.64.241.1", "127.64.1.251"] {
        assert_eq!(host::server_at(other.parse().unwrap()), None, "{other}");
    }
    assert_eq!(host::hostname(330), "de-fra-012");
}

#[tokio::test]
async fn targets_are_written_as_file_sd() {
    let simulation = Simulation::bind(options(65, Profile::Demo)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.yml");
    simulation.write_targets(&path).unwrap();
    let groups: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let groups = groups.as_array().unwrap();
    assert_eq!(groups.len(), 65);
    let first = simulation.targets().next().unwrap();
    assert_eq!(first.address, format!("127.64.1.1:{}", simulation.local_port()));
    assert_eq!(groups[0]["targets"][0], first.address);
    let labels = &groups[0]["labels"];
    assert_eq!((&labels["hostname"], &labels["country_code"]), (&"de-fra-001".into(), &"DE".into()));
    assert_eq!(labels["city"], "Frankfurt am Main");
    let flag = |name| labels[name] == "true" || labels[name] == "false";
    assert!(["gaming", "streaming", "paid"].into_iter().all(flag));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft is left");
    assert!(simulation.write_targets(Path::new("/nowhere/targets.yml")).is_err());
}

#[tokio::test]
async fn a_number_of_servers_out_of_range_is_refused() {
    for servers in [0, Options::MAX_SERVERS + 1] {
        let error = Simulation::bind(options(servers, Profile::Load)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

/// A simulation that serves until dropped.
struct Running {
    port: u16,
    options: Options,
    stop: CancellationToken,
}

impl Running {
    fn start(options: Options) -> Self {
        let simulation = Simulation::bind(options).unwrap();
        let (port, stop) = (simulation.local_port(), CancellationToken::new());
        tokio::spawn(simulation.serve(stop.clone()));
        Self { port, options, stop }
    }

    async fn connect(&self, server: u32) -> io::Result<TcpStream> {
        TcpStream::connect((host::address(server), self.port)).await
    }

    async fn get(&self, server: u32, path: &str) -> io::Result<(String, Vec<u8>)> {
        let mut stream = self.connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((String::from_utf8(answer[..head].to_vec()).unwrap(), answer[head + 4..].to_vec()))
    }

    /// Connects and only reads: a write to a closed connection would make the kernel answer with a reset by itself.
    async fn listen_to(&self, server: u32) -> io::Result<usize> {
        self.connect(server).await?.read(&mut [0; 64]).await
    }

    /// A server that behaves so.
    fn who(&self, behaviour: Behaviour) -> u32 {
        (0..self.options.servers).find(|server| Behaviour::of(&self.options, *server) == behaviour).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn each_address_shows_its_own_server() {
    let running = Running::start(options(60_500, Profile::Load));
    for server in [0, 1, 239, 240, 59_999, 60_000, 60_499] {
        let (head, body) = running.get(server, "/metrics").await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        let nodename = format!("\"nodename\": \"{}\"", host::hostname(server));
        assert!(series(&body).keys().any(|name| name.contains(&nodename)), "{nodename}");
    }
    assert!(running.get(0, "/healthz").await.unwrap().0.contains("200 OK"));
    assert!(running.get(0, "/other").await.unwrap().0.contains("404"));
    assert!(running.get(60_500, "/metrics").await.is_err(), "no such server");
}

#[tokio::test]
async fn a_connection_can_be_kept() {
    let running = Running::start(options(3, Profile::Load));
    let mut stream = running.connect(2).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
        }
    }
}

#[tokio::test]
async fn troubled_servers_do_what_they_declare() {
    let running = Running::start(options(300, Profile::Demo));
    let get = async |behaviour| running.get(running.who(behaviour), "/metrics").await;
    let odd = async |odd| get(Behaviour::Odd(odd)).await.unwrap();

    assert_eq!(
        running.listen_to(running.who(Behaviour::Down)).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert!(get(Behaviour::Down).await.is_err());
    let (head, body) = odd(Odd::Html).await;
    assert!(head.contains("200 OK") && head.contains("text/html") && body.starts_with(b"<!doctype html>"));
    assert!(odd(Odd::Unauthorized).await.0.contains("401 Unauthorized"));
    assert!(odd(Odd::Broken).await.0.contains("500 Internal"));
    let (head, body) = odd(Odd::Garbage).await;
    assert!(head.contains("200 OK"));
    assert_eq!(parse::text(&body, &Limits::default()).unwrap_err().kind, parse::ErrorKind::Utf8);
    assert_eq!(odd(Odd::Huge).await.1.len(), 10_000_000);
    let silent = get(Behaviour::Odd(Odd::Silent));
    assert!(tokio::time::timeout(Duration::from_millis(300), silent).await.is_err());
    let slow = get(Behaviour::Slow);
    assert!(tokio::time::timeout(Duration::from_millis(900), slow).await.is_err());

    // Rank 2 is the one that is degraded all the time.
    let at = Timestamp::now();
    let impaired = |server: &u32| {
        Behaviour::of(&running.options, *server) == Behaviour::Degraded
            && matches!(
                Behaviour::action(&running.options, *server, at),
                behaviour::Action::Page { is_impaired: true, .. }
            )
    };
    let server = (0..300).find(impaired).unwrap();
    let (_, body) = running.get(server, "/metrics").await.unwrap();
    let inactive = series(&body).iter().filter(|(name, on)| name.contains("vpn_service_active") && **on == 0.0).count();
    assert_eq!(inactive, 1);
}

#[tokio::test]
async fn serving_ends_with_its_token() {
    let simulation = Simulation::bind(options(2, Profile::Load)).unwrap();
    let (port, stop) = (simulation.local_port(), CancellationToken::new());
    let serving = tokio::spawn(simulation.serve(stop.clone()));
    let mut kept = TcpStream::connect((host::address(1), port)).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(kept.read(&mut [0; 64]).await.unwrap() > 0);
    stop.cancel();
    serving.await.unwrap();
    while kept.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
    assert!(TcpStream::connect((host::address(1), port)).await.is_err());
}
