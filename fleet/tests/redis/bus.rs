//! What one collector tells is known to the others at once; what anybody else says is not believed.

use mect_fleet::News;

use super::*;

#[tokio::test]
async fn a_recorded_standing_shows_elsewhere_but_never_over_ones_own() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 2).await.joined().await;
    let other = Instance::start(&redis.url(), 1).await.joined().await;
    let before = other.shown(0);
    let told = [one.scrape(0, 100), one.scrape(1, 100)];
    until("the other to show it", || other.shown(1) == told[1]).await;
    assert_eq!(other.shown(0), before, "the other scrapes this one itself");

    let newer = one.scrape(1, 220);
    one.neighbours.peers.tell_standings([(one.servers[1].id, &told[1])].into_iter());
    one.neighbours.peers.tell(News::User("end".into()));
    assert_eq!(other.changed_user().await, "end");
    assert_eq!(other.shown(1), newer, "an older one sets nothing back");
}

#[tokio::test]
async fn edits_users_and_failed_logins_are_told() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 0).await.joined().await;
    let other = Instance::start(&redis.url(), 0).await.joined().await;

    one.fleet.register(vec![story::registration(9)], Timestamp::now()).await.unwrap();
    tokio::time::timeout(PATIENCE, other.look.notified()).await.expect("the edit is told");

    one.neighbours.peers.tell(News::User("admin".into()));
    assert_eq!(other.changed_user().await, "admin");

    let now = Instant::now();
    for _ in 0..10 {
        let attempt = one.neighbours.throttle.enter("admin", None, now).unwrap();
        one.neighbours.throttle.failed(&attempt);
    }
    let refused = || match other.neighbours.throttle.enter("admin", None, now) {
        Err(_) => true,
        Ok(attempt) => {
            other.neighbours.throttle.give_back(&attempt);
            false
        }
    };
    until("the failed logins to count elsewhere", refused).await;
    assert!(other.neighbours.throttle.enter("viewer", None, now).is_ok());
}

/// What an attacker with access to Redis would like the fleet to show.
fn poison(server: &Server) -> Standing {
    let mut standing = Standing { last_scrape: Some(Timestamp::now()), ..Standing::default() };
    standing.state.health = mect_fleet::Health::Down;
    standing.state.transitions = u64::MAX;
    assert!(server.enabled);
    standing
}

#[tokio::test]
async fn what_is_not_signed_is_not_believed() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 1).await.joined().await;
    let other = Instance::start(&redis.url(), 0).await.joined().await;
    let before = other.shown(0);
    let server = &one.servers[0];

    let poisoned = News::Standings(vec![(server.id, poison(server))]);
    let (mut forger, _) = pair(b"not the secret").unwrap();
    let forged = forger.seal(&poisoned, Timestamp::now()).unwrap();
    let unsigned = serde_json::to_vec(&poisoned).unwrap();
    let huge = vec![b'x'; 2 << 20];
    for message in [&forged[..], &unsigned, &huge, b"", b"\xff\x00"] {
        redis.say_bytes(&[b"PUBLISH", CHANNEL.as_bytes(), message]);
    }
    until("all five to be refused", || other.link.refused() >= 5).await;
    assert_eq!(other.shown(0), before);

    let told = one.scrape(0, 100);
    until("the true one to show", || other.shown(0) == told).await;
}

#[tokio::test]
async fn a_recorded_message_is_not_believed_again() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 0).await.joined().await;
    let (mut other, _) = pair(SECRET).unwrap();
    let message = other.seal(&News::User("admin".into()), Timestamp::now()).unwrap();
    for _ in 0..3 {
        redis.say_bytes(&[b"PUBLISH", CHANNEL.as_bytes(), &message]);
    }
    until("the repetitions to be refused", || one.link.refused() == 2).await;
    assert_eq!(one.changed_user().await, "admin", "once");
}

#[tokio::test]
async fn a_standing_from_the_future_is_not_believed() {
    let redis = Redis::start();
    let one = Instance::start(&redis.url(), 0).await.joined().await;
    let before = one.shown(0);
    let (mut other, _) = pair(SECRET).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let late = Standing { last_scrape: Some(Timestamp::now() + day), ..Standing::default() };
    for news in [News::Standings(vec![(one.servers[0].id, late)]), News::User("end".into())] {
        let message = other.seal(&news, Timestamp::now()).unwrap();
        redis.say_bytes(&[b"PUBLISH", CHANNEL.as_bytes(), &message]);
    }
    assert_eq!(one.changed_user().await, "end");
    assert_eq!(one.shown(0), before);
}
