//! What else a Prometheus asks for: targets to scrape, pages of servers, probes in its own words, a reload.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::collected::Collected;
use common::{Site, registration};
use http::{StatusCode, header};
use mect_fleet::collecting::{NotReloaded, Reloaded};
use mect_fleet::store::Registration;
use mect_fleet::{EndpointReading, Failure, FailureReason, Outcome, Reading, Timestamp};
use serde_json::json;

#[tokio::test]
async fn targets_are_found_by_http() {
    let site = Site::new().await;
    let token = site.token("viewer").await;
    let empty = site.get_as(&token, "/api/v1/sd/prometheus").await;
    assert_eq!((empty.status, empty.text().as_str()), (StatusCode::OK, "[]"));
    assert_eq!(empty.header(header::CONTENT_TYPE), "application/json");

    let mut registrations: Vec<_> =
        (2..40).map(|n| registration(&format!("192.0.2.{n}"), &format!("host-{n}"))).collect();
    registrations.push(Registration {
        tags: ["edge", "premium"].map(|tag| tag.parse().unwrap()).into(),
        ..registration("192.0.2.1", "de1")
    });
    let servers = site.register(registrations).await;
    let site = site.collecting(Collected::of(&servers).collecting());
    let groups = site.get_as(&token, "/api/v1/sd/prometheus").await.json();
    let first = servers.iter().find(|server| server.ip == "192.0.2.1").unwrap();
    let group = groups.as_array().unwrap().iter().find(|group| group["targets"][0] == "192.0.2.1:9776").unwrap();
    assert_eq!(
        group["labels"],
        json!({
            "__scheme__": "http", "__metrics_path__": "/metrics", "__meta_vpn_server_id": first.id.to_string(),
            "__meta_vpn_hostname": "de1", "__meta_vpn_ip": "192.0.2.1", "__meta_vpn_country_code": "DE",
            "__meta_vpn_country": "Germany", "__meta_vpn_region": "Hesse", "__meta_vpn_city": "Frankfurt",
            "__meta_vpn_state": "pending", "__meta_vpn_tags": ",edge,premium,", "__meta_vpn_gaming": "false",
            "__meta_vpn_streaming": "false", "__meta_vpn_paid": "false", "__meta_vpn_static": "false",
            "__meta_vpn_enabled": "true", "__meta_vpn_draining": "false", "__meta_vpn_maintenance": "false",
        })
    );
    let targets = async |query: &str| -> BTreeSet<String> {
        let groups = site.get_as(&token, &format!("/api/v1/sd/prometheus?{query}")).await.json();
        groups.as_array().unwrap().iter().map(|group| group["targets"][0].as_str().unwrap().to_owned()).collect()
    };
    let (all, one, other) = (targets("").await, targets("shards=2&shard=0").await, targets("shards=2&shard=1").await);
    assert_eq!((all.len(), one.union(&other).count()), (39, 39));
    assert!(one.is_disjoint(&other));
    for (query, says) in [
        ("shards=2", "shards and shard: give both or none"),
        ("shards=2&shard=0&shard=1", "shard: given more than once"),
        ("shards=2&shard=2", "shard: `2` is not allowed; give a whole number from 0 to 1"),
        ("shard_count=2", "unknown parameter `shard_count`"),
    ] {
        site.get_as(&token, &format!("/api/v1/sd/prometheus?{query}")).await.is_problem(400, says);
    }
}

#[tokio::test]
async fn a_servers_page_is_probed() {
    let site = Site::new().await;
    let servers = site.register((1..4).map(|n| registration(&format!("192.0.2.{n}"), "x")).collect()).await;
    let refused = Failure::new(FailureReason::ConnRefused, "");
    let mut collected = Collected::of(&servers).with(&servers[0], Timestamp::now(), Ok("node_load1 1\n")).with(
        &servers[1],
        Timestamp::now(),
        Err(refused),
    );
    collected.live = Some((servers[0].id, "node_load1 2\n".to_owned()));
    let site = site.collecting(collected.collecting());
    let (viewer, admin) = (site.token("viewer").await, site.token("admin").await);
    let probe = async |token: &str, query: String| site.get_as(token, &format!("/probe?{query}")).await;
    let known = probe(&viewer, format!("server={}", servers[0].id)).await;
    assert_eq!((known.status, known.text().as_str()), (StatusCode::OK, "node_load1 1\n"));
    assert_eq!(known.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
    let live = format!("server={}&live=true", servers[0].id);
    probe(&viewer, live.clone()).await.is_problem(403, "Not enough permissions");
    assert_eq!(probe(&admin, live).await.text(), "node_load1 2\n");
    probe(&viewer, format!("server={}", servers[1].id))
        .await
        .is_problem(404, "There is no page: the latest scrape failed, connection refused");
    assert_eq!(probe(&viewer, format!("server={}", servers[2].id)).await.status, StatusCode::NOT_FOUND);
    probe(&viewer, "server=srv-zzzzzzzz".to_owned()).await.is_problem(404, "Server not found");
    probe(&viewer, String::new()).await.is_problem(422, "server: is missing");
    let elsewhere = probe(&admin, format!("server={}&live=true", servers[2].id)).await;
    assert_eq!(elsewhere.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_page_of_a_further_endpoint_is_probed_and_shown() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "x")]).await;
    let now = Timestamp::now();
    let [wireguard, lost, unknown] = ["9586", "9301", "1"].map(|port| format!("http://192.0.2.1:{port}/metrics"));
    let refused = Failure::new(FailureReason::ConnRefused, "");
    let told = [(&wireguard, None), (&lost, Some(refused))].map(|(url, failure)| EndpointReading {
        url: url.as_str().into(),
        duration_ms: 7,
        samples: 1,
        failures: u32::from(failure.is_some()),
        failure,
    });
    let reading = Reading { endpoints: Box::new(told), ..Reading::default() };
    site.scrape(&servers[0], now, vec![Outcome::Up(reading)]).await;
    let collected = Collected::of(&servers).with(&servers[0], now, Ok("node_load1 1\n"));
    let page = "wireguard_peers_total<b> 3\n";
    let site = site.collecting(collected.with_further(&servers[0], &wireguard, now, page).collecting());
    let (viewer, cookie) = (site.token("viewer").await, site.session("viewer").await);
    let id = servers[0].id;
    let probe = async |url: &str| site.get_as(&viewer, &format!("/probe?server={id}&endpoint={url}")).await;
    assert_eq!(probe(&wireguard).await.text(), page);
    assert_eq!(probe("http://192.0.2.1:9776/metrics").await.text(), "node_load1 1\n", "the main one by its URL");
    probe(&lost).await.is_problem(404, "There is no page: the latest scrape failed, connection refused");
    probe(&unknown).await.is_problem(422, "endpoint: the server has no endpoint at this URL");
    let encoded = wireguard.replace(':', "%3A").replace('/', "%2F");
    let path = format!("/servers/{id}/exposition?endpoint={encoded}");
    let server_page = site.visit(&cookie, &format!("/servers/{id}")).await.text();
    assert!(server_page.contains(&format!("href=\"{path}\"")), "{server_page}");
    let shown = site.visit(&cookie, &path).await.text();
    let escaped = shown.contains("wireguard_peers_total&#60;b&#62; 3") && !shown.contains("node_load1");
    assert!(escaped && shown.contains("1 samples") && shown.contains(&wireguard), "{shown}");
    let found = site.visit(&cookie, &format!("{path}&q=nothing")).await.text();
    assert!(found.contains(&format!("href=\"{path}\">Show all")) && found.contains("0 of 1 lines"), "{found}");
    let failed = site.visit(&cookie, &path.replace("9586", "9301")).await.text();
    assert!(failed.contains("connection refused"), "{failed}");
}

#[tokio::test]
async fn probes_speak_prometheus_too() {
    let site = Site::new().await;
    assert_eq!(site.get("/-/healthy").await.text(), "Mect VPN Monitor is Healthy.\n");
    assert_eq!(site.get("/-/ready").await.text(), "Mect VPN Monitor is Ready.\n");
}

#[tokio::test]
async fn a_reload_is_for_admins_and_goes_into_the_audit() {
    let site = Site::new().await;
    let reloading = |site: Site, reloaded| {
        let mut collected = Collected::of(&[]);
        collected.reloaded = Some(reloaded);
        site.collecting(collected.collecting())
    };
    let (viewer, admin, root) = (site.token("viewer").await, site.token("admin").await, site.token("root").await);
    assert_eq!(site.json_as(&admin, "POST", "/-/reload", "").await.status, StatusCode::NOT_FOUND);
    let reloaded = Reloaded {
        targets: 3,
        taken: vec!["targets".into()],
        needs_restart: vec!["web.listen".into()],
        problems: vec!["targets.yml: line 3".into()],
    };
    let site = reloading(site, Ok(reloaded));
    site.json_as(&viewer, "POST", "/-/reload", "").await.is_problem(403, "Not enough permissions");
    let answer = site.json_as(&admin, "POST", "/-/reload", "").await;
    let expected = json!({
        "targets": 3, "taken": ["targets"], "needs_restart": ["web.listen"], "problems": ["targets.yml: line 3"],
    });
    assert_eq!(answer.json(), expected);
    let audit = site.get_as(&root, "/api/v1/audit?action=configuration.reload").await.text();
    assert!(audit.contains("\"admin\"") && audit.contains("web.listen"), "{audit}");

    let site = reloading(site, Err(NotReloaded("collector.toml:3: unknown key".into())));
    site.json_as(&admin, "POST", "/-/reload", "").await.is_problem(422, "collector.toml:3: unknown key");
}
