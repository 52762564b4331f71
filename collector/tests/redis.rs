//! A real collector with a real Redis: other programs find the servers there, and without it nothing but that changes.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use mect_testkit::free_port;
use mect_testkit::redis::Redis;
use serde_json::{Value, json};
use support::collector::{Collector, Home, PASSWORD};
use support::{Program, eventually, exporter, http};

/// A host of its own for each test, and a collector's home that scrapes it twice a second.
fn host(last: u8) -> (Program, Home, String) {
    let ip = Ipv4Addr::new(127, 0, 0, last);
    let port = support::free_port(ip);
    let config = format!(
        "[web]\nopen_metrics = true\n[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\n\
         [[targets]]\naddress = \"{ip}:{port}\"\n"
    );
    (exporter(ip, port, |_| {}), Home::new(&config), ip.to_string())
}

fn metric(collector: &Collector, name: &str) -> f64 {
    let page = collector.get("/metrics").body;
    let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).split(' ').nth(1).unwrap().parse().unwrap()
}

#[track_caller]
fn key(redis: &Redis, ip: &str) -> Option<Value> {
    serde_json::from_str(&redis.say(&["GET", &format!("server:{ip}")])).ok()
}

#[test]
fn other_programs_find_each_server_as_rest_shows_it() {
    let redis = Redis::start_with_password("hunter2");
    let (exporter, mut home, ip) = host(61);
    home.set("REDIS_URL", &redis.url());
    let collector = home.start();
    let shown = collector.server_when("load", &ip, |server| server["load"]["cpu"].is_number());
    assert_eq!(shown["status"], "active");
    eventually("the key to say what REST says", || {
        let server = collector.all_servers().remove(0);
        (key(&redis, &ip)? == server).then_some(())
    });
    let ttl: u32 = redis.say(&["TTL", &format!("server:{ip}")]).parse().unwrap();
    assert!((590..=600).contains(&ttl), "{ttl}");

    drop(exporter);
    eventually("the key to say that it is down", || (key(&redis, &ip)?["status"] == "down").then_some(()));
    redis.flush_all();
    eventually("the key after a flush", || key(&redis, &ip));
    assert_eq!(metric(&collector, "mect_redis_up"), 1.0);
    assert!(collector.get("/about").body.contains("Redis answers"));
    collector.stop();
    assert!(!home.log().contains("hunter2"), "{}", home.log());
}

/// What a client sees must not depend on Redis: it signs in, the server is listed, and heartbeats go on.
#[track_caller]
fn assert_serves(collector: &Collector, ip: &str) {
    let form = [("username", "admin"), ("password", PASSWORD)];
    let login = http::post_form(&format!("{}/token", collector.url), &form, &[]).unwrap();
    assert_eq!(login.status, 200, "{login:?}");
    let before = collector.server_when("a heartbeat", ip, |server| server["last_heartbeat"].is_string());
    collector.server_when("the next heartbeat", ip, |server| server["last_heartbeat"] != before["last_heartbeat"]);
    let listed = collector.get("/servers").json();
    assert_eq!((listed[0]["ip"].as_str(), listed[0]["status"].as_str()), (Some(ip), Some("active")));
    let flags = collector.patch(&format!("/server/{ip}/config"), &json!({"gaming": true}));
    assert_eq!(flags.status, 200, "{flags:?}");
}

#[test]
fn down_at_the_start_killed_and_frozen_change_no_answer() {
    let mut redis = Redis::start();
    redis.kill();
    let (_exporter, mut home, ip) = host(62);
    home.set("REDIS_URL", &redis.url());
    let collector = home.start();
    assert_serves(&collector, &ip);
    assert_eq!(metric(&collector, "mect_redis_up"), 0.0);

    redis.restart();
    eventually("the key", || key(&redis, &ip));
    assert_serves(&collector, &ip);
    redis.freeze();
    eventually("the outage to be noticed", || (metric(&collector, "mect_redis_up") == 0.0).then_some(()));
    assert_serves(&collector, &ip);
    redis.thaw();
    eventually("Redis to be back", || (metric(&collector, "mect_redis_up") == 1.0).then_some(()));
    redis.kill();
    assert_serves(&collector, &ip);
    assert!(metric(&collector, "mect_redis_errors_total") > 0.0);
    collector.stop();
    let log = home.log();
    // Each change is told once, however often a call fails.
    assert!((2..=3).contains(&log.matches("Redis does not answer").count()), "{log}");
}

#[test]
fn a_wrong_password_and_poisoned_keys_change_no_answer() {
    let redis = Redis::start_with_password("right");
    let (_exporter, mut home, ip) = host(63);
    home.set("REDIS_URL", &format!("redis://:hunter2@127.0.0.1:{}", redis.port()));
    let collector = home.start();
    assert_serves(&collector, &ip);
    assert_eq!(metric(&collector, "mect_redis_up"), 0.0);
    collector.stop();
    assert!(!home.log().contains("hunter2"), "{}", home.log());

    home.set("REDIS_URL", &redis.url());
    let poison = json!({"ip": ip, "status": "down", "enabled": false}).to_string();
    redis.say(&["SET", &format!("server:{ip}"), &poison]);
    for key in ["user:admin", "users:admin", "session:admin", "role:admin"] {
        redis.say(&["SET", key, r#"{"username":"admin","role":"readonly"}"#]);
    }
    let collector = home.start();
    redis.say(&["PUBLISH", "mect:bus:v1", &poison]);
    assert_serves(&collector, &ip);
    eventually("the poison to be overwritten", || (key(&redis, &ip)?["status"] == "active").then_some(()));
    eventually("the message to be refused", || {
        redis.say(&["PUBLISH", "mect:bus:v1", &poison]);
        (metric(&collector, "mect_redis_messages_refused_total") > 0.0).then_some(())
    });
    assert_serves(&collector, &ip);
}

#[test]
fn a_cluster_url_is_accepted() {
    let redis = Redis::start_cluster();
    let (_exporter, mut home, ip) = host(64);
    let file = home.path().join("redis-url");
    std::fs::write(&file, format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}\n", redis.port(), free_port())).unwrap();
    home.set("REDIS_URL_FILE", file.to_str().unwrap());
    let collector = home.start();
    eventually("the key", || key(&redis, &ip));
    assert_serves(&collector, &ip);
}
