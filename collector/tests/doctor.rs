//! The doctor on good and on broken set-ups: what it says, how bad it calls it, and how it ends.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use bson::doc;
use mect_testkit::mongo::ReplicaSet;
use mect_testkit::redis::Redis;
use serde_json::Value;
use support::collector::Home;
use support::{eventually, exporter, free_port, with_open_files};

const IP: Ipv4Addr = Ipv4Addr::new(127, 0, 96, 1);

/// What was told, by check.
struct Told {
    code: Option<i32>,
    findings: BTreeMap<String, Value>,
    text: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let findings = report["findings"].as_array().unwrap().iter();
        let findings = findings.map(|finding| (finding["check"].as_str().unwrap().to_owned(), finding.clone()));
        Self { code: output.status.code(), findings: findings.collect(), text }
    }

    /// Asserts how a check came out, and that it says all of `parts`.
    #[track_caller]
    fn says(&self, check: &str, verdict: &str, parts: &[&str]) {
        let finding = self.findings.get(check).unwrap_or_else(|| panic!("no {check} in {}", self.text));
        assert_eq!(finding["verdict"], verdict, "{finding}");
        for part in parts {
            assert!(finding.to_string().contains(part), "{finding} lacks {part:?}");
        }
        assert_eq!(finding["advice"].is_null(), verdict == "ok", "{finding}");
    }
}

fn ask(home: &Home) -> Told {
    Told::of(&home.command("doctor").arg("--json").output().unwrap())
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_good_set_up_is_well_before_while_and_after_it_runs() {
    let port = free_port(IP);
    let _exporter = exporter(IP, port, |_| {});
    let home = Home::new(&format!("[[targets]]\naddress = \"{IP}:{port}\"\n"));
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("configuration", "ok", &["1 targets"]);
    told.says("store", "ok", &["none yet"]);
    told.says("targets", "ok", &["1 of 1"]);
    told.says("clock", "ok", &["agrees with 1 targets"]);
    assert!(!home.data_dir().exists(), "it only looks");

    let mut collector = home.start();
    eventually("a scrape", || collector.all_servers().first()?.get("health").cloned());
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("store", "ok", &["running collector", &format!("process {}", collector.program.child.id()), "1 servers"]);
    told.says("open files", "ok", &["the running collector may have"]);
    told.says("permissions", "ok", &["private"]);
    // For people: a line for each.
    let lines = home.command("doctor").output().unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(lines.lines().count(), told.findings.len(), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("ok ")), "{lines}");

    collector.program.kill();
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("store", "ok", &["was killed"]);
    home.start().stop();
    ask(&home).says("store", "ok", &["opens, schema version", "no collector runs"]);
}

#[test]
fn a_broken_configuration_is_a_finding() {
    let home = Home::new("[scrape]\nintervall_seconds = 5\n");
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("configuration", "problem", &["intervall_seconds", "collector.toml:2"]);
    home.configure("[[file_sd]]\nfiles = [\"missing.yml\"]\n");
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("configuration", "problem", &["missing.yml"]);
    home.configure("");
    let told = ask(&home);
    assert_eq!(told.code, Some(0));
    told.says("configuration", "warning", &["names no target"]);
}

#[test]
fn what_others_may_read_is_named() {
    let mut home = Home::new("");
    home.start().stop();
    let key = home.path().join("agent.key");
    std::fs::write(&key, "a key\n").unwrap();
    home.set("AGENT_API_KEY_FILE", key.to_str().unwrap());
    // In a directory that lets nobody through it is private, whatever its own mode.
    mode(&key, 0o644);
    mode(home.path(), 0o700);
    ask(&home).says("permissions", "ok", &[]);
    mode(home.path(), 0o755);
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("permissions", "problem", &["agent.key (mode 0644)", "chmod go= "]);
    mode(&key, 0o640);
    let told = ask(&home);
    assert_eq!(told.code, Some(0));
    told.says("permissions", "warning", &["a group", "agent.key"]);
    mode(&key, 0o600);
    ask(&home).says("permissions", "ok", &[]);
    mode(&home.data_dir(), 0o755);
    ask(&home).says("permissions", "problem", &["/data (mode 0755)"]);
    mode(&home.data_dir(), 0o700);
    mode(&home.data_dir().join("secret.key"), 0o666);
    ask(&home).says("permissions", "ok", &[]);
}

#[test]
fn a_low_limit_of_open_files_is_told() {
    let home = Home::new("");
    let limited = |files: u32| {
        let mut command = with_open_files(files, home.command("doctor").arg("--json"));
        Told::of(&command.output().unwrap())
    };
    let told = limited(100);
    assert_eq!(told.code, Some(1), "{}", told.text);
    told.says("open files", "problem", &["may have 100", "LimitNOFILE"]);
    let told = limited(2000);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("open files", "warning", &["may have 2000"]);
}

#[test]
fn targets_that_do_not_answer_are_named() {
    let port = free_port(IP);
    let _exporter = exporter(IP, port, |_| {});
    let target = |port: u16, n: u8| format!("[[targets]]\naddress = \"127.0.96.{n}:{port}\"\n");
    let home = Home::new(&(target(port, 1) + &target(1, 2)));
    let told = ask(&home);
    assert_eq!(told.code, Some(0));
    told.says("targets", "warning", &["1 of 2", "127.0.96.2:1 (connection refused"]);
    home.configure(&target(1, 2));
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("targets", "problem", &["none of 1", "connection refused"]);
}

/// Hosts that live in another time than this machine.
#[test]
fn a_clock_that_is_off_is_told() {
    let listener = TcpListener::bind((IP, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 20\r\n";
            write!(stream, "{head}date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nnode_load1 0.250000").unwrap();
            stream.write_all(b"\n").unwrap();
        }
    });
    let home = Home::new(&format!("[[targets]]\naddress = \"{IP}:{port}\"\n"));
    ask(&home).says("clock", "warning", &["another time", &IP.to_string()]);
}

#[test]
fn a_database_is_looked_at_from_all_sides() {
    let mut set = ReplicaSet::start(1);
    let mut home = Home::new("");
    home.set("MONGO_URL", &set.url("doctor"));
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("store", "ok", &["nothing of ours"]);
    told.says("indexes", "ok", &[]);
    assert!(set.dump("doctor", "meta").is_empty(), "it only looks");
    home.start().stop();
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("store", "ok", &["schema version 1"]);
    told.says("replica set", "warning", &["1 of the 3"]);
    told.says("indexes", "ok", &["all there"]);
    told.says("retention", "ok", &["32 days"]);
    told.says("clock", "ok", &["the database"]);
    let build = set.command(0, doc! { "buildInfo": 1 }).unwrap();
    let version = build.get_str("version").unwrap();
    if version == "6.0.5" {
        told.says("database", "warning", &["6.0.5", "CVE-2025-14847", "6.0.27"]);
    } else {
        told.says("database", if told.text.contains("CVE") { "warning" } else { "ok" }, &[version]);
    }

    set.command(0, doc! { "dropIndexes": "events", "index": "mect_server_number", "$db": "doctor" }).unwrap();
    home.configure("[store]\nretention_days = 7\n");
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("indexes", "problem", &["events.mect_server_number", "start a collector again"]);
    told.says("retention", "warning", &["32 days", "means 9"]);
    // As it says.
    home.start().stop();
    let told = ask(&home);
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.says("indexes", "ok", &[]);
    told.says("retention", "ok", &["9 days"]);

    set.kill(0);
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("store", "problem", &["MONGO_URL"]);
}

#[test]
fn wrong_databases_are_told_without_their_password() {
    let alone = ReplicaSet::standalone();
    let mut home = Home::new("");
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    home.set("MONGO_URL", &alone.url("doctor"));
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("replica set", "problem", &["--replSet"]);
    let port = mect_testkit::free_port();
    home.set("MONGO_URL", &format!("mongodb://user:hidden@127.0.0.1:{port}/fleet?authSource=admin"));
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    told.says("store", "problem", &[&port.to_string()]);
    home.set("MONGO_URL", "postgres://user:hidden@127.0.0.1/fleet");
    let other = ask(&home);
    other.says("configuration", "problem", &["mongodb://USER:PASSWORD@HOST"]);
    assert!(!told.text.contains("hidden") && !other.text.contains("hidden"), "{}{}", told.text, other.text);
}

#[test]
fn redis_is_asked() {
    let redis = Redis::start_with_password("hidden");
    let mut home = Home::new("");
    home.set("REDIS_URL", &redis.url());
    ask(&home).says("redis", "ok", &["answers"]);
    home.set("REDIS_URL", &redis.url().replace("hidden", "other"));
    ask(&home).says("redis", "problem", &["does not answer"]);
    drop(redis);
    let told = ask(&home);
    assert_eq!(told.code, Some(1));
    assert!(!told.text.contains("other@"), "{}", told.text);
}
