//! `server:{ip}` keys, as other programs read them.

use super::*;

fn key(server: &Server) -> String {
    format!("server:{}", server.ip)
}

#[tokio::test]
async fn own_servers_have_keys_that_follow_each_heartbeat_and_expire() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 2).await;
    one.cache();
    let [first, second, foreign] = &one.servers[..] else { panic!("three servers") };
    until("both keys", || redis.say(&["DBSIZE"]) == "2").await;
    assert_eq!(redis.say(&["GET", &key(first)]), "host-1 None");
    assert_eq!(redis.say(&["EXISTS", &key(foreign)]), "0");
    let ttl: u64 = redis.say(&["TTL", &key(first)]).parse().unwrap();
    assert!((500..=600).contains(&ttl), "{ttl}");

    redis.say(&["SET", &key(second), "as it was"]);
    one.scrape(0, 100);
    until("the new heartbeat", || redis.say(&["GET", &key(first)]) == "host-1 Some(100)").await;
    assert_eq!(redis.say(&["GET", &key(second)]), "as it was", "what did not change is not written");
}

#[tokio::test]
async fn poisoned_and_flushed_keys_are_written_again_and_never_read() {
    let redis = Redis::start();
    let server = inventory().remove(0);
    redis.say(&["RPUSH", &key(&server), "not", "a", "text"]);
    let one = Instance::start(&redis.url(), 1).await;
    one.cache();
    until("the key", || redis.say(&["GET", &key(&server)]) == "host-1 None").await;

    redis.say(&["SET", &key(&server), "{\"status\":\"down\"}"]);
    let before = one.fleet.view();
    one.scrape(0, 100);
    until("the key after poison", || redis.say(&["GET", &key(&server)]) == "host-1 Some(100)").await;
    redis.flush_all();
    one.scrape(0, 220);
    until("the key after a flush", || redis.say(&["GET", &key(&server)]) == "host-1 Some(220)").await;
    assert_eq!(before.servers().len(), one.fleet.view().servers().len());
}

#[tokio::test]
async fn what_could_not_be_written_is_written_later() {
    let mut redis = Redis::start();
    let one = Instance::start(&redis.url(), 1).await;
    one.cache();
    let key = key(&one.servers[0]);
    until("the key", || redis.say(&["GET", &key]) == "host-1 None").await;
    redis.kill();
    one.scrape(0, 100);
    until("the failure", || !one.link.is_up()).await;
    redis.restart();
    let mut tries = 0;
    until("the key of the last heartbeat", || {
        // Any new view is an occasion.
        tries += 1;
        one.fleet.set_monitored(&one.servers[tries % 2..].iter().map(|s| s.id).collect(), Timestamp::now());
        redis.say(&["GET", &key]) == "host-1 Some(100)"
    })
    .await;
}
