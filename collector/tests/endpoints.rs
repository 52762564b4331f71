//! Several exporters of one host are one server: its pages are read together, and only the main one decides whether it is
//! up. So a fleet that has exporters of others already needs none of ours.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::foreign::Foreign;
use support::{Program, eventually, free_port, node_exporter};

const FAST: &str = "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\nrecheck_seconds = 0.2\n";
/// Main endpoints of these tests are plain pages of node_exporter's names.
const HOST_PAGE: &str = "node_memory_MemTotal_bytes 1000\nnode_memory_MemAvailable_bytes 250\n\
                         node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 5\n";
const MINDFLAVOR: &str = include_str!("foreign/mindflavor.txt");
const KUMINA: &str = include_str!("foreign/kumina.txt");
const SQUID: &str = include_str!("foreign/squid.txt");
const XRAY: &str = include_str!("foreign/xray.txt");

const fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 71, last)
}

/// The only server, as `/api/v1` shows it, once `is_so` holds.
#[track_caller]
fn server_when(collector: &Collector, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let servers = collector.get("/api/v1/servers").json();
        let servers = servers["items"].as_array().unwrap().clone();
        assert!(servers.len() <= 1, "{servers:?}");
        servers.into_iter().next().filter(|server| is_so(server))
    })
}

/// Health and error of each endpoint of `/api/v1/targets`, by URL.
fn targets(collector: &Collector) -> BTreeMap<String, (String, String)> {
    let targets = collector.get("/api/v1/targets").json();
    let active = targets["data"]["activeTargets"].as_array().unwrap();
    assert_eq!(targets["data"]["activeCount"], active.len());
    let text = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
    active.iter().map(|one| (text(one, "scrapeUrl"), (text(one, "health"), text(one, "lastError")))).collect()
}

fn endpoint<'a>(server: &'a Value, url: &str) -> &'a Value {
    let mut endpoints = server["endpoints"].as_array().unwrap().iter();
    endpoints.find(|endpoint| endpoint["url"] == url).unwrap_or_else(|| panic!("{url}: {server}"))
}

fn is_all_up(server: &Value) -> bool {
    let endpoints = server["endpoints"].as_array().unwrap();
    server["health"] == "active" && endpoints.iter().all(|endpoint| endpoint["health"] == "up")
}

#[test]
fn exporters_of_others_on_one_host_are_one_server() {
    let ip = address(1);
    let port = free_port(ip);
    let main = format!("http://{ip}:{port}/metrics");
    let mut node = node_exporter(ip, port);
    // That exporter sends no content type.
    let wireguard = Foreign::start_with(ip, "/metrics", "", MINDFLAVOR);
    let (openvpn, xray) = (Foreign::start(ip, "/metrics", KUMINA), Foreign::start(ip, "/scrape", XRAY));
    let squid = Foreign::start(ip, "/metrics", SQUID);
    let home = Home::new(&format!(
        "{FAST}[[targets]]\naddress = \"{ip}:{port}\"\nhostname = \"de-fra-1\"\n\
         endpoints = [\":{}\", \":{}\", \"{}\"]\n\
         [[file_sd]]\nfiles = [\"targets.json\"]\n",
        wireguard.port(),
        openvpn.port(),
        xray.url()
    ));
    // Another source names one more, and one that is known: a job for each exporter, as Prometheus' users have it.
    let more = json!([{"targets": [squid.authority()]}, {"targets": [openvpn.authority()]}]);
    std::fs::write(home.path().join("targets.json"), more.to_string()).unwrap();
    let collector = home.start();

    let server =
        server_when(&collector, "one reading of all", |server| is_all_up(server) && !server["load"]["cpu"].is_null());
    let services: Vec<_> = ["wg", "ov", "sq", "vr"].map(|name| json!({"name": name, "active": true})).into();
    assert_eq!((&server["services"], &server["sessions"]), (&json!(services), &json!(3 + 3 + 23)));
    assert_eq!((&server["hostname"], &server["ip"]), (&json!("de-fra-1"), &json!(ip.to_string())));
    assert!(server["load"]["ram"].is_number() && server["load"]["bottleneck"].is_number(), "{server}");
    let listed = collector.get("/servers?service=wg").json();
    assert_eq!(listed[0]["services"].as_array().unwrap().len(), 4, "{listed}");

    let up = ("up".to_owned(), String::new());
    let urls = [main.clone(), wireguard.url(), openvpn.url(), squid.url(), xray.url()];
    assert_eq!(targets(&collector), urls.clone().map(|url| (url, up.clone())).into());
    let page = collector.get("/targets").body;
    assert!(urls.iter().all(|url| page.contains(url)) && page.contains("names the same page before"), "{page}");
    let discovered = collector.get("/api/v1/sd/prometheus").json();
    let of_xray = discovered.as_array().unwrap().iter().find(|group| group["targets"][0] == xray.authority()).unwrap();
    assert_eq!(discovered.as_array().unwrap().len(), 5);
    assert_eq!(of_xray["labels"]["__metrics_path__"], "/scrape");
    let series = collector.get(&format!("/federate?match[]={{instance=%22{}%22}}", wireguard.authority())).body;
    assert!(series.contains("wireguard_latest_handshake_seconds{") && !series.contains("node_"), "{series}");
    assert!(series.lines().any(|line| line.starts_with("up{") && line.contains("} 1 ")), "{series}");
    let id = server["id"].as_str().unwrap();
    let probed = collector.get(&format!("/probe?server={id}&endpoint={}", wireguard.url()));
    assert_eq!((probed.status, probed.body.as_str()), (200, MINDFLAVOR));
    let series = collector.get(&format!("/federate?match[]={{instance=%22{ip}:{port}%22}}")).body;
    assert!(series.contains("node_cpu_seconds_total{") && !series.contains("wireguard_"), "{series}");

    a_further_one_dies(&collector, &squid);
    the_main_one_dies(&collector, &mut node, &main, &squid);
    let _node = node_exporter(ip, port);
    server_when(&collector, "it to come back", is_all_up);
}

/// It does not turn the server down: what it tells of is lost, and it is named.
fn a_further_one_dies(collector: &Collector, squid: &Foreign) {
    squid.die(true);
    let server = server_when(collector, "it to be degraded", |server| server["health"] == "degraded");
    let lost = endpoint(&server, &squid.url());
    assert_eq!((&lost["health"], &server["failure"]), (&json!("down"), &Value::Null), "{server}");
    assert!(lost["failures"].as_u64().is_some_and(|failures| failures >= 3), "{lost}");
    assert!(lost["error"].as_str().unwrap().contains("connection reset"), "{lost}");
    assert_eq!(server["services"].as_array().unwrap().len(), 3, "of Squid nothing is known: {server}");
    assert_eq!(server["sessions"], 3 + 3 + 23);
    let told = &targets(collector)[&squid.url()];
    assert!(told.0 == "down" && told.1.contains("connection reset"), "{told:?}");
    let id = server["id"].as_str().unwrap();
    for page in [format!("/servers/{id}"), "/".to_owned(), "/targets".to_owned()] {
        let body = collector.get(&page).body;
        assert!(body.contains(&squid.url()) && body.contains("connection reset"), "{page}: {body}");
    }
    squid.die(false);
    server_when(collector, "it to be well again", is_all_up);
}

fn the_main_one_dies(collector: &Collector, node: &mut Program, main: &str, further: &Foreign) {
    node.kill();
    let server = server_when(collector, "it to be down", |server| server["health"] == "down");
    assert_eq!(server["failure"]["reason"], "conn_refused");
    assert_eq!(endpoint(&server, &further.url())["health"], "unknown", "nobody looks any more");
    let targets = targets(collector);
    assert_eq!(targets[main].0, "down");
    assert_eq!(targets[&further.url()], ("unknown".into(), "given up: the main endpoint failed".into()));
}

#[test]
fn endpoints_are_added_and_taken_away_by_rest() {
    let ip = address(2);
    let (main, wireguard) = (Foreign::start(ip, "/metrics", HOST_PAGE), Foreign::start(ip, "/metrics", MINDFLAVOR));
    let home = Home::new(FAST);
    let collector = home.start();
    let target = |endpoints: &[&str]| json!({"target": {"address": main.authority(), "endpoints": endpoints}});
    let own = collector.url.trim_start_matches("http://").to_owned();
    let many: Vec<String> = (1..=8).map(|port| format!(":{port}")).collect();
    for (endpoints, says) in [
        (vec![":9586", ":9586"], "target.endpoints: `:9586` is named twice"),
        (vec![main.authority().as_str()], "is named twice"),
        (many.iter().map(String::as_str).collect(), "at most 8"),
        (vec!["169.254.169.254:80"], "on another host"),
        (vec!["192.0.2.7:9586"], "on another host"),
        (vec![":0"], "needs a port"),
        (vec!["ftp://x:1"], "only http:// and https://"),
    ] {
        let refused = collector.post("/api/v1/servers", &target(&endpoints));
        assert!(refused.status == 422 && refused.body.contains(says), "{endpoints:?}: {refused:?}");
    }
    // The collector's own pages are no endpoint, even on a host that is.
    let ours = json!({"target": {"address": "127.0.0.1:9", "endpoints": [own]}});
    let refused = collector.post("/api/v1/servers", &ours);
    assert!(refused.status == 422 && refused.body.contains("collector itself listens there"), "{refused:?}");

    let port = format!(":{}", wireguard.port());
    let created = collector.post("/api/v1/servers", &target(&[&port]));
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(collector.post("/api/v1/servers", &target(&[&port])).status, 200, "the same again");
    server_when(&collector, "its sessions", |server| is_all_up(server) && server["sessions"] == 3);
    collector.stop();
    let collector = home.start();
    let server = server_when(&collector, "it after a restart", |server| is_all_up(server) && server["sessions"] == 3);
    assert_eq!(server["target"]["endpoints"], json!([wireguard.url()]));

    let path = format!("/api/v1/servers/{}", server["id"].as_str().unwrap());
    assert_eq!(collector.patch(&path, &target(&[])).status, 200);
    let server = server_when(&collector, "it without", |server| server["sessions"].is_null());
    assert_eq!((&server["endpoints"], &server["health"]), (&json!([]), &json!("active")));
    assert_eq!(targets(&collector).len(), 1);
}

/// Another machine answers at a port of the host, as behind a forwarded one: nothing of it is mixed in.
#[test]
fn a_further_endpoint_of_another_host_does_not_count() {
    let ip = address(3);
    let page = |pair: &str, sessions: u32| {
        format!(
            "node_memory_MemTotal_bytes 100\nvpn_exporter_build_info{{host_id=\"{}\"}} 1\n\
             vpn_sessions{{service=\"wg\"}} {sessions}\n",
            pair.repeat(16)
        )
    };
    let (main, other) =
        (Foreign::start(ip, "/metrics", &page("0a", 1)), Foreign::start(ip, "/metrics", &page("0a", 2)));
    let home = Home::new(&format!(
        "{FAST}[[targets]]\naddress = \"{}\"\nendpoints = [\":{}\"]\n",
        main.authority(),
        other.port()
    ));
    let collector = home.start();
    server_when(&collector, "both", |server| is_all_up(server) && server["sessions"] == 3);
    other.say(&page("1b", 2));
    let server = server_when(&collector, "it to be degraded", |server| server["health"] == "degraded");
    assert_eq!((&server["sessions"], &server["host_id"]), (&json!(1), &json!("0a".repeat(16))));
    assert!(endpoint(&server, &other.url())["error"].as_str().unwrap().contains("another host answers"), "{server}");
}

/// A page too many samples long costs its own services only.
#[test]
fn a_further_page_beyond_the_limits_is_named() {
    let ip = address(4);
    let peers: String = (0..5_000)
        .map(|n| format!("wireguard_latest_handshake_seconds{{interface=\"wg0\",public_key=\"{n}\"}} 1795521590\n"))
        .collect();
    let (main, wireguard) = (Foreign::start(ip, "/metrics", HOST_PAGE), Foreign::start(ip, "/metrics", &peers));
    let config = |scrape: &str| {
        let (main, port) = (main.authority(), wireguard.port());
        format!("{FAST}{scrape}[[targets]]\naddress = \"{main}\"\nendpoints = [\":{port}\"]\n")
    };
    let home = Home::new(&config(""));
    let collector = home.start();
    let server = server_when(&collector, "it to be degraded", |server| server["health"] == "degraded");
    let error = endpoint(&server, &wireguard.url())["error"].clone();
    assert!(error.as_str().unwrap().starts_with("the page has too many samples"), "{error}");
    collector.stop();
    home.configure(&config("max_samples = 40000\n"));
    let collector = home.start();
    server_when(&collector, "all peers", |server| is_all_up(server) && server["sessions"] == 5_000);
}

/// Debian's Squid and Debian's exporter for it, beside a page that says what node_exporter does.
#[test]
fn a_real_squid_is_seen_through_its_real_exporter() {
    let ip = address(5);
    let (port, exporter_port) = (free_port(ip), free_port(ip));
    let main = Foreign::start(ip, "/metrics", HOST_PAGE);
    let home = Home::new(&format!(
        "{FAST}[[targets]]\naddress = \"{}\"\nendpoints = [\":{exporter_port}\"]\n",
        main.authority()
    ));
    let mut squid = squid(&home, ip, port);
    let _exporter = squid_exporter(ip, port, exporter_port);
    let collector = home.start();
    let is_squid = |server: &Value, active: bool| server["services"] == json!([{"name": "sq", "active": active}]);
    let server = server_when(&collector, "Squid to be active", |server| is_all_up(server) && is_squid(server, true));
    assert!(
        endpoint(&server, &format!("http://{ip}:{exporter_port}/metrics"))["samples"].as_u64() > Some(20),
        "{server}"
    );
    squid.kill();
    server_when(&collector, "Squid to be gone", |server| server["health"] == "degraded" && is_squid(server, false));
}

fn squid(home: &Home, ip: Ipv4Addr, port: u16) -> Program {
    let config = home.path().join("squid.conf");
    let says = format!(
        "http_port {ip}:{port}\nhttp_access allow all\ncache deny all\npid_filename none\naccess_log none\n\
         cache_log /dev/null\nnetdb_filename none\nshutdown_lifetime 0 seconds\n"
    );
    std::fs::write(&config, says).unwrap();
    let mut command = Command::new("squid");
    // In the foreground, so that its end is the end of our own child.
    command.arg("-N").arg("-f").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let program = Program::start("squid", "apt-get install squid", &mut command);
    eventually("Squid to listen", || std::net::TcpStream::connect((ip, port)).ok());
    program
}

fn squid_exporter(ip: Ipv4Addr, squid: u16, port: u16) -> Program {
    let mut command = Command::new("prometheus-squid-exporter");
    command
        .arg(format!("-listen={ip}:{port}"))
        .arg(format!("-squid-hostname={ip}"))
        .arg(format!("-squid-port={squid}"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let install = "apt-get install prometheus-squid-exporter";
    let program = Program::start("prometheus-squid-exporter", install, &mut command);
    eventually("the exporter to listen", || std::net::TcpStream::connect((ip, port)).ok());
    program
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let home = Home::new("");
    let many: Vec<String> = (1..=8).map(|port| format!("\":{port}\"")).collect();
    for (endpoints, told) in [
        ("\":9586\", \"192.0.2.10:9586\"".to_owned(), "`endpoints`: `192.0.2.10:9586` is named twice"),
        (many.join(", "), "at most 8"),
        ("\"192.0.2.11:9586\"".to_owned(), "on another host"),
        ("\"9586\"".to_owned(), "`endpoints`: `9586`: needs a port"),
    ] {
        home.configure(&format!("[[targets]]\naddress = \"192.0.2.10:9100\"\nendpoints = [{endpoints}]\n"));
        let output = home.command("check-config").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(told), "{endpoints}: {said}");
    }
}
