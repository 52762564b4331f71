//! Sign-ins that go on, one-time codes, API tokens, and how each of them ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{PASSWORD, Site, plus, settings};
use http::{StatusCode, header};
use mect_fleet::{Role, Scope, Timestamp, UserPatch};
use serde_json::{Value, json};

async fn login(site: &Site, username: &str, code: Option<&str>) -> common::Answer {
    let mut body = json!({"username": username, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(code.map(|code| ("code".to_owned(), json!(code))));
    post(site, "/api/v1/login", &body).await
}

async fn post(site: &Site, path: &str, body: &Value) -> common::Answer {
    let request = http::Request::post(path).header(header::CONTENT_TYPE, "application/json");
    site.send(request.body(axum::body::Body::from(body.to_string())).unwrap()).await
}

async fn refresh(site: &Site, token: &Value) -> common::Answer {
    post(site, "/api/v1/refresh", &json!({ "refresh_token": token })).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_sign_in_goes_on_by_refresh_tokens_each_good_once() {
    let site = Site::new().await;
    let first = login(&site, "viewer", None).await.json();
    assert_eq!((first["expires_in"].as_u64(), text(&first["token_type"])), (Some(900), "bearer"));
    assert_eq!(site.get_as(text(&first["access_token"]), "/servers").await.status, StatusCode::OK);
    let second = refresh(&site, &first["refresh_token"]).await;
    assert_eq!((second.status, second.header(header::CACHE_CONTROL)), (StatusCode::OK, "no-store"));
    let third = refresh(&site, &second.json()["refresh_token"]).await.json();
    assert_eq!(third["refresh_expires_at"], first["refresh_expires_at"]);
    let access = text(&third["access_token"]).to_owned();
    assert_eq!(site.get_as(&access, "/servers").await.status, StatusCode::OK);

    // Somebody has a copy of the first one.
    refresh(&site, &first["refresh_token"]).await.is_problem(401, "Could not validate credentials");
    assert_eq!(refresh(&site, &third["refresh_token"]).await.status, StatusCode::UNAUTHORIZED, "over for both");
    assert_eq!(site.get_as(&access, "/servers").await.status, StatusCode::UNAUTHORIZED, "access tokens too");
    assert_eq!(login(&site, "viewer", None).await.status, StatusCode::OK);
    for bad in [json!(""), json!("mectr_0"), json!("x".repeat(1000)), first["access_token"].clone()] {
        assert_eq!(refresh(&site, &bad).await.status, StatusCode::UNAUTHORIZED, "{bad}");
    }
}

#[tokio::test]
async fn a_logout_ends_this_sign_in_or_all() {
    let site = Site::new().await;
    let (one, other) = (login(&site, "viewer", None).await.json(), login(&site, "viewer", None).await.json());
    let old = site.token("viewer").await;
    let out = site.json_as(text(&one["access_token"]), "POST", "/api/v1/logout", "").await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{}", out.text());
    assert_eq!(site.get_as(text(&one["access_token"]), "/servers").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&site, &one["refresh_token"]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.get_as(text(&other["access_token"]), "/servers").await.status, StatusCode::OK);

    assert_eq!(site.json_as(&old, "POST", "/api/v1/logout", "{}").await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get_as(&old, "/servers").await.status, StatusCode::UNAUTHORIZED, "also one of the old call");

    let everywhere = site.json_as(text(&other["access_token"]), "POST", "/api/v1/logout", r#"{"everywhere":true}"#);
    assert_eq!(everywhere.await.status, StatusCode::NO_CONTENT);
    assert_eq!(refresh(&site, &other["refresh_token"]).await.status, StatusCode::UNAUTHORIZED);
}

/// Two collectors share a store and nothing else: what one ends is over at the other within five seconds.
#[tokio::test]
async fn another_collector_finds_out_from_the_store_in_time() {
    let site = Site::new().await;
    let other = site.beside();
    let (token, out, root) = (site.token("viewer").await, site.token("admin").await, site.token("root").await);
    for token in [&token, &out, &root] {
        assert_eq!(other.get_as(token, "/servers").await.status, StatusCode::OK);
    }
    site.json_as(&out, "POST", "/api/v1/logout", "").await;
    site.json_as(&root, "PATCH", "/api/v1/users/viewer", r#"{"disabled":true}"#).await;
    let ended = std::time::Instant::now();
    for token in [&token, &out] {
        while other.get_as(token, "/servers").await.status == StatusCode::OK {
            assert!(ended.elapsed() < Duration::from_secs(5), "still let in");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(other.get_as(&root, "/servers").await.status, StatusCode::OK);
}

#[tokio::test]
async fn keys_change_without_anybody_noticing() {
    let (old, new) = (common::TOKEN_SECRET, "another key of at least thirty-two bytes");
    let keys = |lines: &str| mect_web::Settings::new(mect_web::Secret::new(lines)).unwrap();
    let before = Site::with(keys(old)).await;
    let token = before.token("viewer").await;
    let during = before.beside_with(keys(&format!("{new}\n{old}")));
    assert_eq!(during.get_as(&token, "/servers").await.status, StatusCode::OK);
    let fresh = during.token("viewer").await;
    let early = before.beside_with(keys(&format!("{old}\n{new}")));
    assert_eq!(early.get_as(&fresh, "/servers").await.status, StatusCode::OK, "one that was told before");
    let after = before.beside_with(keys(new));
    assert_eq!(after.get_as(&fresh, "/servers").await.status, StatusCode::OK);
    assert_eq!(after.get_as(&token, "/servers").await.status, StatusCode::UNAUTHORIZED, "the old key is gone");
}

#[tokio::test]
async fn api_tokens_are_shown_once_and_do_what_their_scopes_say() {
    let site = Site::new().await;
    let admin = site.token("admin").await;
    let body = json!({"name": "grafana", "scopes": ["federate"]}).to_string();
    let made = site.json_as(&admin, "POST", "/api/v1/tokens", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let token = text(&made.json()["token"]).to_owned();
    assert!(token.starts_with("mect_") && token.len() == 69);
    assert_eq!(site.get_as(&token, "/metrics").await.status, StatusCode::OK);
    site.get_as(&token, "/servers").await.is_problem(403, "The API token lacks the scope read:list");
    let change = site.json_as(&token, "POST", "/users/change-password", "{}").await;
    change.is_problem(403, "An API token cannot do this, sign in instead");

    let listed = site.get_as(&admin, "/api/v1/tokens").await;
    assert!(!listed.text().contains(&token) && listed.json()["items"][0]["name"] == "grafana");
    let kept = site.store.accounts.tokens("admin").await.unwrap();
    assert_eq!(kept[0].scopes, [Scope::Federate].into());
    assert!(!format!("{kept:?}").contains(&token[5..]));
    let in_90_days = Timestamp::now() + Duration::from_secs(90 * 86_400);
    assert!(in_90_days.since(kept[0].expires_at.unwrap()) < Duration::from_secs(60));
    // Written down beside the request.
    let asked = std::time::Instant::now();
    while site.store.accounts.tokens("admin").await.unwrap()[0].last_used_at.is_none() {
        assert!(asked.elapsed() < Duration::from_secs(30), "the use was not noted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (body, named) in [
        (body.as_str(), "already"),
        (r#"{"name":"x","scopes":[]}"#, "scopes"),
        (r#"{"name":"x","scopes":["root"]}"#, "scopes"),
        (r#"{"name":"a b","scopes":["admin"]}"#, "name"),
        (r#"{"name":"x","scopes":["admin"],"expires_in_days":0}"#, "expires_in_days"),
        (r#"{"name":"x","scopes":["admin"],"expires_in_days":731}"#, "expires_in_days"),
        (r#"{"name":"x","scopes":["admin"],"role":"superadmin"}"#, "role"),
    ] {
        let refused = site.json_as(&admin, "POST", "/api/v1/tokens", body).await;
        assert!(refused.status.is_client_error() && refused.text().contains(named), "{body}: {}", refused.text());
    }
    // Its user can do less now, so can it; and nothing once it is revoked.
    let all = json!({"name": "all", "scopes": ["admin"]}).to_string();
    let all = site.json_as(&admin, "POST", "/api/v1/tokens", &all).await.json();
    let path = "/server/192.0.2.1/config";
    let all = text(&all["token"]);
    assert_eq!(site.json_as(all, "PATCH", path, r#"{"paid":true}"#).await.status, StatusCode::NOT_FOUND);
    let root = site.token("root").await;
    site.json_as(&root, "PATCH", "/api/v1/users/admin", r#"{"role":"readonly"}"#).await;
    site.json_as(all, "PATCH", path, r#"{"paid":true}"#).await.is_problem(403, "Not enough permissions");
    let revoked = site.json_as(&root, "DELETE", "/api/v1/users/admin/tokens/grafana", "").await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get_as(&token, "/metrics").await.status, StatusCode::UNAUTHORIZED);
    site.json_as(&root, "PATCH", "/api/v1/users/admin", r#"{"disabled":true}"#).await;
    assert_eq!(site.get_as(all, "/servers").await.status, StatusCode::UNAUTHORIZED, "of who is locked out");
}

/// What an authenticator shows for that secret, some time steps from now.
fn code(secret: &str, steps: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + steps * 30).to_string()
}

/// Sets up codes for a user; gives the secret. The code of the present time step is used up.
async fn set_up(site: &Site, username: &str) -> String {
    let token = site.token(username).await;
    let wrong = site.json_as(&token, "POST", "/api/v1/totp", r#"{"password":"wrong"}"#).await;
    wrong.is_problem(400, "Current password is incorrect");
    let proof = json!({ "password": PASSWORD }).to_string();
    let drawn = site.json_as(&token, "POST", "/api/v1/totp", &proof).await;
    assert_eq!(drawn.status, StatusCode::OK, "{}", drawn.text());
    let secret = text(&drawn.json()["secret"]).to_owned();
    assert!(text(&drawn.json()["uri"]).starts_with("otpauth://totp/"));
    assert_eq!(site.try_token(username, PASSWORD).await.status, StatusCode::OK, "not confirmed yet");
    let confirm = async |code: &str| {
        site.json_as(&token, "POST", "/api/v1/totp/confirm", &json!({ "code": code }).to_string()).await
    };
    confirm("000000").await.is_problem(401, "Incorrect one-time code");
    let confirmed = confirm(&code(&secret, 0)).await;
    assert_eq!(confirmed.status, StatusCode::NO_CONTENT, "{}", confirmed.text());
    secret
}

#[tokio::test]
async fn one_time_codes_are_asked_for_and_good_once() {
    let site = Site::new().await;
    let secret = set_up(&site, "admin").await;
    login(&site, "admin", None).await.is_problem(401, "One-time code required");
    site.try_token("admin", PASSWORD).await.is_problem(401, "One-time code required");
    login(&site, "admin", Some(&code(&secret, 0))).await.is_problem(401, "Incorrect one-time code");
    let next = code(&secret, 1);
    assert_eq!(login(&site, "admin", Some(&next)).await.status, StatusCode::OK);
    login(&site, "admin", Some(&next)).await.is_problem(401, "Incorrect one-time code");
    let wrong_password = json!({"username": "admin", "password": "wrong", "code": code(&secret, 1)});
    post(&site, "/api/v1/login", &wrong_password).await.is_problem(401, "Incorrect username or password");

    let root = site.token("root").await;
    assert_eq!(site.get_as(&root, "/api/v1/users/admin").await.json()["totp"], true);
    assert_eq!(site.json_as(&root, "DELETE", "/api/v1/users/admin/totp", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(login(&site, "admin", None).await.status, StatusCode::OK, "who lost the authenticator");
}

#[tokio::test]
async fn the_login_page_asks_for_the_code() {
    let site = Site::new().await;
    let secret = set_up(&site, "admin").await;
    let first = format!("username=admin&password={}&next=/password", plus(PASSWORD));
    let asked = site.submit("", "/login", &first).await;
    assert_eq!((asked.status, asked.header(header::SET_COOKIE)), (StatusCode::OK, ""));
    let page = asked.text();
    assert!(page.contains("One-time code") && !page.contains(PASSWORD));
    let ticket = page.split(r#"name="ticket" value=""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(site.get_as(&ticket, "/users/me").await.status, StatusCode::UNAUTHORIZED, "good for nothing else");
    let wrong = site.submit("", "/login", &format!("ticket={ticket}&code=000000&next=/password")).await;
    assert!(wrong.status == 401 && wrong.text().contains("Incorrect one-time code") && wrong.text().contains(&ticket));
    let code = code(&secret, 1);
    let done = site.submit("", "/login", &format!("ticket={ticket}&code={code}&next=/password")).await;
    assert_eq!((done.status, done.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/password"));
    assert_eq!(site.visit(&done.cookie(), "/").await.status, StatusCode::OK);
    let again = site.submit("", "/login", &format!("ticket={ticket}&code={code}")).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    let forged = site.submit("", "/login", "ticket=a.b.c&code=123456").await;
    assert!(forged.status == 401 && forged.text().contains("begin again"), "{}", forged.text());
    for _ in 0..10 {
        site.submit("", "/login", &format!("ticket={ticket}&code=000000")).await;
    }
    let closed = site.submit("", "/login", &format!("ticket={ticket}&code=000000")).await;
    assert_eq!(closed.status, StatusCode::TOO_MANY_REQUESTS, "codes cannot be guessed either");
}

#[tokio::test]
async fn codes_can_be_demanded_of_a_role() {
    let mut strict = settings();
    strict.totp_required_from = Some(Role::Admin);
    let site = Site::with(strict).await;
    let (viewer, admin) = (site.token("viewer").await, site.token("admin").await);
    assert_eq!(site.get_as(&viewer, "/servers").await.status, StatusCode::OK);
    site.get_as(&admin, "/servers").await.is_problem(403, "One-time codes must be set up first");
    let tokens = site.json_as(&admin, "POST", "/api/v1/tokens", r#"{"name":"x","scopes":["admin"]}"#).await;
    tokens.is_problem(403, "One-time codes must be set up first");
    assert_eq!(site.get_as(&admin, "/users/me").await.status, StatusCode::OK);
    set_up(&site, "admin").await;
    assert_eq!(site.get_as(&admin, "/servers").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_store_keeps_of_a_locked_user_opens_nothing() {
    let site = Site::new().await;
    let first = login(&site, "admin", None).await.json();
    let cookie = site.session("admin").await;
    let lock = UserPatch { role: None, disabled: Some(true) };
    site.store.accounts.edit_user("admin", lock).await.unwrap().unwrap();
    assert_eq!(refresh(&site, &first["refresh_token"]).await.status, StatusCode::UNAUTHORIZED);
    let other = site.beside();
    assert_eq!(other.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER);
    login(&site, "admin", None).await.is_problem(401, "Incorrect username or password");
}
