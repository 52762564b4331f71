//! The contract with node_exporter: every `node_*` family here has the type and the label names that
//! the real one gives it, and says the same about this host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Program, exchange};

/// A family: its type, and its series with their values.
#[derive(Default)]
struct Family {
    kind: String,
    series: BTreeMap<String, f64>,
}

fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.into()).or_default().kind = kind.into();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            families.entry(name.into()).or_default().series.insert(series.into(), value.parse().unwrap());
        }
    }
    families
}

/// Label names of a series. No value on these pages holds `",`.
fn label_names(series: &str) -> BTreeSet<&str> {
    let Some((_, labels)) = series.split_once('{') else { return BTreeSet::new() };
    labels.trim_end_matches('}').split("\",").map(|pair| pair.split('=').next().unwrap()).collect()
}

struct NodeExporter(Child, String);

impl NodeExporter {
    fn start() -> Self {
        // It has no way to tell which port it took; a port that was free a moment ago is as good as it gets.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new("prometheus-node-exporter")
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|_| panic!("node_exporter is missing: apt-get install prometheus-node-exporter"));
        Self(child, address)
    }

    fn page(&self) -> String {
        let started = Instant::now();
        loop {
            if let Ok(mut stream) = std::net::TcpStream::connect(&self.1) {
                return exchange_http10(&mut stream);
            }
            assert!(started.elapsed() < Duration::from_secs(20), "node_exporter does not listen on {}", self.1);
            std::thread::yield_now();
        }
    }
}

/// Its page is chunked over HTTP/1.1; over 1.0 it simply ends.
fn exchange_http10(stream: &mut std::net::TcpStream) -> String {
    use std::io::{Read, Write};
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn names_types_labels_and_values_are_those_of_node_exporter() {
    let theirs = NodeExporter::start();
    let ours = Program::start(&[], &[]);
    let before = families(&theirs.page());
    let page = exchange(&mut ours.connect(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    let after = families(&theirs.page());

    let mut compared = 0;
    for (name, family) in families(&page) {
        // Without systemd on this host, node_exporter has no unit states either.
        if !name.starts_with("node_") || name.starts_with("node_systemd_") {
            continue;
        }
        let known = before.get(&name).unwrap_or_else(|| panic!("node_exporter has no {name}"));
        assert_eq!(family.kind, known.kind, "{name}");
        let their_labels = label_names(known.series.keys().next().unwrap());
        for (series, value) in &family.series {
            assert_eq!(label_names(series), their_labels, "{series}");
            // The device of last resort on a host without network; node_exporter leaves lo out.
            if series.contains("device=\"lo\"") {
                continue;
            }
            // Both write labels in alphabetical order, so that series compare as text.
            let (Some(low), Some(high)) = (known.series.get(series), after[&name].series.get(series)) else {
                panic!("node_exporter has no {series}");
            };
            let moved = (high - low).abs();
            // What may move on a busy host between two looks of different programs.
            let slack = match name.as_str() {
                "node_boot_time_seconds" | "node_time_seconds" => 2.0,
                "node_cpu_seconds_total" => 2.0,
                _ if name.starts_with("node_pressure_") => 1.0,
                // Connections of the two scrapes, and of other tests.
                _ if name.starts_with("node_sockstat_") || name.starts_with("node_netstat_Tcp") => 50.0,
                "node_nf_conntrack_entries" => 200.0,
                _ if name.starts_with("node_load") => 0.5,
                _ if name.starts_with("node_memory_") || name.starts_with("node_filesystem_") => {
                    low.abs() * 0.05 + 64e6
                }
                _ if name.starts_with("node_network_") => low.abs() * 0.05 + 1e6,
                _ => 0.0,
            };
            assert!(
                (low.min(*high) - moved - slack..=low.max(*high) + moved + slack).contains(value),
                "{series}: {value}, node_exporter {low} … {high}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} series compared");
}
