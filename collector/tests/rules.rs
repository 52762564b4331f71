//! The configuration and the rules that we ship for Prometheus: promtool understands them, and every one does what it says.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prometheus").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(shipped(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap()
}

/// The files of rule tests.
fn tests() -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(shipped("tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[track_caller]
fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let output =
        Command::new("promtool").args(arguments).args(files).output().unwrap_or_else(|error| {
            panic!("promtool cannot be started ({error}); install it: apt-get install prometheus")
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

/// All rules of a file that have that key: `alert` or `record`.
fn rules(path: &str, key: &str) -> Vec<Value> {
    let groups = yaml(path)["groups"].as_array().unwrap().clone();
    let rules = groups.into_iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
    rules.filter(|rule| rule[key].is_string()).collect()
}

/// What stands under `key` in all groups of all rule tests.
fn expectations(key: &str) -> Vec<Value> {
    let of_file = |file: &PathBuf| -> Vec<Value> {
        let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let groups = file["tests"].as_array().unwrap();
        groups.iter().filter_map(|group| group[key].as_array()).flatten().cloned().collect()
    };
    tests().iter().flat_map(of_file).collect()
}

#[test]
fn promtool_understands_the_configuration_with_either_way_to_the_servers() {
    let home = tempfile::tempdir().unwrap();
    for file in ["recording.yml", "alerts.yml"] {
        std::fs::copy(shipped(file), home.path().join(file)).unwrap();
    }
    // promtool insists on files that hold credentials.
    for file in ["mect.token", "agent.key"] {
        std::fs::write(home.path().join(file), "secret").unwrap();
    }
    // But for what Debian's promtool is too old for.
    let as_shipped = support::federation::shipped();
    let all = as_shipped.replace("\n  #- ", "\n  - ").replace("\n  #  ", "\n    ").replace("\n#alerting", "\nalerting");
    let all = all.replace("\n#  ", "\n  ");
    assert!(!as_shipped.contains("\n  - job_name: mect-exporters") && all.contains("\n  - job_name: mect-exporters"));
    for config in [as_shipped, all] {
        let path = home.path().join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        promtool(&["check", "config"], &[path]);
    }
}

#[test]
fn rules_do_what_their_tests_say() {
    promtool(&["check", "rules"], &["recording.yml", "alerts.yml"].map(shipped));
    promtool(&["test", "rules"], &tests());
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_silent() {
    let (alerts, expected) = (rules("alerts.yml", "alert"), expectations("alert_rule_test"));
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        let fires = |does: bool| {
            expected.iter().any(|test| {
                test["alertname"] == name
                    && test["exp_alerts"].as_array().is_some_and(|alerts| alerts.is_empty() != does)
            })
        };
        assert!(fires(true), "no test in config/prometheus/tests sees {name} fire");
        assert!(fires(false) || name == "MectDeadMansSwitch", "no test in config/prometheus/tests sees {name} silent");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let readme = std::fs::read_to_string(shipped("../../README.md")).unwrap();
    for alert in rules("alerts.yml", "alert") {
        let severity = alert["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning" | "none")), "{alert}");
        let name = alert["alert"].as_str().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name {name}");
        for (text, least) in [("summary", 10), ("description", 40)] {
            let text = alert["annotations"][text].as_str();
            assert!(text.is_some_and(|text| text.len() >= least && !text.contains('\n')), "{alert}");
        }
    }
}

#[test]
fn every_recorded_series_is_computed_by_a_test() {
    let expected = expectations("promql_expr_test");
    for rule in rules("recording.yml", "record") {
        let name = rule["record"].as_str().unwrap();
        assert_eq!(name.split(':').count(), 3, "{name} is not level:metric:operation");
        let is_tested = expected.iter().any(|test| {
            let is_empty = test["exp_samples"].as_array().is_none_or(Vec::is_empty);
            test["expr"].as_str().unwrap().contains(name) && !is_empty
        });
        assert!(is_tested, "no test in config/prometheus/tests computes {name}");
    }
}
