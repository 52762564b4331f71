//! The evening of the move: the collector starts on a database that the old system left.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;
use std::process::Output;
use std::time::{Duration, Instant};

use bson::Document;
use mect_testkit::mongo::ReplicaSet;
use serde_json::{Value, json};
use support::collector::Home;
use support::{Program, exporter, free_port, http};

const SERVERS: &str = include_str!("../../fleet/tests/fixtures/old/servers.json");
const USERS: &str = include_str!("../../fleet/tests/fixtures/old/users.json");
const OLD_PASSWORD: &str = "operations-2019";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef";

fn home(url: &str, config: &str) -> Home {
    let mut home = Home::new(config);
    home.set("MONGO_URL", url);
    home.set("SECRET_KEY", SECRET_KEY);
    home
}

fn start(home: &Home) -> (Program, String) {
    let mut command = home.command("serve");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let (url, before) = support::read_until(&mut output, "Mect VPN Monitor is ready at ");
    assert!(before.is_empty(), "there are users: no first password, {before:?}");
    (Program { child, name: "mect-collector" }, url)
}

fn token(url: &str) -> String {
    let form = [("username", "boss"), ("password", OLD_PASSWORD)];
    let answer = http::post_form(&format!("{url}/token"), &form, &[]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
}

#[test]
fn an_old_database_just_works() {
    let set = ReplicaSet::start(1);
    set.load("vpn", "servers", SERVERS);
    set.load("vpn", "users", USERS);
    let ip = Ipv4Addr::new(127, 0, 0, 40);
    let port = free_port(ip);
    let _exporter = exporter(ip, port, |_| {});
    let config = "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n";
    let home = home(&set.url("vpn"), &format!("{config}[[targets]]\naddress = \"{ip}:{port}\"\n"));

    let (mut program, url) = start(&home);
    let bearer = token(&url);
    let servers = || -> Vec<Value> {
        let answer = http::get(&format!("{url}/servers?all_servers=true"), &[("authorization", &bearer)]).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json()).unwrap()
    };
    let find = |ip: &str| servers().into_iter().find(|server| server["ip"] == ip).unwrap();
    assert_eq!(servers().len(), 5, "four old ones and the target");
    let old = find("198.51.100.10");
    assert_eq!((&old["server_id"], &old["city"]), (&json!("srv-de1a2b3c"), &json!("Frankfurt am Main")));
    assert_eq!((&old["paid"], &old["static"]), (&json!(true), &json!(true)));
    assert_eq!(old["last_heartbeat"], "2026-11-20T08:15:30.123Z");
    support::eventually("the target to be active", || (find(&ip.to_string())["status"] == "active").then_some(()));

    let patched = http::patch_json(
        &format!("{url}/server/198.51.100.11/config"),
        &json!({"enabled": true}),
        &[("authorization", &bearer)],
    );
    assert_eq!(patched.unwrap().status, 200);
    assert!(program.stop().success());

    // Other programs see the new server in the shape they know, and everything of theirs as it was.
    let documents = set.dump("vpn", "servers");
    let scraped = documents.iter().find(|document| document.get_str("ip").ok() == Some("127.0.0.40")).unwrap();
    assert_eq!(scraped.get_str("status").unwrap(), "active");
    assert!(scraped.get_str("server_id").unwrap().starts_with("srv-"));
    assert!(scraped.get_datetime("last_heartbeat").is_ok() && scraped.get_document("load").is_ok());
    let mut theirs: Vec<Document> = serde_json::from_str(SERVERS).unwrap();
    for old in &mut theirs {
        let now = documents.iter().find(|document| document.get("_id") == old.get("_id")).unwrap();
        if old.get_str("hostname").ok() == Some("nl-ams-1") {
            old.insert("enabled", true);
        }
        for (key, value) in &*old {
            assert_eq!(now.get(key), Some(value), "{key} of {old}");
        }
    }
    let boss = &set.dump("vpn", "users")[0];
    assert!(boss.get_str("hashed_password").unwrap().starts_with("$argon2id$"), "renewed at the sign-in");
    assert_eq!(boss.get_str("email").unwrap(), "boss@example.net");

    // The second start finds everything, and the renewed hash is of the same password.
    let (_program, url) = start(&home);
    token(&url);
    assert_eq!(set.dump("vpn", "users")[0].get("hashed_password"), boss.get("hashed_password"));
}

#[test]
fn a_database_that_is_not_there_ends_the_start_soon() {
    let port = free_port(Ipv4Addr::LOCALHOST);
    let home = home(&format!("mongodb://boss:hidden@127.0.0.1:{port}/vpn"), "");
    let started = Instant::now();
    let output: Output = home.command("serve").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(said.contains("MONGO_URL") && said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}
