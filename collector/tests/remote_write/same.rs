//! What stands in a real database is what `/federate` shows.

use std::net::SocketAddrV4;

use crate::scene::{self, address, federated, home, home_every, metric, remote_write, stored};
use crate::support::collector::Home;
use crate::support::page_server::PageServer;
use crate::support::prometheus::Prometheus;
use crate::support::promql::Promql;
use crate::support::victoria::VictoriaMetrics;
use crate::support::{eventually, simulate};

const SERVERS: usize = 3;

/// Sums are told once an interval, and change with every scrape: their values are of another moment.
fn is_sum(series: &str) -> bool {
    series.starts_with("vpn_fleet_") || series.starts_with("vpn_country_")
}

/// VictoriaMetrics keeps numbers as decimals, and of long ones not the last digit.
fn is_near(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= 1e-12 * one.abs() || (one.is_nan() && other.is_nan())
}

#[test]
fn prometheus_and_victoria_metrics_hold_what_federate_shows() {
    let (one, other) = (address(), address());
    let label = |name: &str| format!("send = \"all\"\nexternal_labels = {{ receiver = \"{name}\", job = \"x\" }}");
    let receivers = remote_write("one", &one, &label("one")) + &remote_write("other", &other, &label("other"));
    let receivers = receivers + "[[file_sd]]\nfiles = [\"further.json\"]\n";
    // Between two scrapes there is time for both to tell what they have.
    let home = home_every(8, &receivers);
    let (prometheus, victoria) =
        (Prometheus::receiver(home.path(), &one), VictoriaMetrics::start(home.path(), &other, None));
    let _simulation = simulate(SERVERS, &home.path().join("targets.json"));
    let further = further_endpoints(&home);
    let collector = home.start();
    let is_same = |database: &Promql, name: &str| {
        let before = federated(&collector);
        let found = stored(database, &format!("{{job=\"vpn\",receiver=\"{name}\"}}"));
        if before.len() < SERVERS * 100 || before.keys().ne(found.keys()) {
            return None;
        }
        let differs = |(series, value): &(&String, &f64)| !is_sum(series) && !is_near(found[*series], **value);
        let differing: Vec<_> =
            before.iter().filter(differs).map(|(series, value)| (value, found[series], series)).collect();
        // Scraped between the two questions, or not sent yet.
        if let Some((ours, theirs, series)) = differing.first() {
            println!("{} differ at {name}: {ours} here and {theirs} there of {series}", differing.len());
            return None;
        }
        Some(found)
    };
    for (database, name) in [(&prometheus.promql, "one"), (&victoria.promql, "other")] {
        let found = eventually(&format!("the same series at {name}"), || is_same(database, name));
        assert!(found.keys().any(|series| series.starts_with("node_cpu_seconds_total{")));
        assert!(found.keys().any(|series| series.starts_with("vpn_server_uptime_ratio{")));
        for path in ["", "/other"] {
            let instance = format!("instance=\"{}{path}\"", further.authority());
            for name in ["up", "node_load1"] {
                let is_so = |series: &String| series.starts_with(&format!("{name}{{")) && series.contains(&instance);
                assert!(found.keys().any(is_so), "{name} of {instance}");
            }
        }
        let active = |database: &Promql| database.number("vpn_fleet_servers{state=\"active\"}");
        eventually("the servers in sum", || (active(database)? == SERVERS as f64).then_some(()));
        for lost in ["rejected_samples_total", "dropped_samples_total", "failures_total"] {
            assert_eq!(metric(&collector, lost, name), 0.0, "{lost} of {name}");
        }
    }
    assert!(prometheus.faults().is_empty(), "{:?}", prometheus.faults());
    assert_eq!(victoria.complaints(), [""; 0]);
}

/// Two further endpoints of the first server at one port, which `further.json` names.
fn further_endpoints(home: &Home) -> PageServer {
    let groups = std::fs::read(home.path().join("targets.json")).unwrap();
    let groups: serde_json::Value = serde_json::from_slice(&groups).unwrap();
    let first: SocketAddrV4 = groups[0]["targets"][0].as_str().unwrap().parse().unwrap();
    let server = PageServer::start(*first.ip());
    let at = [server.authority()];
    let groups = serde_json::json!([{"targets": at}, {"targets": at, "labels": {"__metrics_path__": "/other"}}]);
    std::fs::write(home.path().join("further.json"), groups.to_string()).unwrap();
    server
}

#[test]
fn derived_series_alone_are_sent_unless_the_operator_wants_all() {
    let at = address();
    let home = home(&remote_write("one", &at, ""));
    let prometheus = Prometheus::receiver(home.path(), &at);
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let collector = home.start();
    eventually("a load", || prometheus.number("vpn_server_load_ratio"));
    eventually("the sums", || prometheus.number("vpn_fleet_load_ratio"));
    scene::until_sent(&collector, "one");
    assert!(prometheus.promql.finds_nothing("{__name__=~\"node_.+\"}"));
}

#[test]
fn a_prometheus_that_does_not_know_version_two_is_told_of() {
    let at = address();
    let home = home(&remote_write("one", &at, "protocol = \"2.0\""));
    let prometheus = Prometheus::receiver(home.path(), &at);
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let collector = home.start();
    eventually("rejected samples", || (metric(&collector, "rejected_samples_total", "one") > 0.0).then_some(()));
    assert!(prometheus.promql.finds_nothing("up"));
    assert_eq!(home.log().matches("choose `protocol = \\\"1.0\\\"`").count(), 1, "{}", home.log());
}
