//! A real Prometheus scrapes our exporter and our collector, and promtool finds nothing on their pages.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use support::collector::Home;
use support::{Program, eventually, exporter, free_port, http, promtool_check};

const EXPORTER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 31);

/// Prometheus with its data and `config` in `directory`; its address.
fn prometheus(directory: &std::path::Path, config: &str) -> (Program, String) {
    let path = directory.join("prometheus.yml");
    std::fs::write(&path, config).unwrap();
    let address = format!("127.0.0.1:{}", free_port(Ipv4Addr::LOCALHOST));
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (Program::start("prometheus", "apt-get install prometheus", &mut command), format!("http://{address}"))
}

#[test]
fn prometheus_scrapes_exporter_and_collector() {
    let port = free_port(EXPORTER);
    let _exporter = exporter(EXPORTER, port, |_| {});
    let home = Home::new(&format!(
        "[web]\nopen_metrics = true\n[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n\
         [[targets]]\naddress = \"{EXPORTER}:{port}\"\n"
    ));
    let collector = home.start();
    collector.server_when("an active server", &EXPORTER.to_string(), |server| server["status"] == "active");
    let collector_address = collector.url.trim_start_matches("http://");
    let (_prometheus, url) = prometheus(
        home.path(),
        &format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs:\n\
             - {{job_name: exporter, static_configs: [{{targets: ['{EXPORTER}:{port}']}}]}}\n\
             - {{job_name: collector, static_configs: [{{targets: ['{collector_address}']}}]}}\n"
        ),
    );
    let ask = |query: &str| {
        let answer = http::post_form(&format!("{url}/api/v1/query"), &[("query", query)], &[])?;
        // Until it has read its own log it answers 503.
        if answer.status != 200 {
            return None;
        }
        let result = answer.json()["data"]["result"].as_array()?.clone();
        (!result.is_empty()).then_some(result)
    };
    for job in ["exporter", "collector"] {
        eventually(&format!("up of the {job}"), || {
            let result = ask(&format!("up{{job=\"{job}\"}}"))?;
            (result[0]["value"][1] == "1").then_some(())
        });
    }
    for query in ["node_cpu_seconds_total", "vpn_exporter_build_info", "mect_scrapes_total{result=\"success\"}"] {
        assert!(!eventually(query, || ask(query)).is_empty());
    }
    let servers = eventually("the servers by health", || ask("mect_servers{health=\"active\"}"));
    assert_eq!(servers[0]["value"][1], "1");
}

#[test]
fn promtool_finds_nothing_on_the_exporters_page() {
    let port = free_port(EXPORTER);
    let _exporter = exporter(EXPORTER, port, |_| {});
    let page = http::get(&format!("http://{EXPORTER}:{port}/metrics"), &[]).unwrap();
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let found = promtool_check(&page.body);
    // Some of node_exporter's own names are in camel case; every dashboard knows them.
    let theirs = |line: &&str| ["node_memory_", "node_netstat_"].iter().any(|prefix| line.starts_with(prefix));
    let ours: Vec<_> = found.lines().filter(|line| !theirs(line)).collect();
    assert!(ours.is_empty(), "{ours:?}");
    // The check can find something.
    assert_ne!(promtool_check("# TYPE up gauge\nup_total{ 1\n"), "");
}
