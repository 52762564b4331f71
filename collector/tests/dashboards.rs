//! Every query of every dashboard that we ship, asked of a real Prometheus with the configuration and the rules that we ship.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::prometheus::Prometheus;
use support::{Program, eventually, exporter, free_port, simulate};

const EXPORTER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
/// Nobody is there.
const DOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 67);
const SIMULATED: usize = 4;
/// Metrics that rules name and that no part of this fleet shows, and the code that does.
const SHOWN_ELSEWHERE: [(&str, &str); 2] = [
    ("mect_spool_dropped_records_total", include_str!("../src/metrics.rs")),
    ("vpn_session_limit", include_str!("../../exporter/src/vpn/render.rs")),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The dashboards by file name.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("config/grafana/dashboards")).unwrap().map(|entry| entry.unwrap());
    let read = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).unwrap();
        (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
    };
    files.map(read).collect()
}

/// All panels, those of rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten())).collect()
}

fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().into_iter().flatten().map(|target| target["expr"].as_str().unwrap()).collect()
}

#[test]
fn dashboards_are_complete_and_nothing_is_there_twice() {
    let dashboards = dashboards();
    let names: Vec<_> = dashboards.keys().map(String::as_str).collect();
    assert_eq!(names, ["collector.json", "fleet.json", "server.json"]);
    let mut uids = BTreeSet::new();
    for (file, dashboard) in &dashboards {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap()), "{file}");
        // Grafana 10 and later.
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 38, "{file}");
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource", "{file}");
        let (mut ids, mut titles, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in panels(dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()) && titles.insert(title), "{file}: {title}");
            let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            let [left, top, width, height] = place;
            assert!(left + width <= 24, "{file}: {title}");
            for x in left..left + width {
                assert!((top..top + height).all(|y| places.insert((x, y))), "{file}: {title} covers another panel");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(!queries(panel).is_empty(), "{file}: {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{file}: {title}");
            let sources = panel["targets"].as_array().unwrap().iter().chain([panel]);
            assert!(sources.into_iter().all(|of| of["datasource"]["uid"] == "${datasource}"), "{file}: {title}");
        }
    }
}

/// A fleet with a server of every kind, a collector that scrapes it, and a Prometheus as shipped that scrapes the
/// collector. Only addresses and the rhythm differ.
struct Scene {
    prometheus: Prometheus,
    _collector: Collector,
    _home: Home,
    _programs: [Program; 2],
}

impl Scene {
    fn start() -> Self {
        let mut home = Home::new(
            "[scrape]\ninterval_seconds = 2\ntimeout_seconds = 2\nrecheck_seconds = 0.5\n\
             [[file_sd]]\nfiles = [\"simulated.json\", \"hosts.json\"]\nrefresh_seconds = 1\n\
             # Nobody is there: its series are all the same.\n\
             [[remote_write]]\nname = \"away\"\nurl = \"http://127.0.0.1:9/api/v1/write\"\n",
        );
        let (simulated, hosts) = (home.path().join("simulated.json"), home.path().join("hosts.json"));
        for file in [&simulated, &hosts] {
            std::fs::write(file, "[]").unwrap();
        }
        // Nobody is there, and yet its metrics are.
        home.set("REDIS_URL", "redis://127.0.0.1:1");
        let collector = home.start();
        let new = json!({"name": "prometheus", "scopes": ["federate"], "expires_in_days": 1});
        let made = collector.post("/api/v1/tokens", &new);
        assert_eq!(made.status, 201, "{made:?}");
        std::fs::write(home.path().join("mect.token"), made.json()["token"].as_str().unwrap()).unwrap();
        // Only now is there something to scrape: passwords are slow enough without.
        let port = free_port(EXPORTER);
        let programs = [host(home.path(), port), simulate(SIMULATED, &simulated)];
        let group = json!([{"targets": [format!("{EXPORTER}:{port}"), format!("{DOWN}:1")]}]);
        std::fs::write(&hosts, group.to_string()).unwrap();
        let shipped = |file: &str| std::fs::read_to_string(root().join("config/prometheus").join(file)).unwrap();
        for rules in ["recording.yml", "alerts.yml"] {
            std::fs::write(home.path().join(rules), shipped(rules)).unwrap();
        }
        let address = collector.url.trim_start_matches("http://");
        let faster = [
            ("collector:8000", address),
            ("scrape_interval: 15s", "scrape_interval: 2s\n  scrape_timeout: 2s"),
            ("scrape_interval: 1m", "scrape_interval: 2s"),
            ("scrape_timeout: 30s", "scrape_timeout: 2s"),
            ("evaluation_interval: 30s", "evaluation_interval: 1s"),
        ];
        let config = faster.iter().fold(support::federation::shipped(), |config, (from, to)| {
            assert!(config.contains(from), "{from}");
            config.replace(from, to)
        });
        let prometheus = Prometheus::start(home.path(), &config);
        Self { prometheus, _collector: collector, _home: home, _programs: programs }
    }

    /// The series that a query finds. An error of the query is one of the test.
    fn ask(&self, query: &str) -> Vec<Value> {
        let answer = self.prometheus.api("query", &[("query", query)]);
        answer.unwrap_or_else(|error| panic!("{query}: {error}"))["result"].as_array().unwrap().clone()
    }

    /// What a person can choose for a variable, in Grafana's ways to say it.
    fn choices(&self, variable: &Value, chosen: &[(String, String)]) -> Vec<String> {
        if variable["includeAll"] == true {
            return vec![variable["allValue"].as_str().unwrap().to_owned()];
        }
        self.values(variable, chosen)
    }

    fn values(&self, variable: &Value, chosen: &[(String, String)]) -> Vec<String> {
        let query = substituted(variable["query"]["query"].as_str().unwrap(), chosen);
        if let Some(of) = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')) {
            let (series, label) = of.rsplit_once(',').unwrap();
            let found = self.ask(series);
            let values = found.iter().filter_map(|series| series["metric"][label.trim()].as_str());
            return values.map(str::to_owned).collect();
        }
        let inner = query.strip_prefix("query_result(").and_then(|rest| rest.strip_suffix(')'));
        let inner = inner.unwrap_or_else(|| panic!("this test does not know {query}"));
        let pattern = Regex::new(variable["regex"].as_str().unwrap().trim_matches('/')).unwrap();
        let shown = |series: &Value| {
            let labels = series["metric"].as_object().unwrap().iter();
            labels.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
        };
        let found = self.ask(inner).iter().map(shown).collect::<Vec<_>>();
        let found = found.iter().filter_map(|series| pattern.captures(series));
        found.filter(|found| !found["text"].is_empty()).map(|found| found["value"].to_owned()).collect()
    }

    /// Every way to fill in a dashboard's variables.
    fn fillings(&self, dashboard: &Value) -> Vec<Vec<(String, String)>> {
        let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
        variables.filter(|variable| variable["type"] == "query").fold(vec![Vec::new()], |fillings, variable| {
            let name = variable["name"].as_str().unwrap();
            let more = |chosen: Vec<(String, String)>| {
                let choices = self.choices(variable, &chosen);
                choices.into_iter().map(move |choice| [&chosen[..], &[(name.to_owned(), choice)]].concat())
            };
            fillings.into_iter().flat_map(more).collect()
        })
    }
}

/// Our exporter on a host out of files, which has all that a host can have, and a certificate.
fn host(home: &Path, port: u16) -> Program {
    let fixtures = root().join("exporter/tests/fixtures");
    let host = home.join("host");
    let copied = Command::new("cp").arg("-r").arg(fixtures.join("root")).arg(&host).status().unwrap();
    assert!(copied.success());
    std::fs::copy(fixtures.join("certificate.pem"), host.join("etc/server.crt")).unwrap();
    let config = home.join("exporter.toml");
    std::fs::write(&config, "certificates = [\"/etc/server.crt\"]\n").unwrap();
    exporter(EXPORTER, port, |command| {
        command.arg("--root").arg(&host).arg("--config").arg(&config);
    })
}

fn substituted(query: &str, chosen: &[(String, String)]) -> String {
    chosen.iter().fold(query.to_owned(), |query, (name, value)| query.replace(&format!("${name}"), value))
}

/// Names of series that a text speaks of: metrics of ours and node_exporter's, and what rules record.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let is_metric = |word: &&str| ["mect_", "vpn_", "node_"].iter().any(|prefix| word.starts_with(prefix));
    words.filter(|word| is_metric(word) || word.matches(':').count() == 2).collect()
}

#[test]
fn every_query_returns_data() {
    let scene = Scene::start();
    let down = format!("vpn_server_state{{state=\"down\",instance=\"{DOWN}:1\"}} == 1");
    eventually("a server that is down", || scene.prometheus.ask(&down));
    // It fires after its `for`; that it waits says that it is right.
    let alert = format!("ALERTS{{alertname=\"MectServerDown\",instance=\"{DOWN}:1\",hostname=\"{DOWN}\"}}");
    eventually("the alert for it", || scene.prometheus.ask(&alert));

    for (file, dashboard) in &dashboards() {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if variable["type"] == "query" {
                let any = [("country".to_owned(), ".*".to_owned())];
                let what = format!("values of ${} in {file}", variable["name"]);
                eventually(&what, || (!scene.values(variable, &any).is_empty()).then_some(()));
            }
        }
        for panel in panels(dashboard) {
            for query in queries(panel) {
                // Not every server has all that there is: one that has it will do.
                eventually(&format!("data of {} in {file}: {query}", panel["title"]), || {
                    let fillings = scene.fillings(dashboard);
                    let mut filled = fillings.iter().map(|chosen| substituted(query, chosen));
                    filled
                        .any(|query| {
                            assert!(!query.contains('$'), "{file}: {query} has a variable that is not there");
                            !scene.ask(&query).is_empty()
                        })
                        .then_some(())
                });
            }
        }
    }

    eventually("every rule to be evaluated without an error", || {
        let groups = scene.prometheus.api("rules", &[]).ok()?["groups"].as_array()?.clone();
        let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        (rules.len() > 40 && rules.iter().all(|rule| rule["health"] == "ok")).then_some(())
    });
    let known = scene.prometheus.api("label/__name__/values", &[]).unwrap();
    let known: BTreeSet<_> = known.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for file in ["recording.yml", "alerts.yml"] {
        let text = std::fs::read_to_string(root().join("config/prometheus").join(file)).unwrap();
        let text: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let text = text.join("\n");
        let named = names(&text);
        assert!(named.len() > 15, "{named:?}");
        for name in named {
            let elsewhere = SHOWN_ELSEWHERE.iter().find(|(shown, _)| *shown == name);
            let is_in_code = elsewhere.is_some_and(|(_, code)| code.contains(name.trim_end_matches("_total")));
            assert!(known.contains(name) || is_in_code, "{file} names {name}, which nobody shows");
        }
    }
}
