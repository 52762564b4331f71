//! A real Prometheus scrapes our exporter and our collector, and promtool finds nothing on their pages.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use serde_json::json;
use support::collector::{Collector, Home};
use support::prometheus::Prometheus;
use support::{eventually, exporter, free_port, http, promtool_check, simulate};

const EXPORTER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 31);

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
    let prometheus = Prometheus::start(
        home.path(),
        &format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs:\n\
             - {{job_name: exporter, static_configs: [{{targets: ['{EXPORTER}:{port}']}}]}}\n\
             - {{job_name: collector, static_configs: [{{targets: ['{collector_address}']}}]}}\n"
        ),
    );
    for job in ["exporter", "collector"] {
        eventually(&format!("up of the {job}"), || {
            (prometheus.number(&format!("up{{job=\"{job}\"}}"))? == 1.0).then_some(())
        });
    }
    for query in ["node_cpu_seconds_total", "vpn_exporter_build_info", "mect_scrapes_total{result=\"success\"}"] {
        assert!(!eventually(query, || prometheus.ask(query)).is_empty());
    }
    let servers = eventually("the servers by health", || prometheus.number("mect_servers{health=\"active\"}"));
    assert_eq!(servers, 1.0);
}

#[test]
fn promtool_finds_nothing_on_the_exporters_page() {
    let port = free_port(EXPORTER);
    let _exporter = exporter(EXPORTER, port, |_| {});
    let page = http::get(&format!("http://{EXPORTER}:{port}/metrics"), &[]).unwrap();
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let found = promtool_check(&page.body);
    let ours: Vec<_> = found.lines().filter(|line| !is_theirs(line)).collect();
    assert!(ours.is_empty(), "{ours:?}");
    // The check can find something.
    assert_ne!(promtool_check("# TYPE up gauge\nup_total{ 1\n"), "");
}

/// Some of node_exporter's own names are in camel case; every dashboard knows them.
fn is_theirs(line: &str) -> bool {
    ["node_memory_", "node_netstat_"].iter().any(|prefix| line.starts_with(prefix))
}

/// A token for a program that may read metrics and nothing else.
fn federate_token(collector: &Collector) -> String {
    let new = json!({"name": "prometheus", "scopes": ["federate"], "expires_in_days": 1});
    let made = collector.post("/api/v1/tokens", &new);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

/// The lines of series in an answer of `/federate`.
fn series(collector: &Collector, selector: &str) -> Vec<String> {
    let answer = collector
        .get(&format!("/federate?match[]={}", selector.replace('"', "%22").replace('{', "%7B").replace('}', "%7D")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

const SIMULATED: usize = 5;
/// Scrapes of `/federate` after which nothing that two of them could disagree on went unseen.
const FEDERATED: f64 = 30.0;

#[test]
fn prometheus_federates_and_discovers() {
    let home = Home::new("[scrape]\ninterval_seconds = 2\n[[file_sd]]\nfiles = [\"targets.json\"]\n");
    let _simulation = simulate(SIMULATED, &home.path().join("targets.json"));
    let collector = home.start();
    let (token, address) = (federate_token(&collector), collector.url.trim_start_matches("http://"));
    let prometheus = Prometheus::start(
        home.path(),
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - job_name: mect\n  honor_labels: true\n  metrics_path: /federate\n  \
             params: {{'match[]': ['{{job=\"vpn\"}}']}}\n  \
             authorization: {{credentials: '{token}'}}\n  static_configs: [{{targets: ['{address}']}}]\n\
             - job_name: exporters\n  http_sd_configs:\n  - url: {url}/api/v1/sd/prometheus\n    \
             refresh_interval: 1s\n    authorization: {{type: Bearer, credentials: '{token}'}}\n  relabel_configs:\n  \
             - {{source_labels: [__meta_vpn_server_id], target_label: server_id}}\n",
            url = collector.url,
        ),
    );
    let count = SIMULATED as f64;
    let is = |query: &str, expected: f64| {
        eventually(&format!("{query} to be {expected}"), || (prometheus.number(query)? == expected).then_some(()));
    };
    // What we give, and what it scrapes itself from the targets that we told it of.
    is("count(up{job=\"vpn\"} == 1)", count);
    is("count(up{job=\"exporters\"} == 1)", count);
    is("count(up{job=\"exporters\"})", count);
    is("count(vpn_server_info)", count);
    is("vpn_fleet_servers{state=\"active\"}", count);
    let memory = "node_memory_MemTotal_bytes";
    is(&format!("count({memory}{{job=\"vpn\"}} == on(server_id) {memory}{{job=\"exporters\"}})"), count);
    eventually("as many series there as here", || {
        (prometheus.number("count({job=\"vpn\"})")? == series(&collector, "{job=\"vpn\"}").len() as f64).then_some(())
    });

    eventually("enough scrapes", || {
        (prometheus.number("sum_over_time(up{job=\"mect\"}[10m])")? >= FEDERATED).then_some(())
    });
    let (log, metrics) = (prometheus.log(), eventually("its own metrics", || prometheus.metrics()));
    let fault = log.lines().find(|line| {
        let line = line.to_lowercase();
        ["out-of-order", "out of order", "duplicate", "same timestamp", "too old"]
            .iter()
            .any(|word| line.contains(word))
    });
    assert_eq!(fault, None);
    for cause in ["out_of_order", "duplicate_timestamp", "out_of_bounds"] {
        let line = format!("prometheus_target_scrapes_sample_{cause}_total 0");
        assert!(metrics.lines().any(|found| found == line), "{cause}: {log}");
    }

    let page = collector.get("/federate?match[]=%7Bjob=%22vpn%22%7D").body;
    // Prometheus' own federation has no HELP either.
    let found = promtool_check(&page);
    let ours: Vec<_> = found.lines().filter(|line| !is_theirs(line) && !line.ends_with("no help text")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn a_server_that_goes_takes_its_series_along() {
    let ip = Ipv4Addr::new(127, 0, 0, 32);
    let port = free_port(ip);
    let mut host = exporter(ip, port, |_| {});
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 1\nrecheck_seconds = 0.2\n[[targets]]\naddress = \"{ip}:{port}\"\n"
    ));
    let collector = home.start();
    let own = "{__name__=~\"node_.%2B|vpn_exporter_.%2B\"}";
    let shown = eventually("the host's own series", || {
        let shown = series(&collector, own);
        (shown.len() > 50).then_some(shown)
    });
    let instance = format!("instance=\"{ip}:{port}\",job=\"vpn\"");
    assert!(shown.iter().all(|line| line.contains(&instance)), "{shown:?}");
    let up = |value: &str| {
        eventually(&format!("up to be {value}"), || {
            series(&collector, "up").first()?.contains(&format!("}} {value} ")).then_some(())
        });
    };
    up("1");
    host.kill();
    up("0");
    eventually("its own series to go", || series(&collector, own).is_empty().then_some(()));
    assert_eq!(series(&collector, "vpn_server_info").len(), 1, "what we say of it stays");
}
