//! Servers that no configuration names: added by REST, or announced by their exporter. They are scraped as any other.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use mect_testkit::mongo::ReplicaSet;
use serde_json::{Value, json};
use support::collector::{Collector, Home};
use support::http::{self, Answer};
use support::{eventually, exporter, free_port};

const FAST: &str = "[scrape]\ninterval_seconds = 1\ntimeout_seconds = 1\n";
const KEY: &str = "key-that-agents-share";

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// The server as `/api/v1` shows it, once `is_so` holds.
#[track_caller]
fn server_when(collector: &Collector, what: &str, id: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v1/servers/{}", id.as_str().unwrap());
    eventually(what, || Some(collector.get(&path).json()).filter(|server| is_so(server)))
}

fn is_active(server: &Value) -> bool {
    server["health"] == "active" && server["listed"] == true
}

#[test]
fn a_server_added_by_rest_is_scraped_edited_moved_and_gone() {
    let (ip, port, other) = (address(61), free_port(address(61)), free_port(address(61)));
    let exporter_before = exporter(ip, port, |_| {});
    let home = Home::new(FAST);
    let collector = home.start();
    let new = json!({"target": {"address": format!("{ip}:{port}")}, "hostname": "by-rest", "country_code": "FI"});
    let created = collector.post("/api/v1/servers", &new);
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].clone();
    let active = server_when(&collector, "it to turn active", &id, is_active);
    assert_eq!((&active["monitored"], &active["country"]), (&json!(true), &json!("Finland")));

    let targets = collector.get("/api/v1/targets").json();
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(targets["status"], "success");
    assert_eq!(target["scrapeUrl"], format!("http://{ip}:{port}/metrics"));
    assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")), "{target}");
    assert_eq!((&target["scrapeInterval"], &target["labels"]["hostname"]), (&json!("1s"), &json!("by-rest")));
    // Whole milliseconds: a scrape on this machine may take none.
    assert!(target["lastScrapeDuration"].as_f64().is_some_and(|seconds| (0.0..1.0).contains(&seconds)), "{target}");
    assert_eq!(targets["data"]["droppedTargets"], json!([]));

    // It survives a restart; and when the exporter moves, so does the target.
    collector.stop();
    let collector = home.start();
    let heartbeat = active["last_heartbeat"].clone();
    server_when(&collector, "it to be scraped on", &id, |server| server["last_heartbeat"] != heartbeat);
    let path = format!("/api/v1/servers/{}", id.as_str().unwrap());
    let _exporter_after = exporter(ip, other, |_| {});
    let moved = collector.patch(&path, &json!({"target": {"address": format!("{ip}:{other}")}}));
    assert_eq!(moved.status, 200, "{moved:?}");
    drop(exporter_before);
    let at = eventually("the new target to be told", || {
        let target = collector.get("/api/v1/targets").json()["data"]["activeTargets"][0].clone();
        (target["scrapeUrl"] == format!("http://{ip}:{other}/metrics") && target["health"] == "up")
            .then(|| target["lastScrape"].clone())
    });
    eventually("it to be scraped at the new place", || {
        let target = collector.get("/api/v1/targets").json()["data"]["activeTargets"][0].clone();
        (target["lastScrape"] != at && target["health"] == "up").then_some(())
    });

    assert_eq!(collector.delete(&path).status, 204);
    eventually("its target to be gone", || {
        (collector.get("/api/v1/targets").json()["data"]["activeTargets"] == json!([])).then_some(())
    });
    assert_eq!(collector.get(&path).status, 404);
}

#[test]
fn a_drained_server_leaves_the_list_and_comes_back_by_itself() {
    let (ip, port) = (address(62), free_port(address(62)));
    let _exporter = exporter(ip, port, |_| {});
    let home = Home::new(&format!("{FAST}[[targets]]\naddress = \"{ip}:{port}\"\n"));
    let collector = home.start();
    collector.server_when("it to be active", &ip.to_string(), |server| server["health"] == "active");
    let listed = || collector.get("/servers").body.contains(&ip.to_string());
    eventually("it to be listed", || listed().then_some(()));
    let id = collector.get("/api/v1/servers").json()["items"][0]["id"].clone();
    let until = mect_fleet::Timestamp::now() + std::time::Duration::from_secs(3);
    let intent = json!({"enabled": true, "draining": {"until": until.to_string()}});
    let drained = collector.put(&format!("/api/v1/servers/{}/intent", id.as_str().unwrap()), &intent);
    assert_eq!((drained.status, listed()), (200, false), "{drained:?}");
    assert_eq!(drained.json()["health"], "active");
    eventually("the drain to end", || listed().then_some(()));
    assert!(mect_fleet::Timestamp::now() >= until);
    assert!(collector.get("/servers?all_servers=true").body.contains("active"));
}

fn announce(collector: &Collector, key: &str, body: &Value, from: &str) -> Answer {
    let headers = [("x-api-key", key), ("x-forwarded-for", from)];
    http::post_json(&format!("{}/api/v1/enrol", collector.url), body, &headers).unwrap()
}

#[test]
fn an_exporter_announces_itself_and_waits_to_be_let_in() {
    let (ip, port) = (address(63), free_port(address(63)));
    let _exporter = exporter(ip, port, |command| _ = command.env("AGENT_API_KEY", KEY));
    let mut home = Home::new(&format!("{FAST}[web]\nenrolment = \"approval\"\ntrusted_proxies = [\"127.0.0.1\"]\n"));
    home.set("AGENT_API_KEY", KEY);
    let collector = home.start();
    let body = json!({"port": port, "hostname": "newcomer"});
    let answer = announce(&collector, KEY, &body, &ip.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    let announced = answer.json();
    assert_eq!((&announced["ip"], &announced["status"]), (&json!(ip.to_string()), &json!("waiting")));
    let again = announce(&collector, KEY, &body, &ip.to_string());
    assert_eq!((again.status, again.json()), (200, announced.clone()));

    for wrong in ["", "guess", "key-that-agents-shar", "key-that-agents-share!"] {
        let refused = announce(&collector, wrong, &body, &ip.to_string());
        assert_eq!((refused.status, &refused.json()["detail"]), (401, &json!("Invalid API key")));
    }
    for bad in [
        json!({}),
        json!({"port": 0}),
        json!({"port": 65536}),
        json!({"port": "9776"}),
        json!({"port": {"$gt": ""}}),
        json!({"port": 1, "path": "no slash"}),
        json!({"port": 1, "ip": "192.0.2.1"}),
        json!({"port": 1, "hostname": "a\u{202e}b"}),
    ] {
        let refused = announce(&collector, KEY, &bad, &ip.to_string());
        assert_eq!(refused.status, 422, "{bad}: {refused:?}");
    }
    let all = collector.get("/api/v1/servers?awaits_approval=true").json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    let dropped = eventually("it to be among the dropped", || {
        let targets = collector.get("/api/v1/targets?state=dropped").json();
        targets["data"]["droppedTargets"].get(0).cloned()
    });
    assert_eq!(dropped["reason"], "waits for approval");
    assert_eq!(all["items"][0]["monitored"], false);

    let path = format!("/api/v1/servers/{}", announced["id"].as_str().unwrap());
    assert_eq!(collector.patch(&path, &json!({"awaits_approval": false})).status, 200);
    let active = server_when(&collector, "it to turn active", &announced["id"], is_active);
    assert_eq!(active["hostname"], "newcomer");
    assert_eq!(announce(&collector, KEY, &body, &ip.to_string()).json()["status"], "accepted");
}

#[test]
fn nobody_announces_himself_unless_that_is_wanted() {
    let mut home = Home::new(FAST);
    home.set("AGENT_API_KEY", KEY);
    let collector = home.start();
    assert_eq!(announce(&collector, KEY, &json!({"port": 1}), "").status, 404);
    assert_eq!(announce(&collector, "wrong", &json!({"port": 1}), "").status, 404);
    drop(collector);
    let keyless = Home::new("[web]\nenrolment = \"open\"\n");
    let refused = keyless.command("check-config").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("AGENT_API_KEY"), "{said}");
}

#[test]
fn collectors_that_share_a_store_scrape_what_any_of_them_was_told() {
    let set = ReplicaSet::start(1);
    let home = || {
        let mut home = Home::new(&format!("{FAST}[collectors]\nlease_seconds = 3\n"));
        home.set("MONGO_URL", &set.url("inventory"));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        home
    };
    let (first_home, second_home) = (home(), home());
    let first = first_home.start();
    let second = second_home.start();
    let exporters: Vec<_> = (64..70).map(|last| (address(last), free_port(address(last)))).collect();
    let _running: Vec<_> = exporters.iter().map(|(ip, port)| exporter(*ip, *port, |_| {})).collect();
    for (n, (ip, port)) in exporters.iter().enumerate() {
        let told = if n % 2 == 0 { &first } else { &second };
        let created = told.post("/api/v1/servers", &json!({"target": {"address": format!("{ip}:{port}")}}));
        assert_eq!(created.status, 201, "{created:?}");
    }
    for collector in [&first, &second] {
        eventually("all to be active everywhere", || {
            let active = collector.get("/api/v1/servers?status=active").json();
            (active["items"].as_array().unwrap().len() == exporters.len()).then_some(())
        });
    }
}
