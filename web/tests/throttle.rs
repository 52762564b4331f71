//! Passwords cannot be guessed quickly, and what other collectors tell counts here.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use common::{PASSWORD, Site, plus, settings};
use http::{Request, StatusCode, header};
use mect_fleet::redis::{Hearers, Link, RedisUrl, listen, pair, publish};
use mect_fleet::{Neighbours, Peers, Role, UserPatch};
use mect_testkit::redis::Redis;
use mect_web::Parts;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Wrong passwords until one more is refused.
async fn fail_ten_times(site: &Site, username: &str) {
    for _ in 0..10 {
        site.try_token(username, "wrong").await.is_problem(401, "Incorrect username or password");
    }
}

#[tokio::test]
async fn ten_wrong_passwords_close_the_door_even_to_the_right_one() {
    let site = Site::new().await;
    fail_ten_times(&site, "viewer").await;
    let refused = site.try_token("viewer", PASSWORD).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.header(header::RETRY_AFTER).parse().unwrap();
    assert!((1..=6).contains(&seconds), "{seconds}");
    refused.is_problem(429, &format!("Too many attempts, try again in {seconds} seconds"));

    let page = site.submit("", "/login", &format!("username=viewer&password={}", plus(PASSWORD))).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.text().contains("Too many attempts") && !page.header(header::RETRY_AFTER).is_empty());
    assert_eq!(site.try_token("admin", PASSWORD).await.status, StatusCode::OK, "others come in");
}

#[tokio::test]
async fn right_passwords_are_never_too_many() {
    let site = Site::new().await;
    for _ in 0..40 {
        assert_eq!(site.try_token("viewer", PASSWORD).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_stolen_token_does_not_help_to_guess_the_password() {
    let site = Site::new().await;
    let token = site.token("viewer").await;
    let body = r#"{"current_password":"wrong","new_password":"another fine phrase"}"#;
    for _ in 0..10 {
        let answer = site.json_as(&token, "POST", "/users/change-password", body).await;
        answer.is_problem(400, "Current password is incorrect");
    }
    let answer = site.json_as(&token, "POST", "/users/change-password", body).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_user_that_another_collector_changed_is_read_again_at_once() {
    let site = Site::new().await;
    let token = site.token("admin").await;
    assert_eq!(site.get_as(&token, "/users/me").await.json()["role"], "admin");
    let patch = UserPatch { role: Some(Role::Readonly), disabled: None };
    site.store.accounts.edit_user("admin", patch).await.unwrap().unwrap();
    site.neighbours.users.heard("admin".into());
    // The change raised the epoch: the token is void.
    assert_eq!(site.get_as(&token, "/users/me").await.status, StatusCode::UNAUTHORIZED);
}

/// A second collector's pages on the same store, joined to Redis at `url`.
fn beside(site: &Site, url: &str, stop: &CancellationToken) -> (Router, Neighbours) {
    let (peers, inbox) = Peers::new();
    let neighbours = Neighbours::of(peers);
    let link = Arc::new(Link::new(RedisUrl::parse(url).unwrap()));
    let (sealer, opener) = pair(b"the secret that both share").unwrap();
    tokio::spawn(publish(link.clone(), sealer, inbox, stop.clone()));
    let hearers = Hearers {
        fleet: site.fleet.clone(),
        is_ours: Box::new(|_| true),
        look: Arc::default(),
        neighbours: neighbours.clone(),
    };
    tokio::spawn(listen(link, opener, hearers, stop.clone()));
    let parts = Parts {
        fleet: site.fleet.clone(),
        accounts: site.store.accounts.clone(),
        history: site.store.history.clone(),
        journal: site.store.journal.clone(),
        neighbours: neighbours.clone(),
        collecting: mect_fleet::collecting::Collecting::default(),
        registry: Arc::default(),
        settings: settings(),
    };
    (mect_web::router(parts), neighbours)
}

async fn try_login(router: &Router, username: &str, password: &str) -> StatusCode {
    let form = format!("username={username}&password={}", plus(password));
    let request = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    router.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn by_redis_the_door_closes_on_every_collector_and_without_it_on_one() {
    let (redis, site, stop) = (Redis::start(), Site::new().await, CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    let ((one, _), (other, heard)) = (beside(&site, &redis.url(), &stop), beside(&site, &redis.url(), &stop));
    let started = Instant::now();
    // Both are joined once what one tells arrives at the other: a change of its own password.
    let mut password = PASSWORD.to_owned();
    for number in 0.. {
        let next = format!("another fine phrase {number}");
        change_password(&one, "viewer", &password, &next).await;
        password = next;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if heard.users.take().contains(&"viewer".to_owned()) {
            break;
        }
        assert!(started.elapsed() < mect_testkit::PATIENCE, "not joined");
    }
    // Ten failures in a row are free: the other closes before that only if it has heard of those at the first.
    assert!(close(&one, "admin").await >= 10);
    assert!(close(&other, "admin").await < 10, "the other does not know");

    redis.freeze();
    assert!(close(&one, "root").await >= 10);
    assert_eq!(try_login(&other, "root", PASSWORD).await, StatusCode::OK);
}

/// Guesses until no more guesses are taken; how many were.
async fn close(router: &Router, username: &str) -> u32 {
    let mut taken = 0;
    loop {
        match try_login(router, username, "wrong").await {
            StatusCode::UNAUTHORIZED => taken += 1,
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                return taken;
            }
        }
    }
}

async fn change_password(router: &Router, username: &str, from: &str, to: &str) {
    let form = format!("username={username}&password={}", plus(from));
    let request = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = router.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    let token = serde_json::from_slice::<serde_json::Value>(&body).unwrap();
    let token = token["access_token"].as_str().unwrap();
    let change = serde_json::json!({"current_password": from, "new_password": to}).to_string();
    let request = common::authorized("POST", "/users/change-password", token);
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(change)).unwrap();
    assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
}

/// The status of a sign-in over a connection from that address.
async fn sign_in_from(from: &str, address: std::net::SocketAddr, password: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let form = format!("username=viewer&password={}", plus(password));
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn guesses_from_elsewhere_do_not_lock_the_user_out() {
    let (site, stop) = (Site::new().await, CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(mect_web::serve(listener, site.router.clone(), Default::default(), stop));
    assert_eq!(sign_in_from("127.0.0.1", address, PASSWORD).await, 200);
    while sign_in_from("127.0.0.66", address, "wrong").await != 429 {}
    assert_eq!(sign_in_from("127.0.0.77", address, PASSWORD).await, 429, "a strange address");
    assert_eq!(sign_in_from("127.0.0.1", address, PASSWORD).await, 200);
}
