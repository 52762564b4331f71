//! `GET /servers` and `PATCH /server/{ip}/config`.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read;

use axum::body::Body;
use common::{Site, authorized, registration};
use http::{StatusCode, header};
use mect_fleet::store::story;
use mect_fleet::{Outcome, Reading, Service, ServiceReading, Timestamp};
use serde_json::{Value, json};

fn reading(cpu: f32, squid: bool) -> Outcome {
    let unit = |service, unit: &str, active| ServiceReading { service, unit: unit.into(), active, rung: None };
    Outcome::Up(Reading {
        cpu: Some(cpu),
        ram: Some(0.25),
        services: Box::new([
            unit(Service::Squid, "squid.service", squid),
            unit(Service::WireGuard, "wg-quick@wg0.service", true),
            unit(Service::WireGuard, "wg-quick@wg1.service", squid),
        ]),
        ..Reading::default()
    })
}

/// de1 busy, de2 idle, de3 degraded, de4 down, de5 never scraped, de6 disabled.
async fn site() -> Site {
    let site = Site::new().await;
    let names = ["de1", "de2", "de3", "de4", "de5", "de6"];
    let servers = (1..).zip(names).map(|(n, name)| registration(&format!("192.0.2.{n}"), name)).collect();
    let servers = site.register(servers).await;
    let at = Timestamp::from_millis(1_795_490_239_250);
    site.scrape(&servers[0], at, vec![reading(0.123_456, true)]).await;
    site.scrape(&servers[1], at, vec![reading(0.05, true)]).await;
    site.scrape(&servers[2], at, vec![reading(0.01, false)]).await;
    site.scrape(&servers[3], at, vec![reading(0.5, true), story::failed(), story::failed(), story::failed()]).await;
    site.scrape(&servers[5], at, vec![reading(0.0, true)]).await;
    let token = site.token("admin").await;
    let answer = site.json_as(&token, "PATCH", "/server/192.0.2.6/config", r#"{"enabled":false}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    site
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|server| server["hostname"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn clients_get_usable_servers_best_first() {
    let site = site().await;
    let token = site.token("viewer").await;
    let list = site.get_as(&token, "/servers").await;
    assert_eq!(list.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(names(&list.json()), ["de1", "de2", "de3"]);
    let all = site.get_as(&token, "/servers?all_servers=true").await.json();
    assert_eq!(names(&all), ["de1", "de2", "de3", "de4", "de5", "de6"]);
    let words: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["status"].as_str().unwrap(), one["health"].as_str().unwrap()))
        .collect();
    let expected =
        [("active", "active"), ("active", "active"), ("active", "degraded"), ("down", "down"), ("pending", "pending")];
    assert_eq!(words[..5], expected);
    assert_eq!(names(&site.get_as(&token, "/servers?all_servers=false").await.json()).len(), 3);
    assert!(names(&site.get_as(&token, "/servers?all_servers=True").await.json()).len() > 3, "as Python writes it");
    assert_eq!(site.get_as(&token, "/servers?all_servers=maybe").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_shape_is_the_one_that_clients_know() {
    let site = site().await;
    let all = site.get_as(&site.token("viewer").await, "/servers?all_servers=true").await;
    let mut list = all.json();
    let id = list[2]["server_id"].take();
    assert!(id.as_str().unwrap().starts_with("srv-"));
    assert!(list[2]["stale"].take().is_boolean());
    assert_eq!(
        list[2],
        json!({
            "server_id": null, "stale": null, "unverified": false, "ip": "192.0.2.3", "hostname": "de3",
            "countryCode": "DE", "country": "Germany", "region": "Hesse", "city": "Frankfurt",
            "status": "active", "health": "degraded", "score": 1.25, "failure": null,
            "last_heartbeat": "2026-11-24T03:17:19.25Z", "first_heartbeat": "2026-11-24T03:17:19.25Z",
            "load": {"cpu": 1.0, "ram": 25.0, "net": null},
            "services": [{"name": "wg", "active": true}, {"name": "sq", "active": false}],
            "gaming": false, "streaming": false, "paid": false, "enabled": true, "static": false
        })
    );
    assert_eq!(list[0]["load"]["cpu"], 12.35);
    assert!(list[3]["failure"].is_string(), "a server that is down says why: {}", list[3]);
    let never = &list[4];
    assert_eq!([&never["last_heartbeat"], &never["load"]["cpu"], &never["score"]], [&Value::Null; 3]);
    assert_eq!(never["services"], json!([]));
    // Field order is part of what people diff.
    assert!(all.text().contains(r#""ip":"192.0.2.1","hostname":"de1","countryCode":"DE""#));
}

#[tokio::test]
async fn a_patch_sets_what_it_names_and_is_seen_at_once() {
    let site = site().await;
    let token = site.token("admin").await;
    let patch = async |ip: &str, body: &str| site.json_as(&token, "PATCH", &format!("/server/{ip}/config"), body).await;
    let answer = patch("192.0.2.1", r#"{"gaming": true, "paid": false}"#).await;
    let expected = json!({"status": "updated", "updated_fields": {"gaming": true, "paid": false}});
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected));
    let list = site.get_as(&token, "/servers").await.json();
    assert_eq!([&list[0]["gaming"], &list[0]["paid"], &list[0]["streaming"]], [true, false, false]);

    patch("192.0.2.1", r#"{"enabled": false}"#).await;
    assert_eq!(names(&site.get_as(&token, "/servers").await.json()), ["de2", "de3"]);

    patch("192.0.2.99", r#"{"paid": true}"#).await.is_problem(404, "Server not found");
    patch("192.0.2.1", "{}").await.is_problem(400, "No fields to update");
    let unknown = patch("192.0.2.1", r#"{"color": "red"}"#).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("unknown field `color`"), "{}", unknown.text());
    let wrong_type = patch("192.0.2.1", r#"{"paid": "maybe"}"#).await;
    assert_eq!(wrong_type.status, StatusCode::UNPROCESSABLE_ENTITY);
    patch("192.0.2.1", "[true]").await.is_problem(422, "Expected a JSON object");
    assert_eq!(patch("192.0.2.1", r#"{"paid": "Yes"}"#).await.json()["updated_fields"], json!({"paid": true}));
    assert_eq!(patch("192.0.2.1", "{").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(patch("%ff", "{}").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_has_the_list_already_gets_304() {
    let site = site().await;
    let token = site.token("viewer").await;
    let ask = async |header: header::HeaderName, value: &str| {
        site.send(authorized("GET", "/servers", &token).header(header, value).body(Body::empty()).unwrap()).await
    };
    let plain = site.get_as(&token, "/servers").await;
    let etag = plain.header(header::ETAG).to_owned();
    let again = ask(header::IF_NONE_MATCH, &format!("\"other\", W/{etag}")).await;
    assert_eq!((again.status, again.body.len(), again.header(header::ETAG)), (StatusCode::NOT_MODIFIED, 0, &*etag));
    assert_eq!(ask(header::IF_NONE_MATCH, "\"other\"").await.status, StatusCode::OK);

    let packed = ask(header::ACCEPT_ENCODING, "gzip").await;
    assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip");
    assert_ne!(packed.header(header::ETAG), etag);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);

    let admin = site.token("admin").await;
    site.json_as(&admin, "PATCH", "/server/192.0.2.1/config", r#"{"paid":true}"#).await;
    assert_eq!(ask(header::IF_NONE_MATCH, &etag).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_opens_the_list_too() {
    let site = site().await;
    let cookie = site.session("viewer").await;
    assert_eq!(names(&site.visit(&cookie, "/servers").await.json()).len(), 3);
}
