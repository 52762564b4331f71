//! The files by which the collector is deployed: each is understood by the program that reads it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::collector::Home;

const BASE: &[&str] = &["-f", "docker-compose.yml"];
const PRODUCTION: &[&str] = &["-f", "docker-compose.yml", "-f", "config/docker/production.yml"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compose: the plugin of the Docker client, or else the program of its own that Debian has.
fn compose() -> Command {
    let mut plugin = Command::new("docker");
    plugin.args(["compose", "version"]);
    if plugin.output().is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return command;
    }
    let alone = Command::new("docker-compose").arg("version").output();
    assert!(
        alone.is_ok_and(|output| output.status.success()),
        "neither `docker compose` nor docker-compose can be started; install it: apt-get install docker-compose"
    );
    Command::new("docker-compose")
}

/// What `compose config` says of files, with these variables over those of `.env.example`.
fn config(files: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = compose();
    command.current_dir(root()).args(["--env-file", ".env.example"]).args(files).arg("config");
    command.env_remove("SECRETS_DIR").env_remove("SITE_ADDRESS").envs(variables.iter().copied());
    command.output().unwrap()
}

#[track_caller]
fn understood(files: &[&str], variables: &[(&str, &str)]) -> String {
    let output = config(files, variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn compose_understands_both_files() {
    let known = [("SECRETS_DIR", "/nonexistent"), ("SITE_ADDRESS", "vpn.example.net")];
    let demo = understood(BASE, &known);
    assert!(demo.contains("simulate") && demo.contains("/nonexistent/secret.key"), "{demo}");
    let production = understood(PRODUCTION, &known);
    for part in ["collector2", "mongo3", "--keyFile", "requirepass", "/run/secrets/mongo_url", "production.toml"] {
        assert!(production.contains(part), "{part} is missing in {production}");
    }
    assert!(!production.contains("demo.toml"), "{production}");
}

#[test]
fn prometheus_in_compose_has_all_its_files() {
    let files = [&["--profile", "observability"], BASE].concat();
    let compose = understood(&files, &[("SECRETS_DIR", "/nonexistent")]);
    let shipped = root().join("config/prometheus");
    let config = std::fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
    let rules = config.lines().find_map(|line| line.strip_prefix("rule_files: [")?.strip_suffix(']')).unwrap();
    for file in rules.split(", ").chain(["prometheus.yml"]) {
        assert!(shipped.join(file).exists(), "{file}");
        for end in ["config/prometheus/", "/etc/prometheus/"].map(|place| format!("{place}{file}")) {
            assert!(compose.contains(&end), "{end} is missing in {compose}");
        }
    }
    assert!(config.contains("credentials_file: mect.token"));
    assert!(
        compose.contains("/nonexistent/prometheus.token") && compose.contains("/etc/prometheus/mect.token"),
        "{compose}"
    );
}

#[test]
fn without_secrets_compose_refuses_and_says_what_to_do() {
    for files in [BASE, PRODUCTION] {
        for variables in [&[][..], &[("SECRETS_DIR", "")]] {
            let refused = config(files, variables);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success() && said.contains("config/docker/make-secrets"), "{said}");
        }
    }
    let refused = config(PRODUCTION, &[("SECRETS_DIR", "/nonexistent")]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("vpn.example.net"));
}

#[test]
fn secrets_are_drawn_once_and_every_one_that_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("config/docker");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(root().join("config/docker/make-secrets"), copy.join("make-secrets")).unwrap();
    std::fs::copy(root().join(".env.example"), directory.path().join(".env.example")).unwrap();
    let make = || {
        let made = Command::new("bash").arg(copy.join("make-secrets")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    };
    let said = make();
    let secrets = directory.path().join("secrets");
    let text = |name: &str| std::fs::read_to_string(secrets.join(name)).unwrap();
    let (key, url) = (text("secret.key"), text("mongo.url"));
    assert!(key.trim().len() >= 32 && key != text("agent.key") && !said.contains(key.trim()));
    assert!(url.contains(text("mongo.password").trim()));
    assert!(mect_fleet::redis::RedisUrl::parse(text("redis.url").trim()).is_ok());
    assert!(std::fs::read_to_string(directory.path().join(".env")).unwrap().contains("SECRETS_DIR=secrets"));
    make();
    assert_eq!(text("secret.key"), key);

    for file in ["docker-compose.yml", "config/docker/production.yml"] {
        let file = std::fs::read_to_string(root().join(file)).unwrap();
        for name in file.lines().filter_map(|line| line.split_once("first}/")).map(|(_, name)| name) {
            assert!(secrets.join(name).exists(), "{name} is not drawn");
        }
    }
}

#[test]
fn the_collector_understands_its_files_in_the_image() {
    for file in ["collector.toml", "demo.toml", "production.toml"] {
        let home = Home::new(&std::fs::read_to_string(root().join("config/docker").join(file)).unwrap());
        std::fs::create_dir(home.path().join("targets")).unwrap();
        for targets in ["targets.json", "targets.yml"] {
            std::fs::write(home.path().join("targets").join(targets), "[]").unwrap();
        }
        let output = home.command("check-config").output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
