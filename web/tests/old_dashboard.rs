//! The old contract, driven as the old dashboard and the old client apps drove it.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{PASSWORD, Site, plus, registration};
use http::{Request, StatusCode, header};
use mect_fleet::Timestamp;
use mect_fleet::store::story;
use serde_json::{Value, json};

/// The fields that the old system told of a server.
const FIELDS: [&str; 18] = [
    "server_id",
    "ip",
    "hostname",
    "countryCode",
    "country",
    "region",
    "city",
    "status",
    "last_heartbeat",
    "first_heartbeat",
    "load",
    "services",
    "gaming",
    "streaming",
    "paid",
    "enabled",
    "static",
    "score",
];

/// As the dashboard did: one that is up, one that is down, one that is disabled.
async fn site() -> Site {
    let site = Site::new().await;
    let servers = ["de1", "de2", "de3"].into_iter().zip(1..);
    let servers = site.register(servers.map(|(name, n)| registration(&format!("192.0.2.{n}"), name)).collect()).await;
    let at = Timestamp::now();
    site.scrape(&servers[0], at, vec![story::heartbeat(1)]).await;
    let failed = || story::failed();
    site.scrape(&servers[1], at, vec![story::heartbeat(1), failed(), failed(), failed()]).await;
    site.scrape(&servers[2], at, vec![story::heartbeat(1)]).await;
    let token = site.token("admin").await;
    let disabled = site.json_as(&token, "PATCH", "/server/192.0.2.3/config", r#"{"enabled": false}"#).await;
    assert_eq!(disabled.status, StatusCode::OK);
    site
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|server| server["hostname"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn signing_in_is_a_form_and_gives_a_bearer_token() {
    let site = site().await;
    // The browser library of the old dashboard sent every field of the password grant.
    let form =
        format!("grant_type=password&username=admin&password={}&scope=&client_id=&client_secret=", plus(PASSWORD));
    let send = |form: String| {
        let request = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        site.send(request.body(Body::from(form)).unwrap())
    };
    let answer = send(form).await;
    assert_eq!((answer.status, &answer.json()["token_type"]), (StatusCode::OK, &json!("bearer")));
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let me = site.get_as(&token, "/users/me").await.json();
    assert_eq!((&me["username"], &me["role"]), (&json!("admin"), &json!("admin")));

    for (username, password) in [("admin", "wrong"), ("nobody", "wrong")] {
        let refused = send(format!("username={username}&password={password}")).await;
        refused.is_problem(401, "Incorrect username or password");
        assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer");
    }
    let expired = site.get_as("not.a.token", "/users/me").await;
    expired.is_problem(401, "Could not validate credentials");
    assert_eq!(expired.header(header::WWW_AUTHENTICATE), "Bearer");
    site.get("/servers").await.is_problem(401, "Not authenticated");
}

#[tokio::test]
async fn the_list_holds_what_is_active_and_enabled_and_all_servers_everything() {
    let site = site().await;
    let token = site.token("viewer").await;
    let list = site.get_as(&token, "/servers").await.json();
    assert_eq!(names(&list), ["de1"]);
    let all = site.get_as(&token, "/servers?all_servers=true").await.json();
    assert_eq!(names(&all), ["de1", "de2", "de3"]);
    let word = |place: usize| all[place]["status"].as_str().unwrap();
    assert_eq!((word(0), word(1), word(2)), ("active", "down", "active"));
    for server in all.as_array().unwrap() {
        for field in FIELDS {
            assert!(server.get(field).is_some(), "{field} in {server}");
        }
        assert!(server["load"].get("cpu").is_some() && server["load"].get("ram").is_some(), "{server}");
        for service in server["services"].as_array().unwrap() {
            assert!(service["name"].is_string() && service["active"].is_boolean(), "{service}");
        }
    }
    assert_eq!(site.get_as(&token, "/servers?all_servers=True").await.json(), all);
    assert_eq!(site.get_as(&token, "/servers?all_servers=false").await.json(), list);
}

#[tokio::test]
async fn a_list_is_not_cut_at_a_thousand() {
    let site = Site::new().await;
    let many = (0..1_500).map(|n| registration(&format!("10.0.{}.{}", n / 250, n % 250), &format!("host-{n}")));
    site.register(many.collect()).await;
    let token = site.token("viewer").await;
    let all = site.get_as(&token, "/servers?all_servers=true").await.json();
    assert_eq!(all.as_array().unwrap().len(), 1_500);
}

#[tokio::test]
async fn flags_are_toggled_by_address() {
    let site = site().await;
    let token = site.token("admin").await;
    let configure = |body: Value| {
        let (site, token) = (&site, &token);
        async move { site.json_as(token, "PATCH", "/server/192.0.2.1/config", &body.to_string()).await }
    };
    let shown = |flag: &'static str| {
        let (site, token) = (&site, &token);
        async move { site.get_as(token, "/servers?all_servers=true").await.json()[0][flag].clone() }
    };
    for flag in ["gaming", "streaming", "paid", "enabled"] {
        for value in [true, false, true] {
            let answer = configure(json!({flag: value})).await;
            assert_eq!(answer.json(), json!({"status": "updated", "updated_fields": {flag: value}}));
            assert_eq!(shown(flag).await, json!(value), "{flag}");
        }
    }
    let two = configure(json!({"gaming": false, "paid": false})).await.json();
    assert_eq!(two["updated_fields"], json!({"gaming": false, "paid": false}));
    configure(json!({})).await.is_problem(400, "No fields to update");
    configure(json!({"paid": null})).await.is_problem(400, "No fields to update");
    let unknown = site.json_as(&token, "PATCH", "/server/203.0.113.9/config", r#"{"paid": true}"#).await;
    unknown.is_problem(404, "Server not found");
    let viewer = site.token("viewer").await;
    let refused = site.json_as(&viewer, "PATCH", "/server/192.0.2.1/config", r#"{"paid": true}"#).await;
    refused.is_problem(403, "Not enough permissions");
}
