//! What the past tells: history, uptime, events and incidents.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Site, registration};
use http::StatusCode;
use mect_fleet::reading::Reading;
use mect_fleet::store::{Event, EventKind};
use mect_fleet::{Failure, FailureReason, Outcome, Server, Timestamp};
use serde_json::{Value, json};

const STEP: Duration = Duration::from_secs(120);

fn up(cpu: f32) -> Outcome {
    Outcome::Up(Reading { cpu: Some(cpu), ram: Some(0.5), ..Reading::default() })
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureReason::ConnTimeout, ""))
}

/// Up, down from the 4th scrape after `at` on, up again from the 8th on.
fn a_fall_and_a_return() -> Vec<Outcome> {
    let mut outcomes = vec![up(0.1), up(0.3)];
    outcomes.extend((0..4).map(|_| failed()));
    outcomes.extend((0..4).map(|n| up(0.25 * n as f32)));
    outcomes
}

/// A site with two servers that fell together an hour ago and came back.
async fn site(start: Timestamp) -> (Site, Vec<Server>, String) {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    for server in &servers {
        site.scrape(server, start, a_fall_and_a_return()).await;
    }
    let token = site.token("viewer").await;
    (site, servers, token)
}

fn an_hour_ago() -> Timestamp {
    let now = Timestamp::now() - Duration::from_secs(3600);
    // On a full minute, so that steps begin where scrapes do.
    Timestamp::from_secs(now.as_secs() / 60 * 60)
}

#[tokio::test]
async fn history_comes_in_steps() {
    let start = an_hour_ago();
    let (site, servers, token) = site(start).await;
    let path = format!("/api/v1/servers/{}/history", servers[0].id);
    let end = start + STEP * 10;
    let answer = site.get_as(&token, &format!("{path}?from={start}&to={end}&step=2m")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let history = answer.json();
    assert_eq!(history["step_seconds"], 120.0);
    let steps = history["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10, "{history}");
    assert_eq!(steps[1]["cpu"], json!({"count": 1, "min": 30.0, "mean": 30.0, "p95": 30.0, "max": 30.0}));
    assert_eq!((&steps[2]["failures"], &steps[2]["cpu"]), (&json!(1), &Value::Null));

    let whole = site.get_as(&token, &format!("{path}?from={start}&to={end}&step=1d")).await.json();
    let checks: u64 = whole["steps"].as_array().unwrap().iter().map(|step| step["checks"].as_u64().unwrap()).sum();
    assert_eq!(checks, 10);
    assert_eq!(site.get_as(&token, &path).await.status, StatusCode::OK);

    for (query, named) in [
        ("step=0", "step: "),
        ("step=1w", "step: "),
        ("step=1s", "step: "),
        ("from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "from: "),
        ("from=2020-01-01T00:00:00Z", "from: "),
        ("to=tomorrow", "to: "),
        ("steps=5", "unknown parameter `steps`"),
        ("step=5m&step=5m", "step: "),
    ] {
        let answer = site.get_as(&token, &format!("{path}?{query}")).await;
        assert_eq!(answer.status.as_u16(), 422, "{query}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(named), "{query}: {}", answer.text());
    }
    for stranger in ["srv-aaaaaaaa", "nonsense", "%00"] {
        for part in ["history", "uptime", "events"] {
            let answer = site.get_as(&token, &format!("/api/v1/servers/{stranger}/{part}")).await;
            answer.is_problem(404, "Server not found");
        }
    }
}

#[tokio::test]
async fn uptime_counts_the_time_down() {
    let start = an_hour_ago();
    let (site, servers, token) = site(start).await;
    let uptime = site.get_as(&token, &format!("/api/v1/servers/{}/uptime", servers[0].id)).await.json();
    let windows = uptime["windows"].as_array().unwrap();
    assert_eq!(
        windows.iter().map(|window| window["window"].as_str().unwrap()).collect::<Vec<_>>(),
        ["24h", "7d", "30d"]
    );
    // Judged for an hour, down from the third failure to the second success after it: four minutes and a half at most.
    for window in windows {
        let ratio = window["ratio"].as_f64().unwrap();
        assert!(ratio > 0.8 && ratio < 0.98, "{window}");
    }
}

#[tokio::test]
async fn events_of_both_logs_are_one_list_newest_first() {
    let start = an_hour_ago();
    let (site, servers, token) = site(start).await;
    // Many at the very moment of the flips.
    let fall = start + STEP * 4;
    let mut events: Vec<_> = (0..30)
        .map(|n| Event { at: fall, kind: EventKind::CollectorJoined, server: None, detail: format!("{n}") })
        .collect();
    events.push(Event { at: fall + STEP, kind: EventKind::StoreLost, server: None, detail: "no primary".into() });
    events.push(Event {
        at: fall,
        kind: EventKind::ServerAdded,
        server: Some(servers[1].id),
        detail: "by admin".into(),
    });
    site.store.journal.append_events(events).await.unwrap();

    let all = site.get_as(&token, "/api/v1/events?limit=500").await.json();
    let all = all["items"].as_array().unwrap().clone();
    assert_eq!(all.len(), 38, "three flips of each server and 32 events");
    assert!(all.is_sorted_by(|newer, older| newer["at"].as_str() >= older["at"].as_str()));
    for limit in [1, 7, 37, 38] {
        let (mut seen, mut query) = (Vec::new(), format!("limit={limit}"));
        loop {
            let page = site.get_as(&token, &format!("/api/v1/events?{query}")).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            seen.extend(items.iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            query = format!("limit={limit}&cursor={next}");
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }

    let items = async |query: &str| {
        let answer = site.get_as(&token, &format!("/api/v1/{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    };
    let flips = items("events?kind=health_changed").await;
    assert_eq!(flips.len(), 6);
    let down = flips.iter().find(|flip| flip["to"] == "down").unwrap();
    assert_eq!(
        (&down["from"], &down["reason"], &down["number"]),
        (&json!("active"), &json!("conn_timeout"), &json!(2))
    );
    assert_eq!(items("events?kind=store_lost,store_back").await.len(), 1);
    let second = servers[1].id;
    assert_eq!(items(&format!("events?server={second}")).await.len(), 4);
    assert_eq!(items(&format!("servers/{second}/events")).await.len(), 4);
    assert_eq!(items(&format!("servers/{second}/events?kind=server_added")).await.len(), 1);
    assert_eq!(
        items(&format!("events?from={}", fall + STEP)).await.len()
            + items(&format!("events?to={}", fall + STEP)).await.len(),
        38
    );

    for (query, named) in [
        ("kind=nothing", "kind: "),
        ("server=de1", "server: "),
        ("limit=501", "limit: "),
        ("limit=0", "limit: "),
        ("cursor=zz", "cursor: "),
        ("from=x", "from: "),
        ("servers=1", "unknown parameter"),
    ] {
        let answer = site.get_as(&token, &format!("/api/v1/events?{query}")).await;
        assert_eq!(answer.status.as_u16(), 422, "{query}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(named), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn incidents_open_and_close() {
    let start = an_hour_ago();
    let (site, servers, token) = site(start).await;
    let lost = Event { at: start + STEP * 9, kind: EventKind::StoreLost, server: None, detail: "no primary".into() };
    site.store.journal.append_events(vec![lost]).await.unwrap();
    let items = async |query: &str| {
        let answer = site.get_as(&token, &format!("/api/v1/incidents?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    };
    let all = items("").await;
    assert_eq!(all.iter().map(|one| one["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["store_lost", "servers_down"]);
    assert_eq!(
        (&all[0]["state"], &all[0]["closed_at"], &all[0]["detail"]),
        (&json!("open"), &Value::Null, &json!("no primary"))
    );
    let fall = &all[1];
    assert_eq!((&fall["state"], &fall["server_count"]), (&json!("closed"), &json!(2)));
    // From the third failure to the second success.
    assert_eq!(fall["duration_seconds"], (STEP * 3).as_secs());
    let named: Vec<_> =
        fall["servers"].as_array().unwrap().iter().map(|part| part["server_id"].as_str().unwrap()).collect();
    assert!(servers.iter().all(|server| named.contains(&&*server.id.to_string())), "{fall}");
    assert_eq!(items("state=open").await, all[..1]);
    assert_eq!(items("kind=servers_down").await, all[1..]);
    let first = site.get_as(&token, "/api/v1/incidents?limit=1").await.json();
    let second = items(&format!("limit=1&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(second, all[1..]);
    assert!(items(&format!("to={start}")).await.is_empty());
    let answer = site.get_as(&token, "/api/v1/incidents?state=over").await;
    assert_eq!(answer.status.as_u16(), 422);
}
