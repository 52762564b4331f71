//! The old system's agents report to `POST /heartbeat`, as they did: one document every two minutes, with a key.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use mect_testkit::mongo::ReplicaSet;
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::eventually;
use support::http::{self, Answer};

const KEY: &str = "key-that-agents-share";
/// Short enough to be waited for, long enough for a busy machine to send a heartbeat in between.
const SILENCE_SECONDS: u64 = 6;

fn config(silence_seconds: u64) -> String {
    format!("[web]\nlegacy_push = true\nlegacy_push_silence_seconds = {silence_seconds}\n")
}

fn home(config: &str) -> Home {
    let mut home = Home::new(config);
    home.set("AGENT_API_KEY", KEY);
    home
}

/// What the agent of the old system sent.
fn heartbeat(ip: &str, cpu: f64) -> Value {
    json!({
        "ip": ip, "countryCode": "DE", "country": "Germany", "region": "Hesse", "city": "Frankfurt am Main",
        "hostname": "old-1",
        "services": [{"name": "wg", "active": true}, {"name": "ov", "active": true}, {"name": "sq", "active": true}],
        "load": {"cpu": cpu, "ram": 43.21, "net": 3.07},
    })
}

fn push_as(collector: &Collector, key: Option<&str>, document: &Value) -> Answer {
    let headers: Vec<_> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
    http::post_json(&format!("{}/heartbeat", collector.url), document, &headers).unwrap()
}

#[track_caller]
fn push(collector: &Collector, document: &Value) {
    let answer = push_as(collector, Some(KEY), document);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["status"], "ok");
}

#[test]
fn a_server_lives_by_its_heartbeats_and_is_down_when_they_end() {
    let ip = "198.51.100.10";
    let home = home(&config(SILENCE_SECONDS));
    let collector = home.start();
    push(&collector, &heartbeat(ip, 12.5));
    // What was answered is on disk and shown: by the rule of health, the first heartbeat activates.
    let server = collector.all_servers().into_iter().find(|server| server["ip"] == ip).unwrap();
    assert_eq!((&server["status"], &server["hostname"]), (&json!("active"), &json!("old-1")));
    assert_eq!((&server["countryCode"], &server["city"]), (&json!("DE"), &json!("Frankfurt am Main")));
    assert_eq!(server["load"], json!({"cpu": 12.5, "ram": 43.21, "net": 3.07}));
    let wg = json!({"name": "wg", "active": true});
    assert!(server["services"].as_array().unwrap().contains(&wg), "{server}");
    assert!(collector.get("/servers").body.contains(ip), "clients are sent there");

    let mut impaired = heartbeat(ip, 50.0);
    impaired["services"][1]["active"] = json!(false);
    push(&collector, &impaired);
    let server = collector.server_when("the lost service", ip, |server| server["health"] == "degraded");
    assert_eq!(server["load"]["cpu"], 50.0);

    let down = collector.server_when("silence to be judged", ip, |server| server["health"] == "down");
    assert_eq!((&down["status"], &down["failure"]), (&json!("down"), &json!("silent")));
    assert!(!collector.get("/servers").body.contains(ip));

    // Two heartbeats prove that it is back, as two scrapes would; a restart changes nothing.
    push(&collector, &heartbeat(ip, 1.0));
    push(&collector, &heartbeat(ip, 2.0));
    let back = collector.server_when("it to be back", ip, |server| server["health"] == "active");
    assert_eq!(back["server_id"], down["server_id"]);
    collector.stop();
    let collector = home.start();
    let kept = collector.server_when("it after a restart", ip, |_| true);
    assert_eq!((&kept["health"], &kept["load"]["cpu"]), (&json!("active"), &json!(2.0)), "{kept}");
    push(&collector, &heartbeat(ip, 3.0));
    collector.server_when("its next heartbeat", ip, |server| server["load"]["cpu"] == 3.0);
    collector.server_when("silence to be judged again", ip, |server| server["health"] == "down");
}

#[test]
fn only_who_has_the_key_may_report_and_only_where_it_is_wanted() {
    let document = heartbeat("198.51.100.11", 1.0);
    let closed_home = home("");
    let closed = closed_home.start();
    for key in [Some(KEY), Some("wrong"), None] {
        assert_eq!(push_as(&closed, key, &document).status, 404, "{key:?}");
    }
    drop(closed);
    let open_home = home(&config(SILENCE_SECONDS));
    let open = open_home.start();
    for key in [None, Some(""), Some("wrong"), Some("key-that-agents-shar")] {
        let refused = push_as(&open, key, &document);
        assert_eq!((refused.status, &refused.json()["detail"]), (401, &json!("Invalid API key")), "{key:?}");
    }
    let bearer = ("authorization", format!("Bearer {KEY}"));
    let shown = http::post_json(&format!("{}/heartbeat", open.url), &document, &[(bearer.0, &bearer.1)]).unwrap();
    assert_eq!(shown.status, 200, "{shown:?}");
    let token = http::post_json(&format!("{}/heartbeat", open.url), &document, &[("authorization", &open.bearer())]);
    assert_eq!(token.unwrap().status, 401, "a user's token is no agent's key");
    assert_eq!(http::get(&format!("{}/servers", open.url), &[("X-API-Key", KEY)]).unwrap().status, 401);
}

#[test]
fn a_malformed_heartbeat_is_refused_by_name_and_leaves_nothing() {
    let home = home(&config(SILENCE_SECONDS));
    let collector = home.start();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (key, value) in [
        ("ip", json!("not an address")),
        ("ip", json!(17)),
        ("ip", json!({"$gt": ""})),
        ("ip", json!("169.254.169.254")),
        ("hostname", json!(["a"])),
        ("hostname", json!("a\u{0}b")),
        ("hostname", json!("a\u{202e}b")),
        ("city", json!("x".repeat(500))),
        ("services", json!("wg")),
        ("services", json!([{"name": "wg"}])),
        ("services", json!([{"name": "wg", "active": "yes"}])),
        ("services", json!(vec![json!({"name": "wg", "active": true}); 65])),
        ("load", json!({"cpu": "12"})),
        ("load", json!([1, 2])),
        (
            "load",
            serde_json::from_str::<Value>(&format!("{{\"cpu\":{}}}", &deep[..120].replace('[', "")))
                .unwrap_or(json!(1)),
        ),
    ] {
        let mut document = heartbeat("198.51.100.12", 1.0);
        document[key] = value.clone();
        let answer = push_as(&collector, Some(KEY), &document);
        assert_eq!(answer.status, 422, "{key}: {value}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(key), "{answer:?}");
    }
    assert_eq!(push_as(&collector, Some(KEY), &json!({})).status, 422);
    let huge = json!({"ip": "198.51.100.12", "hostname": "x".repeat(100_000)});
    assert_eq!(push_as(&collector, Some(KEY), &huge).status, 413);
    assert!(collector.all_servers().is_empty(), "nothing of it was kept");

    // What the old agents left out, or said of things that we do not know, does no harm.
    let sparse = json!({
        "ip": "198.51.100.12", "country": "Unknown", "countryCode": "XX", "city": null, "uptime": 17,
        "services": [{"name": "ssh", "active": false}], "load": {"cpu": 250, "ram": null},
    });
    push(&collector, &sparse);
    let server = collector.server_when("the sparse one", "198.51.100.12", |_| true);
    assert_eq!((&server["status"], &server["hostname"]), (&json!("active"), &json!("198.51.100.12")));
    assert_eq!((&server["country"], &server["load"]["cpu"]), (&json!(""), &json!(100.0)));
}

#[test]
fn a_heartbeat_may_arrive_at_any_collector() {
    let set = ReplicaSet::start(1);
    let shared = || {
        let mut home = home(&format!("{}[collectors]\nlease_seconds = 3\n", config(4 * SILENCE_SECONDS)));
        home.set("MONGO_URL", &set.url("pushed"));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        home
    };
    let (first_home, second_home) = (shared(), shared());
    let first = first_home.start();
    let second = second_home.start();
    // So many that each collector judges more of those that go on than of those that end, whichever it has.
    let ips: Vec<_> = (20..50).map(|last| format!("198.51.100.{last}")).collect();
    let all_are = |collector: &Collector, what: &str, cpu: f64, health: &str| {
        eventually(what, || {
            let servers = collector.all_servers();
            let is_so = |server: &Value| server["health"] == health && server["load"]["cpu"] == cpu;
            (servers.len() == ips.len() && servers.iter().all(is_so)).then_some(())
        });
    };
    // All at once, as agents do.
    let push_all = |ips: &[String], round: usize, cpu: f64| {
        std::thread::scope(|scope| {
            for (place, ip) in ips.iter().enumerate() {
                let collector = if (place + round).is_multiple_of(2) { &first } else { &second };
                scope.spawn(move || push(collector, &heartbeat(ip, cpu)));
            }
        });
    };
    // Each to the other collector than before.
    for (round, cpu) in [(0, 1.0), (1, 2.0)] {
        push_all(&ips, round, cpu);
        all_are(&first, "the round to be judged", cpu, "active");
    }
    all_are(&second, "all to be active at the second", 2.0, "active");
    // Some end, the others go on: were all silent, it could be our own network.
    let (others, ended) = ips.split_at(ips.len() - 3);
    eventually("silence to be judged", || {
        push_all(others, 0, 2.0);
        let down = |server: &&Value| server["health"] == "down";
        let servers = second.all_servers();
        let mut down: Vec<_> = servers.iter().filter(down).map(|server| server["ip"].as_str().unwrap()).collect();
        down.sort_unstable();
        (down == ended).then_some(())
    });
}
