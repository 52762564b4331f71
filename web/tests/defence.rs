//! The audit, other origins, and what tells nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use axum::body::Body;
use common::{PASSWORD, Site, authorized, registration, settings};
use http::{Request, StatusCode, header};
use mect_fleet::store::verify_audit;
use serde_json::{Value, json};

/// The audit's newest entries, once one of them is of that action and `is_so`.
async fn entry(site: &Site, root: &str, action: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let page = site.get_as(root, "/api/v1/audit?limit=500").await.json();
        let entries = page["items"].as_array().unwrap();
        if let Some(found) = entries.iter().find(|entry| entry["action"] == action && is_so(entry)) {
            return found.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no {action} in {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn sign_ins_refusals_and_changes_are_written_down_without_secrets() {
    let site = Site::new().await;
    site.register(vec![registration("192.0.2.1", "de1")]).await;
    site.try_token("viewer", "wrong-password").await;
    let (viewer, root) = (site.token("viewer").await, site.token("root").await);
    site.get_as(&viewer, "/users").await.is_problem(403, "Not enough permissions");
    let zoe = json!({"username": "zoe", "password": "seven purple lanterns", "role": "admin"}).to_string();
    site.json_as(&root, "POST", "/api/v1/users", &zoe).await;
    site.json_as(&root, "PATCH", "/api/v1/users/zoe", r#"{"role":"readonly"}"#).await;
    site.json_as(&root, "PATCH", "/server/192.0.2.1/config", r#"{"paid":true}"#).await;
    let made = site.json_as(&root, "POST", "/api/v1/tokens", r#"{"name":"t","scopes":["admin"]}"#).await.json();
    site.json_as(&root, "DELETE", "/api/v1/users/zoe", "").await;

    let any = |_: &Value| true;
    assert_eq!(entry(&site, &root, "login.failed", any).await["subject"], "viewer");
    let ok = entry(&site, &root, "login.ok", |entry| entry["who"] == "viewer").await;
    assert_eq!(ok["detail"], "token");
    let refused = entry(&site, &root, "access.refused", any).await;
    assert_eq!((refused["who"].as_str(), refused["subject"].as_str()), (Some("viewer"), Some("GET /users")));
    let created = entry(&site, &root, "user.create", any).await;
    assert_eq!((&created["before"], &created["after"]["role"]), (&Value::Null, &json!("admin")));
    let edited = entry(&site, &root, "user.edit", any).await;
    assert_eq!((&edited["before"]["role"], &edited["after"]["role"]), (&json!("admin"), &json!("readonly")));
    assert_eq!(entry(&site, &root, "user.delete", any).await["before"]["username"], "zoe");
    assert_eq!(entry(&site, &root, "token.create", any).await["after"]["scopes"], json!(["admin"]));
    let server = entry(&site, &root, "server.edit", any).await;
    assert_eq!((&server["before"]["paid"], &server["after"]["paid"]), (&json!(false), &json!(true)));
    assert!(server["subject"].as_str().unwrap().starts_with("srv-") && server["before"].get("hostname").is_none());
    let all = site.get_as(&root, "/api/v1/audit?limit=500").await;
    let token = made["token"].as_str().unwrap();
    for secret in ["seven purple", "wrong-password", PASSWORD, "argon2", token, &root] {
        assert!(!all.text().contains(secret), "{secret} in the audit");
    }
    assert!(verify_audit(&*site.store.journal).await.unwrap().is_ok());
}

#[tokio::test]
async fn servers_that_come_go_and_change_together_are_told_of() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        let body = json!({"target": {"address": format!("192.0.2.{n}:9776")}, "hostname": format!("de{n}")});
        let made = site.json_as(&root, "POST", "/api/v1/servers", &body.to_string()).await;
        ids.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let mut edit = json!({"filter": {}, "all": true, "change": {"notes": "moves in May"}, "dry_run": true});
    let bulk = "/api/v1/servers/bulk";
    site.json_as(&root, "POST", bulk, &edit.to_string()).await;
    edit["dry_run"] = json!(false);
    site.json_as(&root, "POST", bulk, &edit.to_string()).await;
    site.json_as(&root, "DELETE", &format!("/api/v1/servers/{}", ids[0]), "").await;

    let audit = site.get_as(&root, "/api/v1/audit?limit=500").await.json();
    let edits: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter(|e| e["action"] == "server.edit_many").collect();
    assert_eq!(edits.len(), 1, "a dry run changes nothing: {audit}");
    assert_eq!(edits[0]["subject"], "3 servers");
    for id in &ids {
        assert_eq!(edits[0]["before"][id]["notes"], "");
        assert_eq!(edits[0]["after"][id]["notes"], "moves in May");
        assert_eq!(edits[0]["after"][id].get("hostname"), None);
    }
    let events = site.get_as(&root, "/api/v1/events?limit=500").await.json();
    let told = |kind: &str| -> Vec<(String, String)> {
        let of_kind = events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == kind);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        of_kind.map(|event| (text(&event["server_id"]), text(&event["detail"]))).collect()
    };
    let added = told("server_added");
    assert_eq!(added.len(), 3, "{events}");
    assert!(added.contains(&(ids[1].clone(), "de2 (192.0.2.2), by root".to_owned())), "{added:?}");
    assert_eq!(told("server_removed"), [(ids[0].clone(), "de1 (192.0.2.1), by root".to_owned())]);
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_disk() {
    let site = Site::new().await;
    let viewer = site.token("viewer").await;
    for _ in 0..1000 {
        assert_eq!(site.get_as(&viewer, "/users").await.status, StatusCode::FORBIDDEN);
    }
    let root = site.token("root").await;
    let counted = site.store.journal.audit(None, 10_000).await.unwrap().len();
    assert!(counted <= 500, "{counted} entries");
    // What was left out is told by a later entry.
    let started = Instant::now();
    loop {
        site.get_as(&viewer, "/users").await;
        let entries = site.get_as(&root, "/api/v1/audit?limit=500").await;
        if entries.text().contains("entries before this one were left out") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "{}", entries.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_with_a_token_and_no_others() {
    let origin = "https://dash.example.org";
    let site = Site::with(settings().with_cors_origin(origin).unwrap()).await;
    let ask = async |from: &str| {
        let request = Request::builder().method("OPTIONS").uri("/servers").header(header::ORIGIN, from);
        let request = request.header("access-control-request-method", "PATCH");
        site.send(request.header("access-control-request-headers", "authorization").body(Body::empty()).unwrap()).await
    };
    let allowed = ask(origin).await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(allowed.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin);
    assert!(allowed.header(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("authorization"));
    assert_eq!(allowed.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "", "no cookies");
    for foreign in ["https://evil.example", "https://dash.example.org.evil.example", "http://dash.example.org", "null"]
    {
        assert_eq!(ask(foreign).await.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "", "{foreign}");
    }
    let (token, cookie) = (site.token("root").await, site.session("root").await);
    let call = authorized("POST", "/api/v1/users/viewer/sign-out", &token);
    let call = call.header(header::ORIGIN, origin).header("sec-fetch-site", "cross-site");
    let answer = site.send(call.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin);
    let ridden = Request::post("/api/v1/users/viewer/sign-out").header(header::COOKIE, &cookie);
    let ridden = ridden.header(header::ORIGIN, origin).header("sec-fetch-site", "same-site");
    assert_eq!(site.send(ridden.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);

    let closed = Site::new().await;
    let request = Request::get("/healthz").header(header::ORIGIN, origin).body(Body::empty()).unwrap();
    assert_eq!(closed.send(request).await.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "", "off by default");
}

/// Neither bytes nor headers nor the work tell whether there is such a user.
#[tokio::test]
async fn known_and_unknown_users_fail_alike() {
    let site = Site::new().await;
    let hash = bcrypt::hash("old password", 10).unwrap();
    let user = mect_fleet::User::new("boss", hash, mect_fleet::Role::Admin, mect_fleet::Timestamp::now());
    site.store.accounts.create_user(user).await.unwrap();
    let mut answers = Vec::new();
    for username in ["nobody", "viewer", "boss"] {
        let started = Instant::now();
        let answer = site.try_token(username, "wrong").await;
        assert!(started.elapsed() >= Duration::from_millis(400), "{username} fails sooner than an old hash takes");
        answers.push((answer.status, answer.headers, answer.body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Once the last old hash is gone, nobody waits any more.
    assert_eq!(site.try_token("boss", "old password").await.status, StatusCode::OK);
    let kept = site.store.accounts.user("boss").await.unwrap().unwrap();
    assert!(kept.password_hash.starts_with("$argon2id$"), "renewed at the first sign-in");
}
