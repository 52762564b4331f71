//! A collector, and who it sends to.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::support::collector::{Collector, Home};
use crate::support::promql::Promql;
use crate::support::{eventually, free_port};

/// Where receivers listen.
const RECEIVERS: Ipv4Addr = Ipv4Addr::new(127, 0, 104, 1);

/// A free address for a receiver, which keeps it over a restart.
pub(crate) fn address() -> String {
    format!("{RECEIVERS}:{}", free_port(RECEIVERS))
}

/// A `[[remote_write]]` that sends to `address`, with further keys.
pub(crate) fn remote_write(name: &str, address: &str, more: &str) -> String {
    format!("[[remote_write]]\nname = \"{name}\"\nurl = \"http://{address}/api/v1/write\"\n{more}\n")
}

/// A home of simulated servers that are scraped every two seconds.
pub(crate) fn home(receivers: &str) -> Home {
    home_every(2, receivers)
}

/// The same, scraped that often.
pub(crate) fn home_every(seconds: u32, receivers: &str) -> Home {
    Home::new(&format!(
        "[web]\nopen_metrics = true\n[scrape]\ninterval_seconds = {seconds}\n[[file_sd]]\nfiles = [\"targets.json\"]\n{receivers}"
    ))
}

/// One of the collector's metrics of a receiver.
pub(crate) fn metric(collector: &Collector, name: &str, receiver: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let line = format!("mect_remote_write_{name}{{receiver=\"{receiver}\"}} ");
    let value = page.lines().find_map(|found| found.strip_prefix(&line));
    value.unwrap_or_else(|| panic!("no {line:?} in {page}")).parse().unwrap()
}

/// Waits until nothing waits to be sent.
pub(crate) fn until_sent(collector: &Collector, receiver: &str) {
    eventually(&format!("an empty queue for {receiver}"), || {
        (metric(collector, "queue_samples", receiver) == 0.0).then_some(())
    });
}

/// Series with their values.
pub(crate) type Series = BTreeMap<String, f64>;

/// The series on a page of `/federate`.
pub(crate) fn federated(collector: &Collector) -> Series {
    let page = collector.get("/federate?match[]=%7Bjob=%22vpn%22%7D").body;
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (series, rest) = line.rsplit_once("} ").unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        // No value on these pages has a comma.
        let mut labels: Vec<_> = labels.split(',').filter(|label| !label.ends_with("=\"\"")).collect();
        labels.sort_unstable();
        (format!("{name}{{{}}}", labels.join(",")), rest.split(' ').next().unwrap().parse().unwrap())
    });
    series.collect()
}

/// The series that a database finds now, without the label `receiver`.
pub(crate) fn stored(database: &Promql, selector: &str) -> Series {
    let found = database.ask(selector).unwrap_or_default();
    let series = found.iter().map(|series| {
        let labels = series["metric"].as_object().unwrap();
        let name = labels["__name__"].as_str().unwrap();
        let labels = labels.iter().filter(|(label, _)| *label != "__name__" && *label != "receiver");
        let labels: Vec<_> = labels.map(|(label, value)| format!("{label}={value}")).collect();
        let value = series["value"][1].as_str().unwrap().parse().unwrap();
        (format!("{name}{{{}}}", labels.join(",")), value)
    });
    series.collect()
}

/// The identity of a server of the fleet.
pub(crate) fn server_ids(collector: &Collector) -> Vec<String> {
    let servers = collector.get("/api/v1/servers?limit=500").json();
    let servers = servers["items"].as_array().unwrap_or_else(|| panic!("{servers}"));
    servers.iter().map(|server| server["id"].as_str().unwrap().to_owned()).collect()
}

/// Scrapes of a server that the collector has recorded, of the ten minutes before `to`, a whole second since 1970.
pub(crate) fn recorded(collector: &Collector, server: &str, to: i64) -> usize {
    let at = |seconds: i64| mect_fleet::Timestamp::from_secs(seconds).to_string();
    let query = format!("from={}&to={}&step=1s", at(to - 600), at(to));
    let history = collector.get(&format!("/api/v1/servers/{server}/history?{query}")).json();
    let steps = history["steps"].as_array().unwrap_or_else(|| panic!("{history}"));
    steps.iter().map(|step| step["checks"].as_u64().unwrap() as usize).sum()
}

/// Asserts that samples are in order and each there once; gives their times.
#[track_caller]
pub(crate) fn times(samples: &[(i64, f64)]) -> Vec<i64> {
    let times: Vec<_> = samples.iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    times
}
