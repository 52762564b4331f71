//! Users, by the old calls and by the new ones.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PASSWORD, Site, settings};
use http::{StatusCode, header};
use mect_fleet::Role;
use serde_json::{Value, json};

const NEW: &str = "seven purple lanterns";

/// As the old dashboard managed users: statuses and bodies to the letter.
#[tokio::test]
async fn the_old_calls_answer_as_they_did() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let listed = site.get_as(&root, "/users").await;
    let expected = json!([
        {"username": "admin", "role": "admin"}, {"username": "fresh", "role": "admin"},
        {"username": "root", "role": "superadmin"}, {"username": "viewer", "role": "readonly"},
    ]);
    assert_eq!((listed.status, listed.json()), (StatusCode::OK, expected));

    let zoe = json!({"username": "zoe", "password": NEW, "role": "admin"}).to_string();
    let created = site.json_as(&root, "POST", "/users", &zoe).await;
    assert_eq!((created.status, created.json()), (StatusCode::OK, json!({"username": "zoe", "role": "admin"})));
    site.json_as(&root, "POST", "/users", &zoe).await.is_problem(400, "Username already registered");
    let alike = zoe.replace("zoe", "ZOE");
    site.json_as(&root, "POST", "/users", &alike).await.is_problem(400, "Username already registered");
    let plain = json!({"username": "plain", "password": NEW}).to_string();
    assert_eq!(site.json_as(&root, "POST", "/users", &plain).await.json()["role"], "readonly");
    let token = site.try_token("zoe", NEW).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::OK, "good to use at once");

    let reset = json!({"new_password": "eight yellow kettles"}).to_string();
    let done = site.json_as(&root, "POST", "/users/zoe/reset-password", &reset).await;
    assert_eq!((done.status, done.json()), (StatusCode::OK, json!({"status": "password_reset"})));
    assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.try_token("zoe", "eight yellow kettles").await.status, StatusCode::OK);
    site.json_as(&root, "POST", "/users/nobody/reset-password", &reset).await.is_problem(404, "User not found");

    let deleted = site.json_as(&root, "DELETE", "/users/zoe", "").await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({"status": "deleted"})));
    site.json_as(&root, "DELETE", "/users/zoe", "").await.is_problem(404, "User not found");
    site.json_as(&root, "DELETE", "/users/admin", "").await.is_problem(400, "The user admin cannot be deleted");
    site.try_token("zoe", "eight yellow kettles").await.is_problem(401, "Incorrect username or password");
}

#[tokio::test]
async fn passwords_travel_in_the_query_only_where_that_is_allowed() {
    let path =
        format!("/users/change-password?old_password={}&new_password=nine+orange+anchors", common::plus(PASSWORD));
    let site = Site::new().await;
    let refused = site.json_as(&site.token("viewer").await, "POST", &path, "").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());

    let mut old = settings();
    old.legacy_query_passwords = true;
    let site = Site::with(old).await;
    let changed = site.json_as(&site.token("viewer").await, "POST", &path, "").await;
    assert_eq!((changed.status, changed.json()), (StatusCode::OK, json!({"status": "password_changed"})));
    assert_eq!(site.try_token("viewer", "nine orange anchors").await.status, StatusCode::OK);
    let reset = "/users/viewer/reset-password?new_password=ten+silver+bicycles";
    assert_eq!(site.json_as(&site.token("root").await, "POST", reset, "").await.status, StatusCode::OK);
    assert_eq!(site.try_token("viewer", "ten silver bicycles").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_new_calls_create_show_edit_and_delete() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let zoe = json!({"username": "zoe", "password": NEW, "role": "admin"}).to_string();
    let created = site.json_as(&root, "POST", "/api/v1/users", &zoe).await;
    assert_eq!((created.status, created.header(header::LOCATION)), (StatusCode::CREATED, "/api/v1/users/zoe"));
    assert_eq!(created.json()["must_change_password"], true);
    let again = site.json_as(&root, "POST", "/api/v1/users", &zoe).await;
    again.is_problem(409, "There is a user of that name already");
    let shown = site.get_as(&root, "/api/v1/users/zoe").await.json();
    assert_eq!(shown, created.json());
    assert!(shown.get("password_hash").is_none() && !shown.to_string().contains("argon2"));

    let edited = site.json_as(&root, "PATCH", "/api/v1/users/zoe", r#"{"role":"readonly","disabled":true}"#).await;
    assert_eq!((edited.json()["role"].as_str(), edited.json()["disabled"].as_bool()), (Some("readonly"), Some(true)));
    site.try_token("zoe", NEW).await.is_problem(401, "Incorrect username or password");
    site.json_as(&root, "PATCH", "/api/v1/users/zoe", "{}").await.is_problem(400, "No fields to update");
    let unknown = site.json_as(&root, "PATCH", "/api/v1/users/zoe", r#"{"rolle":"admin"}"#).await;
    assert!(unknown.status == 422 && unknown.text().contains("rolle"), "{}", unknown.text());

    for (method, path) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/sign-out"), ("DELETE", "/totp")] {
        let body = if method == "PATCH" { r#"{"role":"admin"}"# } else { "" };
        let missing = site.json_as(&root, method, &format!("/api/v1/users/nobody{path}"), body).await;
        missing.is_problem(404, "User not found");
    }
    assert_eq!(site.json_as(&root, "DELETE", "/api/v1/users/zoe", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get_as(&root, "/api/v1/users/zoe").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let (mut path, mut names) = ("/api/v1/users?limit=3".to_owned(), Vec::new());
    loop {
        let page = site.get_as(&root, &path).await.json();
        names
            .extend(page["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/users?limit=3&cursor={next}");
    }
    assert_eq!(names, ["admin", "fresh", "root", "viewer"]);
    for (query, named) in [("limit=501", "limit"), ("limit=0", "limit"), ("cursor=zz", "cursor"), ("limt=1", "limt")] {
        for list in ["users", "tokens", "audit"] {
            let refused = site.get_as(&root, &format!("/api/v1/{list}?{query}")).await;
            assert!(refused.status == 422 && refused.text().contains(named), "{list} {query}: {}", refused.text());
        }
    }
}

#[tokio::test]
async fn whoever_changes_is_out_everywhere_at_once() {
    let site = Site::new().await;
    let root = site.token("root").await;
    for (method, path, body) in [
        ("PATCH", "/api/v1/users/admin", r#"{"role":"readonly"}"#),
        ("PATCH", "/api/v1/users/admin", r#"{"role":"admin"}"#),
        ("POST", "/api/v1/users/admin/sign-out", ""),
        ("PATCH", "/api/v1/users/admin", r#"{"disabled":true}"#),
    ] {
        let (token, cookie) = (site.token("admin").await, site.session("admin").await);
        assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::OK);
        assert!(site.json_as(&root, method, path, body).await.status.is_success(), "{path} {body}");
        assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::UNAUTHORIZED, "{path} {body}");
        assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER, "{path} {body}");
    }
}

#[tokio::test]
async fn the_last_superadmin_stays_also_when_two_ask_at_once() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let last = "root is the last superadmin who can sign in; make another one first";
    for body in [r#"{"role":"admin"}"#, r#"{"disabled":true}"#] {
        site.json_as(&root, "PATCH", "/api/v1/users/root", body).await.is_problem(409, last);
    }
    for path in ["/users/root", "/api/v1/users/root"] {
        site.json_as(&root, "DELETE", path, "").await.is_problem(409, last);
    }
    site.json_as(&root, "PATCH", "/api/v1/users/admin", r#"{"role":"superadmin"}"#).await;
    let admin = site.token("admin").await;
    let (one, other) = tokio::join!(
        site.json_as(&root, "DELETE", "/api/v1/users/admin", ""),
        site.json_as(&admin, "DELETE", "/api/v1/users/root", ""),
    );
    let done = [one.status, other.status].into_iter().filter(StatusCode::is_success).count();
    assert_eq!(done, 1, "{} {}", one.text(), other.text());
    let users = site.store.accounts.users().await.unwrap();
    assert_eq!(users.iter().filter(|user| user.role == Role::Superadmin).count(), 1);
}

/// Nothing of it is a fault of ours, and nothing of it is kept.
#[tokio::test]
async fn hostile_bodies_are_refused_by_name() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let before = site.store.accounts.users().await.unwrap();
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let ok = json!({"username": "x", "password": NEW, "role": "admin"});
    let with = |name: &str, value: Value| {
        let mut body = ok.clone();
        body[name] = value;
        body.to_string()
    };
    let bad = [
        (with("username", json!({"$gt": ""})), "username"),
        (with("username", json!(["x"])), "username"),
        (with("username", json!(7)), "username"),
        (with("username", Value::Null), "username"),
        (with("username", json!("a\0b")), "username"),
        (with("username", json!("\u{202e}nimda")), "username"),
        (with("username", json!("x".repeat(60_000))), "username"),
        (with("username", json!("x".repeat(10_000_000))), "64 KiB"),
        (with("username", json!("")), "username"),
        (with("username", json!("../../etc")), "username"),
        (with("password", json!({"$ne": null})), "password"),
        (with("password", json!(123_456_789_012_u64)), "password"),
        (with("password", json!("password1234")), "easy to guess"),
        (with("password", json!("nul\0 in the middle of it")), "control characters"),
        (with("role", json!("root")), "role"),
        (with("role", json!({"$gt": ""})), "role"),
        (with("is_admin", json!(true)), "is_admin"),
        (with("username", serde_json::from_str("[[[[[[[[[[1]]]]]]]]]]").unwrap()), "username"),
        (format!(r#"{{"username":"x","username":"y","password":"{NEW}","role":"admin"}}"#), "username"),
        (format!(r#"{{"username":{deep}}}"#), ""),
        (r#"[{"username":"x"}]"#.to_owned(), "object"),
        ("{".to_owned(), "JSON"),
        (String::new(), "JSON"),
        ("\u{feff}{}".to_owned(), "JSON"),
    ];
    for (body, named) in bad {
        for path in ["/users", "/api/v1/users"] {
            let answer = site.json_as(&root, "POST", path, &body).await;
            let shown: String = body.chars().take(80).collect();
            assert!(answer.status.is_client_error(), "{path} {shown}: {} {}", answer.status, answer.text());
            assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
            assert!(answer.json()["detail"].as_str().unwrap().contains(named), "{path} {shown}: {}", answer.text());
            assert!(!answer.text().contains("123456789012"), "a password comes back: {}", answer.text());
        }
    }
    for path in ["/api/v1/users/%00", "/api/v1/users/%E2%80%AE", "/api/v1/users/%ff", "/users/%7B%22$gt%22:%22%22%7D"] {
        for method in ["GET", "DELETE", "PATCH"] {
            let answer = site.json_as(&root, method, path, r#"{"role":"admin"}"#).await;
            assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.status);
        }
    }
    for form in
        ["username[$gt]=&password[$gt]=", "username=a&username=b&password=c", "username=%00&password=%00", "%ff"]
    {
        let answer = site.submit("", "/token", form).await;
        assert!(answer.status.is_client_error(), "{form}: {}", answer.status);
    }
    for body in [r#"{"username":{"$gt":""},"password":{"$gt":""}}"#, r#"{"username":"a","password":"b","code":1}"#] {
        let answer = site.json_as(&root, "POST", "/api/v1/login", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
    }
    assert_eq!(site.store.accounts.users().await.unwrap(), before, "nothing was kept");
}

#[tokio::test]
async fn who_gets_the_name_of_a_deleted_user_does_not_get_his_tokens() {
    let site = Site::new().await;
    let root = site.token("root").await;
    let zoe = |role: &str| json!({"username": "zoe", "password": NEW, "role": role}).to_string();
    site.json_as(&root, "POST", "/users", &zoe("readonly")).await;
    let bearer = site.try_token("zoe", NEW).await.json()["access_token"].as_str().unwrap().to_owned();
    let made = site.json_as(&bearer, "POST", "/api/v1/tokens", r#"{"name":"t","scopes":["read:fleet"]}"#).await.json();
    let token = made["token"].as_str().unwrap().to_owned();
    let signed_in = site.submit("", "/login", &format!("username=zoe&password={}&next=/", common::plus(NEW))).await;
    let cookie = signed_in.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
    for credentials in [&bearer, &token] {
        assert_eq!(site.get_as(credentials, "/api/v1/servers").await.status, StatusCode::OK);
    }
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::OK);

    assert_eq!(site.json_as(&root, "DELETE", "/users/zoe", "").await.status, StatusCode::OK);
    assert_eq!(site.json_as(&root, "POST", "/users", &zoe("superadmin")).await.status, StatusCode::OK);
    for credentials in [&bearer, &token] {
        assert_eq!(site.get_as(credentials, "/api/v1/servers").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER, "to the sign-in");
}
