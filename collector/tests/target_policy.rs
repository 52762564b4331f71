//! Where targets may be: refused at once when an address is named, and by the address connected to when it is a name.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::json;
use support::collector::{Collector, Home};
use support::host::{Host, ip};
use support::http;
use support::page_server::PageServer;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 103, last)
}

/// The standard error of a command that refuses its configuration.
fn refusal(home: &Home, subcommand: &str) -> String {
    let output = home.command(subcommand).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

#[test]
fn an_address_that_is_named_is_refused_with_its_place() {
    let home = Home::new("");
    for (target, networks, why) in [
        ("127.0.0.1:9776", None, "a loopback address is scraped only if `inside_networks` in [scrape] holds it"),
        ("[::1]:9776", None, "a loopback address"),
        ("[::ffff:127.0.0.1]:9776", None, "a loopback address"),
        ("10.0.0.1:9776", Some("10.1.0.0/16"), "a private address is scraped only if"),
        ("192.168.0.1:9776", Some(""), "a private address"),
        ("[fd00::1]:9776", Some("10.0.0.0/8"), "a unique local address"),
        ("198.18.0.1:9776", None, "an address outside of the Internet"),
        ("169.254.169.254:80", Some("0.0.0.0/0"), "no exporter can be there"),
        ("[fe80::1]:9776", Some("::/0"), "no exporter can be there"),
    ] {
        let scrape = networks.map(|network: &str| {
            let network = if network.is_empty() { String::new() } else { format!("{network:?}") };
            format!("[scrape]\ninside_networks = [{network}]\n")
        });
        let scrape = scrape.unwrap_or_default();
        home.configure_exactly(&format!("[[targets]]\naddress = \"{target}\"\n{scrape}"));
        for subcommand in ["check-config", "serve"] {
            let said = refusal(&home, subcommand);
            let place = format!("collector.toml:2: key `targets.address`: `{target}`: {why}");
            assert!(said.contains(&place), "{said}");
        }
        home.configure_exactly(&format!("[[file_sd]]\nfiles = [\"targets.json\"]\n{scrape}"));
        std::fs::write(home.path().join("targets.json"), json!([{"targets": [target]}]).to_string()).unwrap();
        let said = refusal(&home, "check-config");
        assert!(said.contains(&format!("targets.json: group 1, target `{target}`: {why}")), "{said}");
    }
    home.configure_exactly("[scrape]\ninside_networks = [\"10.0.0.0/40\"]\n");
    assert!(refusal(&home, "check-config").contains(":2: key `inside_networks`: `10.0.0.0/40` is not an address"));
    for open in ["192.0.2.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]", "localhost"] {
        home.configure_exactly(&format!("[[targets]]\naddress = \"{open}:9776\"\n"));
        assert!(home.command("check-config").status().unwrap().success(), "{open}");
    }
}

#[test]
fn an_edit_that_names_one_is_refused_and_changes_nothing() {
    let home = Home::new("");
    home.configure_exactly("[web]\nenrolment = \"open\"\n");
    let mut home = home;
    home.set("AGENT_API_KEY", "the-agent-key");
    let collector = home.start();
    let why = "a loopback address is scraped only if `inside_networks` in [scrape] holds it";
    let loopback = json!({"target": {"address": "127.0.103.1:9776"}});
    let refused = collector.post("/api/v1/servers", &loopback);
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (422, Some(&*format!("target.address: {why}"))));
    let added = collector.post("/api/v1/servers", &json!({"target": {"address": "192.0.2.1:9776"}}));
    assert_eq!(added.status, 201, "{added:?}");
    let path = format!("/api/v1/servers/{}", added.json()["id"].as_str().unwrap());
    assert_eq!(collector.patch(&path, &loopback).status, 422);
    assert_eq!(collector.get(&path).json()["target"]["address"], "http://192.0.2.1:9776/metrics");

    // Who announces itself from this machine is at loopback.
    let announced = http::post_json(
        &format!("{}/api/v1/enrol", collector.url),
        &json!({"port": 9776}),
        &[("x-api-key", "the-agent-key")],
    );
    let announced = announced.unwrap();
    assert_eq!(announced.status, 422, "{announced:?}");
    assert!(announced.body.contains("The exporter is at 127.0.0.1: a loopback address"), "{announced:?}");
}

#[test]
fn the_collectors_own_pages_are_no_target() {
    let home = Home::new("[scrape]\ninterval_seconds = 1\ninside_networks = [\"127.0.0.0/8\"]\n");
    let collector = home.start();
    let port = collector.url.rsplit_once(':').unwrap().1.to_owned();
    let add = |address: &str| collector.post("/api/v1/servers", &json!({"target": {"address": address}}));
    let refused = add(&format!("127.0.0.1:{port}/probe"));
    assert!(refused.status == 422 && refused.body.contains("this collector itself listens there"), "{refused:?}");
    // By a name it is found out when it is connected to.
    assert_eq!(add(&format!("localhost:{port}")).status, 201);
    assert_eq!(is_denied(&collector, "localhost"), "dns");
    // Another address of this machine is somebody else's, as long as we do not listen there too.
    assert_eq!(add(&format!("127.0.103.7:{port}")).status, 201);
    collector.server_when("a refused connection", "127.0.103.7", |server| server["failure"] == "conn_refused");
    collector.stop();

    let mut command = home.command("check-config");
    home.configure("[[targets]]\naddress = \"127.0.103.9:8123\"\n");
    let output = command.env("MECT_LISTEN", "0.0.0.0:8123").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("`127.0.103.9:8123`: this collector itself listens there"), "{said}");
    let elsewhere = home.command("check-config").env("MECT_LISTEN", "127.0.0.1:8123").output().unwrap();
    assert!(elsewhere.status.success(), "{elsewhere:?}");
}

/// Why the server of that name fails; nobody may have been asked.
fn is_denied(collector: &Collector, name: &str) -> String {
    let server = collector.server_when("the failure", name, |server| server["failure"].is_string());
    server["failure"].as_str().unwrap().to_owned()
}

/// Names from a hosts file of the collector's own: only what may be scraped is connected to.
#[test]
fn a_name_leads_only_where_targets_may_be() {
    let (trap, good) = (PageServer::start(address(21)), PageServer::start(address(22)));
    let home = Home::new("");
    let names = [
        ("inside.example", trap.ip(), trap.port()),
        ("mapped.example", format!("::ffff:{}", trap.ip()), trap.port()),
        ("metadata.example", "169.254.169.254".to_owned(), 80),
        ("link.example", "fe80::1".to_owned(), 80),
        ("private.example", "10.255.255.1".to_owned(), 9776),
    ];
    let hosts: String = names.iter().map(|(name, ip, _)| format!("{ip} {name}\n")).collect();
    std::fs::write(home.path().join("hosts"), format!("{hosts}{} good.example\n", good.ip())).unwrap();
    let mut config = format!("[scrape]\ninterval_seconds = 1\ninside_networks = [\"{}\"]\n", good.ip());
    let targets = names.iter().map(|(name, _, port)| (*name, *port)).chain([("good.example", good.port())]);
    for (name, port) in targets {
        config.push_str(&format!("[[targets]]\naddress = \"{name}:{port}\"\n"));
    }
    home.configure_exactly(&config);
    let collector = home.start_by(with_hosts(&home));
    collector.server_when("the good one", "good.example", |server| server["health"] == "active");
    for (name, ip, _) in &names {
        assert_eq!(is_denied(&collector, name), "dns", "{name}");
        let id = collector.server_when("it", name, |_| true)["server_id"].as_str().unwrap().to_owned();
        let page = collector.get(&format!("/servers/{id}")).body;
        assert!(page.contains("leads to "), "{name} to {ip}: {page}");
    }
    assert_eq!((trap.connections(), good.connections() > 0), (0, true));
}

/// `serve` with `hosts` of the home in place of the machine's.
fn with_hosts(home: &Home) -> Command {
    let serve = home.command("serve");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(home.path().join("hosts"));
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// What `make run` starts: the exporter of this very host.
#[test]
fn the_configuration_of_make_run_scrapes_this_host() {
    let target = PageServer::start(address(31));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/run.toml")).unwrap();
    assert!(text.contains("\"127.0.0.1:9776\""), "{text}");
    let home = Home::new("");
    home.configure_exactly(&text.replace("127.0.0.1:9776", &target.authority()));
    let collector = home.start();
    collector.server_when("this host", &target.ip(), |server| server["health"] == "active");
}

#[test]
fn the_shipped_configurations_allow_their_own_targets() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");
    for (file, listed) in [("demo.toml", "../data/demo/targets.json"), ("docker/demo.toml", "targets/targets.json")] {
        let home = Home::new("");
        let text = std::fs::read_to_string(format!("{root}/{file}")).unwrap();
        assert!(text.contains(listed), "{text}");
        let targets = home.path().join("targets.json");
        home.configure_exactly(&text.replace(listed, "targets.json"));
        let groups = json!([{"targets": ["127.64.1.1:9900"]}]).to_string();
        std::fs::write(targets, groups).unwrap();
        let output = home.command("check-config").output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Every address of the machine is its own, also a second one in the same network.
#[test]
fn the_own_host_is_a_target_only_where_its_address_is_named() {
    let cable = Host::new(Ipv4Addr::new(10, 231, 241, 1), Ipv4Addr::new(10, 231, 241, 2));
    for own in ["10.231.242.5/24", "10.231.242.6/24"] {
        ip(&["addr", "add", own, "dev", &cable.cable]);
    }
    let home = Home::new("");
    let check = |target: &str, networks: &str| {
        let scrape = format!("[scrape]\ninside_networks = [{networks}]\n");
        home.configure_exactly(&format!("[[targets]]\naddress = \"{target}:22\"\n{scrape}"));
        home.command("check-config").env("MECT_LISTEN", "127.0.0.1:8123").output().unwrap()
    };
    for own in ["10.231.241.1", "10.231.242.5", "10.231.242.6"] {
        let refused = check(own, "\"10.0.0.0/8\"");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("the collector's own host is scraped only if `inside_networks`"), "{own}: {said}");
        assert!(check(own, &format!("\"10.0.0.0/8\", \"{own}/32\"")).status.success(), "{own}");
    }
    for other in ["10.231.241.2", "10.231.242.7"] {
        assert!(check(other, "\"10.0.0.0/8\"").status.success(), "{other}");
    }
}
