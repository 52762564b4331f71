//! What a Prometheus, or who reads the same configuration, needs to take everything from a collector.

use serde_json::json;

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

/// A configuration that takes the collector's federation as the job `mect`, and scrapes the exporters that it tells of as the
/// job `exporters`, every second.
pub fn scrape_config(collector: &Collector) -> String {
    let (token, address) = (token(collector), collector.url.trim_start_matches("http://"));
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: mect\n  honor_labels: true\n  metrics_path: /federate\n  \
         params: {{'match[]': ['{{job=\"vpn\"}}']}}\n  \
         authorization: {{credentials: '{token}'}}\n  static_configs: [{{targets: ['{address}']}}]\n\
         - job_name: exporters\n  http_sd_configs:\n  - url: {url}/api/v1/sd/prometheus\n    \
         refresh_interval: 1s\n    authorization: {{type: Bearer, credentials: '{token}'}}\n  relabel_configs:\n  \
         - {{source_labels: [__meta_vpn_server_id], target_label: server_id}}\n",
        url = collector.url,
    )
}
