//! Two real collectors on one real MongoDB, joined by one real Redis: each knows at once what the other one saw.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use mect_testkit::mongo::ReplicaSet;
use mect_testkit::redis::Redis;
use support::collector::{Collector, Home, PASSWORD};
use support::{eventually, exporter, free_port, http};

fn home(config: &str, mongo: &ReplicaSet, redis: &Redis) -> Home {
    let mut home = Home::new(config);
    home.set("MONGO_URL", &mongo.url("mect"));
    home.set("REDIS_URL", &redis.url());
    home.set("SECRET_KEY", "one key for all collectors of a fleet");
    home
}

fn try_login(collector: &Collector, password: &str) -> u16 {
    let form = [("username", "admin"), ("password", password)];
    http::post_form(&format!("{}/token", collector.url), &form, &[]).unwrap().status
}

/// Waits for a later heartbeat than the one that is shown now.
#[track_caller]
fn next_heartbeat(collector: &Collector, ip: &str) {
    let before = collector.server_when("the server", ip, |_| true);
    collector.server_when("a later heartbeat", ip, |server| server["last_heartbeat"] != before["last_heartbeat"]);
}

#[test]
fn what_one_sees_the_other_shows_and_guesses_count_for_both() {
    let (mongo, redis) = (ReplicaSet::start(1), Redis::start_with_password("hunter2"));
    let ip = Ipv4Addr::new(127, 0, 0, 66);
    let port = free_port(ip);
    let _exporter = exporter(ip, port, |_| {});
    let scrape = "[scrape]\ninterval_seconds = 0.5\ntimeout_seconds = 0.5\n";
    let config = format!("{scrape}[[targets]]\naddress = \"{ip}:{port}\"\n");
    let one = home(&config, &mongo, &redis);
    let ip = ip.to_string();
    let one = one.start();
    one.server_when("an active server", &ip, |server| server["status"] == "active");

    // One of them scrapes it, whichever has its shard.
    let other = home(&config, &mongo, &redis);
    let other_log = || other.log();
    let other = other.start();
    for _ in 0..3 {
        next_heartbeat(&one, &ip);
        next_heartbeat(&other, &ip);
    }
    let held = |collector: &Collector| -> Option<u32> {
        let about = collector.get("/about").body;
        assert!(about.contains("MongoDB, answers") && about.contains("Redis answers"), "{about}");
        about.split_once(" of 256</dd>")?.0.rsplit_once("<dd>")?.1.parse().ok()
    };
    eventually("each to hold a part of the shards", || {
        let (one, other) = (held(&one)?, held(&other)?);
        (one > 0 && other > 0 && one + other == 256).then_some(())
    });
    redis.flush_all();
    next_heartbeat(&one, &ip);
    next_heartbeat(&other, &ip);

    for _ in 0..10 {
        assert_eq!(try_login(&one, "wrong"), 401);
    }
    assert_eq!(try_login(&one, PASSWORD), 429);
    eventually("the other one to refuse as well", || (try_login(&other, PASSWORD) == 429).then_some(()));

    // Without Redis both go on, each by itself.
    redis.freeze();
    next_heartbeat(&one, &ip);
    assert_eq!(other.get("/servers?all_servers=true").status, 200);
    redis.thaw();
    next_heartbeat(&other, &ip);
    assert!(!other_log().contains("hunter2") && !other_log().contains("not believed"), "{}", other_log());
}
