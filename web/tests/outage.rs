//! While the store is away: who was known still sees the fleet, nobody changes anything, and it is said so.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{PASSWORD, Site, registration};
use mect_fleet::store::{Record, StoreState, story};
use mect_fleet::{Doubt, Report, Rule, Timestamp};

const SINCE: Timestamp = Timestamp::from_secs(1_795_000_000);
const LOST: StoreState = StoreState::Lost { since: SINCE };
const LOST_TEXT: &str = "The database does not answer: nothing can be changed until it is back";

/// A site with one server, a token and a session that were both used, and the store away since.
async fn lost_site() -> (Site, String, String) {
    let site = Site::new().await;
    site.register(vec![registration("192.0.2.1", "de1")]).await;
    let (token, cookie) = (site.token("admin").await, site.session("viewer").await);
    assert_eq!(site.get_as(&token, "/servers").await.status, 200);
    assert_eq!(site.visit(&cookie, "/").await.status, 200);
    site.fleet.set_store_state(LOST);
    (site, token, cookie)
}

#[tokio::test]
async fn who_was_known_still_sees_the_fleet() {
    let (site, token, cookie) = lost_site().await;
    for path in ["/servers", "/servers?all_servers=true", "/metrics", "/users/me"] {
        assert_eq!(site.get_as(&token, path).await.status, 200, "{path}");
    }
    let page = site.visit(&cookie, "/").await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("de1") && text.contains("has not answered since 2026-11-18 11:06:40 UTC"), "{text}");
    assert!(text.contains("edits are off") && text.contains("Not known while the database"), "{text}");
    site.fleet.set_store_state(StoreState::Answers);
    let text = site.visit(&cookie, "/").await.text();
    assert!(!text.contains("has not answered") && text.contains("<div id=\"outage\" data-live></div>"), "{text}");
}

#[tokio::test]
async fn nothing_is_changed_and_clients_are_told_when_to_come_back() {
    let (site, token, cookie) = lost_site().await;
    let patch = site.json_as(&token, "PATCH", "/server/192.0.2.1/config", r#"{"gaming":true}"#).await;
    patch.is_problem(503, LOST_TEXT);
    assert_eq!(patch.header("retry-after"), "5");
    let login = site.try_token("admin", PASSWORD).await;
    login.is_problem(503, LOST_TEXT);
    assert_eq!(login.header("retry-after"), "5");
    for (path, form) in [
        ("/server/192.0.2.1/flags", "gaming=true"),
        ("/password", "current_password=a&new_password=b&repeat_password=b"),
        ("/login", "username=viewer&password=correct+horse+battery"),
    ] {
        let answer = site.submit(&cookie, path, form).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"), "{path}");
        assert!(answer.text().contains(LOST_TEXT), "{path}: {}", answer.text());
    }
    site.fleet.set_store_state(StoreState::Answers);
    let patch = site.json_as(&token, "PATCH", "/server/192.0.2.1/config", r#"{"gaming":true}"#).await;
    assert_eq!(patch.status, 200, "{}", patch.text());
}

#[tokio::test]
async fn strangers_stay_strangers() {
    let (site, ..) = lost_site().await;
    assert_eq!(site.get("/servers").await.status, 401);
    assert_eq!(site.get_as("forged", "/servers").await.status, 401);
    // It may be a good one: that is for the store to say.
    let unseen = format!("mect_session={}", "ab".repeat(32));
    assert_eq!(site.visit(&unseen, "/").await.status, 503);
}

#[tokio::test]
async fn who_signs_out_is_out_for_good() {
    let (site, _, cookie) = lost_site().await;
    let answer = site.submit(&cookie, "/logout", "").await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    for state in [LOST, StoreState::Answers] {
        site.fleet.set_store_state(state);
        let page = site.visit(&cookie, "/").await;
        assert_eq!((page.status.as_u16(), page.header("location")), (303, "/login?next=%2F"), "{state:?}");
    }
}

#[tokio::test]
async fn memory_is_believed_for_an_hour() {
    let (site, token, cookie) = lost_site().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(59 * 60)).await;
    assert_eq!(site.get_as(&token, "/servers").await.status, 200);
    assert_eq!(site.visit(&cookie, "/").await.status, 200);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(site.get_as(&token, "/servers").await.status, 503);
    assert_eq!(site.visit(&cookie, "/").await.status, 503);
}

#[tokio::test]
async fn ready_is_who_can_serve() {
    let (site, ..) = lost_site().await;
    let answer = site.get("/readyz").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "ready\nstore: does not answer since 2026-11-18T11:06:40Z\n");
    site.fleet.set_store_state(StoreState::Answers);
    assert_eq!(site.get("/readyz").await.text(), "ready\nstore: answers\n");
}

#[tokio::test]
async fn what_is_old_is_marked() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let (token, cookie) = (site.token("viewer").await, site.session("viewer").await);
    site.fleet.set_interval(Duration::from_secs(60));
    let now = Timestamp::now();
    site.scrape(&servers[0], now - Duration::from_secs(151), vec![story::heartbeat(1)]).await;
    site.scrape(&servers[1], now - Duration::from_secs(120), vec![story::heartbeat(1)]).await;
    let stale = async |path| {
        let list = site.get_as(&token, path).await.json();
        list.as_array().unwrap().iter().map(|server| server["stale"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(stale("/servers?all_servers=true").await, [true, false]);
    assert_eq!(stale("/servers").await.len(), 2, "clients still get the last that is known");
    assert_eq!(site.visit(&cookie, "/").await.text().matches("class=\"stale\"").count(), 1);

    // Nothing more is told, and time goes by: that alone is worth a new snapshot.
    site.fleet.publish(now + Duration::from_secs(40));
    assert_eq!(stale("/servers?all_servers=true").await, [true, true]);
    site.scrape(&servers[0], Timestamp::now(), vec![story::heartbeat(2)]).await;
    assert_eq!(stale("/servers?all_servers=true").await, [false, false]);
}

#[tokio::test]
async fn who_cannot_be_verified_keeps_its_place_and_is_marked() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let (token, cookie) = (site.token("viewer").await, site.session("viewer").await);
    let now = Timestamp::now();
    for server in &servers {
        site.scrape(server, now, vec![story::heartbeat(1)]).await;
    }
    let before = site.get_as(&token, "/servers").await.json();
    let mut standing = site.fleet.standing(servers[0].id).unwrap();
    for _ in 0..5 {
        let outcome = story::failed();
        let report = Report { server: servers[0].id, at: now, duration_ms: 1, samples: 0, outcome };
        let transition = standing.observe(&Rule::default(), &report, Some(Doubt::NoWitness));
        assert_eq!(transition, None);
        site.fleet.apply(&[Record { report, standing: standing.clone(), transition, epoch: 0 }]);
    }
    site.fleet.publish(now);
    let after = site.get_as(&token, "/servers").await.json();
    let addresses = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|server| server["ip"].to_string()).collect()
    };
    assert_eq!(addresses(&after), addresses(&before));
    let marked = after.as_array().unwrap().iter().filter(|server| server["unverified"] == true).count();
    assert_eq!(marked, 1, "{after}");
    let page = site.visit(&cookie, "/").await;
    assert!(page.text().contains(">unverified</span>"), "{}", page.text());
    assert!(page.text().contains("our own network may be to blame"), "{}", page.text());
}
