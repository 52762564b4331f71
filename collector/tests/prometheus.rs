//! A real Prometheus scrapes our exporter and our collector, and promtool finds nothing on their pages.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use support::collector::Home;
use support::federation::{scrape_config, series, shipped_selectors};
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

const SIMULATED: usize = 5;
/// Scrapes of `/federate` after which nothing that two of them could disagree on went unseen.
const FEDERATED: f64 = 30.0;

#[test]
fn prometheus_federates_and_discovers() {
    let home = Home::new("[scrape]\ninterval_seconds = 2\n[[file_sd]]\nfiles = [\"targets.json\"]\n");
    let _simulation = simulate(SIMULATED, &home.path().join("targets.json"));
    let collector = home.start();
    let prometheus = Prometheus::start(home.path(), &scrape_config(&collector));
    let (count, selectors) = (SIMULATED as f64, shipped_selectors());
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
        (prometheus.number("count({job=\"vpn\"})")? == series(&collector, &selectors).len() as f64).then_some(())
    });

    eventually("enough scrapes", || {
        (prometheus.number("sum_over_time(up{job=\"mect-federate\"}[10m])")? >= FEDERATED).then_some(())
    });
    assert_eq!(prometheus.faults(), [""; 0]);
    let metrics = eventually("its own metrics", || prometheus.metrics());
    for cause in ["out_of_order", "duplicate_timestamp", "out_of_bounds"] {
        let line = format!("prometheus_target_scrapes_sample_{cause}_total 0");
        assert!(metrics.lines().any(|found| found == line), "{cause}: {}", prometheus.log());
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

#[test]
fn a_server_that_goes_down_ends_in_a_prometheus_that_federates_it() {
    let ip = Ipv4Addr::new(127, 0, 0, 33);
    let (neighbour, port) = (Ipv4Addr::new(127, 0, 106, 33), free_port(ip));
    let neighbour_port = free_port(neighbour);
    // Or the guard would take the failure for our own.
    let _neighbour = exporter(neighbour, neighbour_port, |_| {});
    let mut host = exporter(ip, port, |_| {});
    let home = Home::new(&format!(
        "[scrape]\ninterval_seconds = 1\nrecheck_seconds = 0.5\n\
         [[targets]]\naddress = \"{ip}:{port}\"\n[[targets]]\naddress = \"{neighbour}:{neighbour_port}\"\n"
    ));
    let collector = home.start();
    // In place of the `track_timestamps_staleness` that this Prometheus is too old for: without either, a series with times
    // of its own ends only after five minutes.
    let config =
        scrape_config(&collector).replace("honor_labels: true", "honor_labels: true\n    honor_timestamps: false");
    let prometheus = Prometheus::start(home.path(), &config);
    let of = |labels: &str| format!("{{job=\"vpn\",instance=\"{ip}:{port}\",{labels}}}");
    let is = |query: &str, expected: f64| {
        eventually(&format!("{query} to be {expected}"), || (prometheus.number(query)? == expected).then_some(()));
    };
    let state = |state: &str| of(&format!("__name__=\"vpn_server_state\",state=\"{state}\""));
    let own = of("__name__=~\"node_.+|vpn_exporter_.+\"");
    is(&of("__name__=\"up\""), 1.0);
    is(&state("active"), 1.0);
    eventually("its own series", || (prometheus.ask(&own)?.len() > 20).then_some(()));

    host.kill();
    is(&of("__name__=\"up\""), 0.0);
    is(&state("down"), 1.0);
    is(&state("active"), 0.0);
    // Of the last seconds there are samples, which would be shown for five minutes more.
    eventually("its own series to end", || prometheus.promql.finds_nothing(&own).then_some(()));
    eventually("its load to end", || {
        prometheus.promql.finds_nothing(&of("__name__=\"vpn_server_load_ratio\"")).then_some(())
    });
    is("count(up{job=\"vpn\"})", 2.0);
    is("count(vpn_server_info)", 2.0);
    assert_eq!(prometheus.faults(), [""; 0]);
}
