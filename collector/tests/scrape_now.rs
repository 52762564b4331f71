//! A server added by its form and scraped when somebody wants it, with the real exporter.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use mect_testkit::mongo::ReplicaSet;
use serde_json::json;
use support::collector::{Collector, Home};
use support::http::{self, Answer};
use support::{eventually, exporter, free_port};

/// No regular scrape but the first two comes while a test runs.
const SLOW: &str = "[scrape]\ninterval_seconds = 600\nrecheck_seconds = 0.2\n";

/// A form, sent as admin.
fn submit(collector: &Collector, path: &str, form: &[(&str, &str)]) -> Answer {
    http::post_form(&format!("{}{path}", collector.url), form, &[("authorization", &collector.bearer())]).unwrap()
}

fn page(collector: &Collector, path: &str) -> String {
    let answer = collector.get(path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The server at that address, as the old REST shows it.
fn id_of(collector: &Collector, ip: &str) -> String {
    collector.server_when("the server", ip, |_| true)["server_id"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_asks_sees_what_the_exporter_says_now() {
    let ip = Ipv4Addr::new(127, 0, 0, 71);
    let port = free_port(ip);
    let mut host = exporter(ip, port, |_| {});
    let home = Home::new(SLOW);
    let collector = home.start();
    let added = submit(&collector, "/servers/add", &[("address", &format!("{ip}:{port}")), ("hostname", "by-form")]);
    assert_eq!(added.status, 303, "{added:?}");
    let path = format!("/servers/{}", id_of(&collector, &ip.to_string()));
    eventually("the page to show the first scrape", || page(&collector, &path).contains("Active since ").then_some(()));
    assert!(page(&collector, &format!("{path}/exposition")).contains("\nnode_load1 "), "every page is kept");

    let scraped = submit(&collector, &format!("{path}/scrape"), &[]);
    assert_eq!(scraped.status, 303, "{scraped:?}");
    let shown = page(&collector, &format!("{path}/exposition"));
    assert!(shown.contains("\nnode_load1 ") && shown.contains("node_memory_MemTotal_bytes"), "{shown}");
    let found = page(&collector, &format!("{path}/exposition?q=NODE_load1+help"));
    assert!(found.contains("# HELP node_load1 ") && !found.contains("\nnode_load1 "), "{found}");
    // It was a scrape as any other: judged and recorded.
    let since = collector.get(&format!("/api/v1{path}/history?step=1s&from={}", half_an_hour_ago()));
    let checks: u64 = since.json()["steps"].as_array().unwrap().iter().filter_map(|step| step["checks"].as_u64()).sum();
    assert!(checks >= 2, "{since:?}");

    host.kill();
    let failed = submit(&collector, &format!("{path}/scrape"), &[]);
    assert_eq!(failed.status, 303, "{failed:?}");
    let shown = page(&collector, &format!("{path}/exposition"));
    assert!(shown.contains("Failed</span>: connection refused") && !shown.contains("<pre"), "{shown}");
    eventually("the failure on the server's page", || {
        page(&collector, &path).contains("connection refused").then_some(())
    });
}

/// RFC 3339; the second is the shortest step of so long a span.
fn half_an_hour_ago() -> String {
    (mect_fleet::Timestamp::now() - std::time::Duration::from_secs(1800)).to_string()
}

#[test]
fn only_the_collector_that_holds_a_server_scrapes_it() {
    let ip = Ipv4Addr::new(127, 0, 0, 72);
    let port = free_port(ip);
    let _host = exporter(ip, port, |_| {});
    let set = ReplicaSet::start(1);
    let start = || {
        let mut home = Home::new(SLOW);
        home.set("MONGO_URL", &set.url("scrape_now"));
        home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
        let collector = home.start();
        (home, collector)
    };
    let (_first_home, first) = start();
    let new = json!({"target": {"address": format!("{ip}:{port}")}});
    assert_eq!(first.post("/api/v1/servers", &new).status, 201);
    let (_second_home, second) = start();
    let id = id_of(&first, &ip.to_string());
    let path = format!("/servers/{id}/scrape");
    // While the two divide the fleet, both may have it for a moment, or neither.
    eventually("one of the two to hold it", || {
        let answers = [&first, &second].map(|one| submit(one, &path, &[]));
        let is_refused = |answer: &&Answer| {
            answer.status == 409 && answer.body.contains("This collector does not scrape that server")
        };
        let refused = answers.iter().filter(is_refused).count();
        let scraped = answers.iter().filter(|answer| answer.status == 303).count();
        (refused == 1 && scraped == 1).then_some(())
    });
}
