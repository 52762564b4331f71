//! A Redis that is down, killed, frozen, or closed to us costs the live bus and nothing else.

use std::time::Duration;

use mect_testkit::free_port;

use super::*;

/// Both hear each other.
async fn assert_live(one: &Instance, other: &Instance, seconds: i64) {
    let mut seconds = seconds;
    let mut told = one.scrape(0, seconds);
    let mut tries = 0;
    until("the other to show a heartbeat", || {
        tries += 1;
        if tries % 50 == 0 {
            // What was told into a gap is lost: the next heartbeat is not.
            seconds += 1;
            told = one.scrape(0, seconds);
        }
        other.shown(0) == told
    })
    .await;
}

#[tokio::test]
async fn down_at_the_start_and_there_later() {
    let mut redis = Redis::start();
    redis.kill();
    let (one, other) = (Instance::start(&redis.url(), 1).await, Instance::start(&redis.url(), 0).await);
    one.scrape(0, 100);
    until("the failure to be counted", || one.link.errors() > 0 && !one.link.is_up()).await;
    redis.restart();
    assert_live(&one, &other, 220).await;
    until("the link to be up", || one.link.is_up()).await;
}

#[tokio::test]
async fn killed_while_in_use() {
    let mut redis = Redis::start();
    let one = Instance::start(&redis.url(), 1).await.joined().await;
    let other = Instance::start(&redis.url(), 0).await.joined().await;
    assert_live(&one, &other, 100).await;
    redis.kill();
    until("the failure", || !one.link.is_up()).await;
    let shown = one.scrape(0, 300);
    assert_eq!(one.shown(0), shown);
    redis.restart();
    assert_live(&one, &other, 400).await;
}

#[tokio::test]
async fn frozen_costs_the_budget_a_few_times_and_then_nothing() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 1).await.joined().await;
    let other = Instance::start(&redis.url(), 0).await.joined().await;
    assert_live(&one, &other, 100).await;
    redis.freeze();
    let ping = || vec![redis_ping()];
    until("the failure", || !one.link.is_up()).await;
    // Until the breaker opens a call waits for the budget, or for a new connection; then not at all.
    let mut answered_at_once = false;
    for _ in 0..10 {
        let started = Instant::now();
        assert!(!one.link.send(ping()).await);
        assert!(started.elapsed() < Duration::from_secs(10));
        answered_at_once |= started.elapsed() < CALL_BUDGET / 2;
    }
    assert!(answered_at_once, "the breaker never opened");
    redis.thaw();
    assert_live(&one, &other, 200).await;
}

fn redis_ping() -> redis::Cmd {
    redis::cmd("PING")
}

#[tokio::test]
async fn a_wrong_password_is_as_good_as_no_redis() {
    let redis = Redis::start_with_password("right");
    let wrong = format!("redis://:wrong@127.0.0.1:{}", redis.port());
    let one = Instance::start(&wrong, 1).await;
    let shown = one.scrape(0, 100);
    until("the failure", || one.link.errors() > 0).await;
    assert!(!one.link.is_up());
    assert_eq!(one.shown(0), shown);

    let one = Instance::start(&redis.url(), 1).await.joined().await;
    let other = Instance::start(&redis.url(), 0).await.joined().await;
    assert_live(&one, &other, 100).await;
}

#[tokio::test]
async fn collectors_with_different_secrets_do_not_hear_each_other() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 1).await.joined().await;
    let other = Instance::with_secret(&redis.url(), 0, b"another").await.joined().await;
    let before = other.shown(0);
    one.scrape(0, 100);
    until("the refusal", || other.link.refused() > 0).await;
    assert_eq!(other.shown(0), before);
}

#[tokio::test]
async fn a_cluster_and_a_unix_socket_do_as_well() {
    let cluster = Redis::start_cluster();
    // One of the named nodes is not there.
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", free_port(), cluster.port());
    let one = Instance::start(&url, 3).await;
    let other = Instance::start(&url, 0).await;
    assert_live(&one, &other, 100).await;
    one.cache();
    until("keys of three slots", || cluster.say(&["DBSIZE"]) == "3").await;

    let redis = Redis::start();
    let url = format!("redis+unix://{}", redis.socket().display());
    let one = Instance::start(&url, 1).await.joined().await;
    let other = Instance::start(&url, 0).await.joined().await;
    assert_live(&one, &other, 100).await;
}

#[tokio::test]
async fn tls_to_a_server_without_it_fails_like_any_other() {
    let redis = Redis::start();
    let link = Link::new(RedisUrl::parse(&format!("rediss://127.0.0.1:{}", redis.port())).unwrap());
    assert!(!link.send(vec![redis_ping()]).await);
    assert_eq!(link.errors(), 1);
}
