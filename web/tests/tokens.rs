//! `POST /token` and what a bearer token opens.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{PASSWORD, Site, TOKEN_SECRET, settings};
use http::{StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mect_fleet::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

#[tokio::test]
async fn a_login_gives_a_bearer_token() {
    let site = Site::new().await;
    let answer = site.try_token("viewer", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["token_type"], "bearer");
    assert_eq!(answer.json().as_object().unwrap().len(), 2);
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");

    let me = site.get_as(&site.token("viewer").await, "/users/me").await;
    assert_eq!(
        me.json(),
        json!({"username": "viewer", "role": "readonly", "must_change_password": false,
               "created_at": "2026-11-18T11:06:40Z"})
    );
}

#[tokio::test]
async fn wrong_password_and_unknown_user_look_the_same() {
    let site = Site::new().await;
    for (username, password) in [("viewer", "wrong"), ("viewer", ""), ("nobody", PASSWORD), ("", "")] {
        let answer = site.try_token(username, password).await;
        answer.is_problem(401, "Incorrect username or password");
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
    }
}

#[tokio::test]
async fn no_token_and_a_bad_token_are_told_apart() {
    let site = Site::new().await;
    let answer = site.get("/servers").await;
    answer.is_problem(401, "Not authenticated");
    assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
    for token in ["", "garbage", "a.b.c", &"x".repeat(5000)] {
        site.get_as(token, "/servers").await.is_problem(401, "Could not validate credentials");
    }
}

/// As a key is named in the header of a token.
fn kid(secret: &str) -> String {
    let digest = Sha256::new().chain_update("mect key id\0").chain_update(secret).finalize();
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token with these claims, over the defaults of a good one.
fn forged(algorithm: Algorithm, secret: &str, changed: &serde_json::Value) -> String {
    let now = Timestamp::now().as_secs();
    let mut claims = json!({
        "sub": "root", "iat": now, "nbf": now, "exp": now + 3600, "iss": "mect-vpn-monitor",
        "aud": "mect-vpn-monitor", "jti": "0123456789abcdef0123456789abcdef", "epoch": 0,
    });
    for (name, value) in changed.as_object().unwrap() {
        match value {
            serde_json::Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
            value => claims[name] = value.clone(),
        }
    }
    let header = Header { kid: Some(kid(TOKEN_SECRET)), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test]
async fn only_our_own_fresh_tokens_count() {
    let site = Site::new().await;
    let good = forged(Algorithm::HS256, TOKEN_SECRET, &json!({}));
    assert_eq!(site.get_as(&good, "/users/me").await.status, StatusCode::OK);

    let now = Timestamp::now().as_secs();
    // {"alg":"none","typ":"JWT"} with the good claims and no signature.
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", good.split('.').nth(1).unwrap());
    let bad = [
        ("alg none", none),
        ("another algorithm", forged(Algorithm::HS512, TOKEN_SECRET, &json!({}))),
        ("another key", forged(Algorithm::HS256, "another secret of sufficient size!!", &json!({}))),
        ("expired", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"exp": now - 1}))),
        ("for another service", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"aud": "other"}))),
        ("of another epoch", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"epoch": 1}))),
        ("of nobody", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"sub": "nobody"}))),
        ("not valid yet", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"nbf": now + 60}))),
        ("from the future", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"iat": now + 60, "exp": now + 90}))),
        ("of another issuer", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"iss": "other"}))),
        ("with no sound identity", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"jti": "1"}))),
        ("for the second step", forged(Algorithm::HS256, TOKEN_SECRET, &json!({"aud": "mect-vpn-monitor/code"}))),
        ("without a key's name", {
            let header = Header::new(Algorithm::HS256);
            let claims = jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(&good).unwrap().claims;
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(TOKEN_SECRET.as_bytes())).unwrap()
        }),
    ];
    for claim in ["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "epoch"] {
        let token = forged(Algorithm::HS256, TOKEN_SECRET, &json!({ claim: null }));
        let answer = site.get_as(&token, "/users/me").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "without {claim}");
    }
    for (what, token) in bad {
        let answer = site.get_as(&token, "/users/me").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
    }
}

#[tokio::test]
async fn the_lifetime_is_a_setting() {
    let mut short = settings();
    short.token_lifetime = Duration::from_secs(60);
    let token = Site::with(short).await.token("viewer").await;
    let claims = jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(&token).unwrap().claims;
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    // Nothing that the store knows better, and nothing private.
    let names: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["aud", "epoch", "exp", "iat", "iss", "jti", "nbf", "sub"]);
}

#[tokio::test]
async fn a_password_change_voids_tokens_and_sessions_at_once() {
    let site = Site::new().await;
    let (token, cookie) = (site.token("viewer").await, site.session("viewer").await);
    assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::OK);
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::OK);

    let body = json!({"old_password": PASSWORD, "new_password": "another fine phrase"}).to_string();
    let answer = site.json_as(&token, "POST", "/users/change-password", &body).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"status": "password_changed"})));

    site.get_as(&token, "/servers").await.is_problem(401, "Could not validate credentials");
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER);
    site.try_token("viewer", PASSWORD).await.is_problem(401, "Incorrect username or password");
    assert_eq!(site.try_token("viewer", "another fine phrase").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_password_follows_the_rules() {
    let site = Site::new().await;
    let token = site.token("viewer").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new}).to_string();
        site.json_as(&token, "POST", "/users/change-password", &body).await
    };
    change("wrong", "another fine phrase").await.is_problem(400, "Current password is incorrect");
    change(PASSWORD, "short").await.is_problem(422, "The new password needs at least 12 characters");
    change(PASSWORD, PASSWORD).await.is_problem(422, "The new password must differ from the current one");
    assert_eq!(change(PASSWORD, "another fine phrase").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_empty_store_gets_one_admin_who_must_choose_a_password() {
    let data = tempfile::tempdir().unwrap();
    let options = mect_fleet::store::embedded::Options::default();
    let accounts = mect_fleet::store::embedded::Embedded::open(data.path(), options).unwrap();
    let untold = mect_web::ensure_first_admin(&accounts, None, |_| Err(std::io::ErrorKind::BrokenPipe.into())).await;
    assert!(untold.is_err());
    assert!(mect_fleet::store::Accounts::users(&accounts).await.unwrap().is_empty(), "nobody knows its password");
    let mut drawn = None;
    let mut tell = |password: &mect_web::Secret| {
        drawn = Some(password.clone());
        Ok(())
    };
    mect_web::ensure_first_admin(&accounts, None, &mut tell).await.unwrap();
    assert!(drawn.take().unwrap().expose().len() >= 20);
    mect_web::ensure_first_admin(&accounts, None, |_| panic!("told twice")).await.unwrap();
    let admin = mect_fleet::store::Accounts::user(&accounts, "admin").await.unwrap().unwrap();
    assert!(admin.must_change_password && admin.role == mect_fleet::Role::Superadmin);
}
