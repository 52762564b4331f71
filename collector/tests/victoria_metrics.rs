//! A real VictoriaMetrics takes from us what a Prometheus takes: the federation, the collector's own page, and the exporters
//! that we tell it of.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use support::collector::Home;
use support::federation::{scrape_config, series, shipped_selectors};
use support::victoria::VictoriaMetrics;
use support::{eventually, exporter, free_port};

const EXPORTER: Ipv4Addr = Ipv4Addr::new(127, 0, 107, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 107, 2);

#[test]
fn victoria_metrics_federates_discovers_and_scrapes() {
    let ports = [EXPORTER, OTHER].map(|ip| (ip, free_port(ip)));
    let exporters = ports.map(|(ip, port)| exporter(ip, port, |_| {}));
    let targets = ports.map(|(ip, port)| format!("[[targets]]\naddress = \"{ip}:{port}\"\n")).concat();
    let home = Home::new(&format!("[web]\nopen_metrics = true\n[scrape]\ninterval_seconds = 2\n{targets}"));
    let collector = home.start();
    let own = format!(
        "  - {{job_name: collector, static_configs: [{{targets: ['{}']}}]}}\n",
        collector.url.trim_start_matches("http://")
    );
    let address = format!("127.0.0.1:{}", free_port(Ipv4Addr::LOCALHOST));
    let victoria = VictoriaMetrics::start(home.path(), &address, Some(&(scrape_config(&collector) + &own)));
    let is = |query: &str, expected: f64| {
        eventually(&format!("{query} to be {expected}"), || (victoria.promql.number(query)? == expected).then_some(()));
    };
    let (count, selectors) = (exporters.len() as f64, shipped_selectors());
    for (job, targets) in [("vpn", count), ("exporters", count), ("mect-federate", 1.0), ("collector", 1.0)] {
        is(&format!("count(up{{job=\"{job}\"}} == 1)"), targets);
        is(&format!("count(up{{job=\"{job}\"}})"), targets);
    }
    is("count(vpn_server_info)", count);
    is("vpn_fleet_servers{state=\"active\"}", count);
    is("mect_servers{health=\"active\"}", count);
    let memory = "node_memory_MemTotal_bytes";
    is(&format!("count({memory}{{job=\"vpn\"}} == on(server_id) {memory}{{job=\"exporters\"}})"), count);
    eventually("as many series there as here", || {
        let there = victoria.promql.number("count({job=\"vpn\"})")?;
        (there == series(&collector, &selectors).len() as f64).then_some(())
    });
    assert_eq!(victoria.complaints(), [""; 0]);
}
