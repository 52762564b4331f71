//! The host behind a server: another one under its address is noticed, told once and not merged, until an operator accepts
//! it; and one host behind two servers is warned of.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mect_testkit::mongo::ReplicaSet;
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::{eventually, http};

/// As the exporter writes it.
fn host_id(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

/// A host whose page can be that of any other.
struct Host {
    address: Ipv4Addr,
    port: u16,
    /// Whose page it serves; 0 for one that does not say.
    is: Arc<AtomicU8>,
}

impl Host {
    /// Serves until the test ends.
    fn start(address: Ipv4Addr, number: u8) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is = Arc::new(AtomicU8::new(number));
        let shown = Arc::clone(&is);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shown = Arc::clone(&shown);
                std::thread::spawn(move || serve(socket, &shown));
            }
        });
        Self { address, port, is }
    }

    fn becomes(&self, number: u8) {
        self.is.store(number, Ordering::Relaxed);
    }

    fn target(&self) -> String {
        format!("[[targets]]\naddress = \"{}:{}\"\n", self.address, self.port)
    }

    fn server_when(&self, collector: &Collector, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let ip = self.address.to_string();
        let find = || {
            let servers = collector.get("/api/v1/servers?limit=500").json();
            servers["items"].as_array()?.iter().find(|server| server["ip"] == *ip && is_so(server)).cloned()
        };
        eventually(what, find)
    }
}

/// A page says how many sessions its host has: as many as its number.
fn serve(mut socket: TcpStream, shown: &AtomicU8) -> std::io::Result<()> {
    let mut request = [0; 4096];
    while socket.read(&mut request)? > 0 {
        let number = shown.load(Ordering::Relaxed);
        let mut page = format!("node_memory_MemTotal_bytes 1000\nvpn_sessions {number}\n");
        if number > 0 {
            page += &format!("vpn_exporter_build_info{{host_id=\"{}\",version=\"1\"}} 1\n", host_id(number));
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n";
        write!(socket, "{head}content-length: {}\r\n\r\n{page}", page.len())?;
    }
    Ok(())
}

const SCRAPE: &str = "[scrape]\ninterval_seconds = 1\nrecheck_seconds = 0.5\n";

/// What was told of other hosts.
fn told(collector: &Collector) -> Vec<String> {
    let events = collector.get("/api/v1/events?kind=another_host&limit=500").json();
    events["items"].as_array().unwrap().iter().map(|event| event["detail"].as_str().unwrap().to_owned()).collect()
}

fn is_known(server: &Value, number: u8) -> bool {
    server["failure"].is_null() && server["sessions"] == number && server["host_id"] == host_id(number)
}

fn is_refused(server: &Value, other: u8) -> bool {
    server["failure"]["reason"] == "identity" && server["other_host_id"] == host_id(other)
}

#[test]
fn another_host_waits_for_an_operator_and_is_told_of_once() {
    let host = Host::start(Ipv4Addr::new(127, 81, 0, 1), 1);
    let home = Home::new(&(SCRAPE.to_owned() + &host.target()));
    let collector = home.start();
    let known = host.server_when(&collector, "the first host", |server| is_known(server, 1));
    assert!(known["other_host_id"].is_null(), "{known}");

    host.becomes(2);
    let down = |server: &Value| is_refused(server, 2) && server["health"] == "down";
    let refused = host.server_when(&collector, "another host to be refused", down);
    assert_eq!((&refused["sessions"], &refused["host_id"]), (&json!(1), &json!(host_id(1))), "nothing is merged");
    let heartbeat = refused["last_heartbeat"].clone();
    eventually("the event", || (told(&collector).len() == 1).then_some(()));
    assert!(told(&collector)[0].contains(&host_id(2)), "{:?}", told(&collector));

    // A restart forgets neither who was known nor what was told.
    collector.stop();
    let collector = home.start();
    let again = |server: &Value| down(server) && server["stale"] == false;
    let refused = host.server_when(&collector, "it to be refused still", again);
    assert_eq!(refused["last_heartbeat"], heartbeat, "{refused}");
    // The page shows it with a button; somebody else's identity would not do.
    let path = format!("/api/v1/servers/{}", refused["id"].as_str().unwrap());
    for nonsense in ["", "2", &host_id(2)[1..]] {
        let answer = collector.patch(&path, &json!({"host_id": nonsense}));
        assert!(answer.status == 422 || answer.status == 400, "{answer:?}");
    }
    assert_eq!(collector.patch(&path, &json!({"host_id": host_id(7)})).status, 200);
    host.server_when(&collector, "it to be refused all the same", down);
    assert_eq!(collector.patch(&path, &json!({"host_id": host_id(2)})).status, 200);
    let accepted = host.server_when(&collector, "the new host", |server| is_known(server, 2));
    assert!(accepted["other_host_id"].is_null(), "{accepted}");

    // A page that does not say whose it is passes, and makes nobody forget.
    host.becomes(0);
    host.server_when(&collector, "a page of nobody", |server| {
        server["sessions"] == 0 && server["host_id"] == host_id(2)
    });
    host.becomes(1);
    host.server_when(&collector, "the first host to be another one by now", |server| is_refused(server, 1));
    let details = eventually("the second event", || Some(told(&collector)).filter(|details| details.len() > 1));
    assert!(details[0].contains(&format!("host {} answers", host_id(1))), "{details:?}");
    assert!(details[1].contains(&format!("host {} answers", host_id(2))), "{details:?}");
    assert_eq!(details.len(), 2, "{details:?}");
}

#[test]
fn one_host_behind_two_servers_is_warned_of_and_scraped_all_the_same() {
    let [one, two, other] =
        [1, 2, 3].map(|last| Host::start(Ipv4Addr::new(127, 81, 1, last), if last == 3 { 9 } else { 8 }));
    let home = Home::new(&[SCRAPE, &one.target(), &two.target(), &other.target()].concat());
    let collector = home.start();
    let warnings = || {
        let targets = collector.get("/api/v1/targets").json();
        let targets = targets["data"]["activeTargets"].as_array().unwrap().clone();
        let said = |host: &Host| {
            let url = format!("http://{}:{}/metrics", host.address, host.port);
            let target = targets.iter().find(|target| target["scrapeUrl"] == *url)?;
            (target["health"] == "up").then(|| target["warning"].as_str().unwrap().to_owned())
        };
        Some([said(&one)?, said(&two)?, said(&other)?])
    };
    let [first, second, third] = eventually("two warnings", || warnings().filter(|[first, ..]| !first.is_empty()));
    assert!(first.contains("same identity as 127.81.1.2"), "{first}");
    assert!(second.contains("same identity as 127.81.1.1"), "{second}");
    assert_eq!(third, "");
    two.becomes(0);
    let form = [("username", "admin"), ("password", support::collector::PASSWORD)];
    let signed_in = http::post_form(&format!("{}/login", collector.url), &form, &[]).unwrap();
    let cookie = signed_in.cookie.unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let page = http::get(&format!("{}/targets", collector.url), &[("cookie", cookie)]).unwrap().body;
    assert_eq!(page.matches("has the same identity as").count(), 2, "{page}");
}

/// The value of one of a collector's metrics.
fn metric(collector: &Collector, name: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

#[test]
fn whoever_takes_a_server_over_knows_its_host() {
    let host = Host::start(Ipv4Addr::new(127, 81, 2, 1), 1);
    let set = ReplicaSet::start(1);
    let home = || {
        let mut home = Home::new(&format!("{SCRAPE}[collectors]\nlease_seconds = 4\n{}", host.target()));
        home.set("MONGO_URL", &set.url("identity"));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        home
    };
    let homes = [home(), home()];
    let (a, b) = (homes[0].start(), homes[1].start());
    eventually("one of two collectors to scrape it", || {
        let shards = [&a, &b].map(|collector| metric(collector, "mect_shards_held"));
        let targets = [&a, &b].map(|collector| metric(collector, "mect_targets"));
        (shards[0] + shards[1] == 256.0 && shards[0] * shards[1] > 0.0 && targets[0] + targets[1] == 1.0).then_some(())
    });
    let (mut holder, other) = if metric(&a, "mect_targets") == 1.0 { (a, b) } else { (b, a) };
    host.server_when(&other, "the first host", |server| is_known(server, 1));
    host.becomes(2);
    host.server_when(&other, "another host to be refused", |server| is_refused(server, 2));
    eventually("the event", || (told(&other).len() == 1).then_some(()));

    holder.program.kill();
    eventually("the other collector to scrape it", || (metric(&other, "mect_targets") == 1.0).then_some(()));
    let refusals = || metric(&other, "mect_scrapes_total{result=\"identity\"}");
    eventually("it to be refused by the other one, too", || {
        let page = other.get("/metrics").body;
        (page.contains("mect_scrapes_total{result=\"identity\"}") && refusals() >= 2.0).then_some(())
    });
    let refused = host.server_when(&other, "it to be seen", |server| is_refused(server, 2));
    assert_eq!((&refused["sessions"], &refused["host_id"]), (&json!(1), &json!(host_id(1))), "{refused}");
    let path = format!("/api/v1/servers/{}", refused["id"].as_str().unwrap());
    assert_eq!(other.patch(&path, &json!({"host_id": host_id(2)})).status, 200);
    host.server_when(&other, "the new host", |server| is_known(server, 2));
    assert_eq!(told(&other).len(), 1, "told once");
}
