//! What a Prometheus, or who reads the same configuration, needs to take everything from a collector.

use std::path::Path;

use serde_json::{Value, json};

use super::collector::Collector;

/// A token for a program that may read metrics and nothing else.
pub fn token(collector: &Collector) -> String {
    let new = json!({"name": "prometheus", "scopes": ["federate"], "expires_in_days": 1});
    let made = collector.post("/api/v1/tokens", &new);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

/// The lines of series in an answer of `/federate`.
pub fn series(collector: &Collector, selector: &str) -> Vec<String> {
    let answer = collector
        .get(&format!("/federate?match[]={}", selector.replace('"', "%22").replace('{', "%7B").replace('}', "%7D")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The configuration of Prometheus that we ship, as these tests can use it: Debian's Prometheus is 2.42, and does not know the
/// one key that came with 2.48. It would refuse the whole file.
pub fn shipped() -> String {
    const NEWER: &str = "    track_timestamps_staleness: true\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prometheus/prometheus.yml");
    let config = std::fs::read_to_string(path).unwrap();
    assert_eq!(config.matches(NEWER).count(), 1, "once, in the job `mect-federate`");
    config.replace(NEWER, "")
}

/// What the job `mect-federate` that we ship asks `/federate` for, as [`series`] takes it.
pub fn shipped_selectors() -> String {
    let config: Value = serde_saphyr::from_str(&shipped()).unwrap();
    let jobs = config["scrape_configs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["job_name"] == "mect-federate").unwrap();
    let selectors: Vec<_> =
        job["params"]["match[]"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    selectors.join("&match[]=")
}

/// A configuration with the job `mect-federate` that we ship, but for address, token and rhythm; and one that scrapes the
/// exporters that the collector tells of as the job `exporters`, every second.
pub fn scrape_config(collector: &Collector) -> String {
    let (token, address) = (token(collector), collector.url.trim_start_matches("http://"));
    let shipped = shipped();
    let job = &shipped[shipped.find("  - job_name: mect-federate").unwrap()..];
    let job = &job[..job.find("\n\n").unwrap()];
    let ours = [
        ("collector:8000", address),
        ("scrape_interval: 1m", "scrape_interval: 1s"),
        ("scrape_timeout: 30s", "scrape_timeout: 1s"),
        ("credentials_file: mect.token", &format!("credentials: '{token}'")),
    ];
    let job = ours.iter().fold(job.to_owned(), |job, (from, to)| {
        assert!(job.contains(from), "{from}");
        job.replace(from, to)
    });
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n{job}\n  \
         - job_name: exporters\n    http_sd_configs:\n    - url: {url}/api/v1/sd/prometheus\n      \
         refresh_interval: 1s\n      authorization: {{type: Bearer, credentials: '{token}'}}\n    relabel_configs:\n    \
         - {{source_labels: [__meta_vpn_server_id], target_label: server_id}}\n",
        url = collector.url,
    )
}
