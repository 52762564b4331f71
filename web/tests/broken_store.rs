//! What callers see when the store fails, hangs or panics.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use common::Site;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use mect_fleet::store::{Accounts, History, Point, Result, StoreError};
use mect_fleet::{
    ApiToken, Grant, Neighbours, Renewal, ServerId, Session, Timestamp, Totp, Transition, User, UserPatch,
};
use mect_web::Parts;
use prometheus_client::registry::Registry;
use tower::ServiceExt;

/// How the next calls of a store end.
#[derive(Clone, Copy)]
enum Fault {
    Error,
    Hang,
    Panic,
}

struct Broken(Fault);

impl Broken {
    async fn fail<T>(&self) -> Result<T> {
        match self.0 {
            Fault::Error => Err(StoreError::Backend("disk full at /secret/path".into())),
            Fault::Hang => std::future::pending().await,
            Fault::Panic => panic!("on purpose"),
        }
    }
}

#[async_trait]
impl Accounts for Broken {
    async fn user(&self, _: &str) -> Result<Option<User>> {
        self.fail().await
    }
    async fn users(&self) -> Result<Vec<User>> {
        self.fail().await
    }
    async fn users_after(&self, _: Option<&str>, _: usize) -> Result<Vec<User>> {
        self.fail().await
    }
    async fn create_user(&self, _: User) -> Result<()> {
        self.fail().await
    }
    async fn set_password(&self, _: &str, _: u64, _: String, _: bool) -> Result<User> {
        self.fail().await
    }
    async fn upgrade_hash(&self, _: &str, _: &str, _: String) -> Result<bool> {
        self.fail().await
    }
    async fn edit_user(&self, _: &str, _: UserPatch) -> Result<Option<(User, User)>> {
        self.fail().await
    }
    async fn end_sign_ins(&self, _: &str) -> Result<Option<User>> {
        self.fail().await
    }
    async fn set_totp(&self, _: &str, _: Option<Totp>) -> Result<Option<User>> {
        self.fail().await
    }
    async fn take_totp_step(&self, _: &str, _: u64) -> Result<bool> {
        self.fail().await
    }
    async fn delete_user(&self, _: &str) -> Result<bool> {
        self.fail().await
    }
    async fn create_session(&self, _: Session) -> Result<()> {
        self.fail().await
    }
    async fn session(&self, _: &[u8; 32], _: Timestamp) -> Result<Option<Session>> {
        self.fail().await
    }
    async fn sessions(&self, _: &str, _: Timestamp) -> Result<Vec<Session>> {
        self.fail().await
    }
    async fn delete_session(&self, _: &[u8; 32]) -> Result<()> {
        self.fail().await
    }
    async fn create_grant(&self, _: Grant) -> Result<()> {
        self.fail().await
    }
    async fn renew_grant(&self, _: &[u8; 16], _: &[u8; 32], _: &[u8; 32], _: Timestamp) -> Result<Renewal> {
        self.fail().await
    }
    async fn delete_grant(&self, _: &[u8; 16]) -> Result<()> {
        self.fail().await
    }
    async fn revoke(&self, _: &[u8; 16], _: Timestamp) -> Result<()> {
        self.fail().await
    }
    async fn revoked(&self, _: Timestamp) -> Result<Vec<[u8; 16]>> {
        self.fail().await
    }
    async fn create_token(&self, _: ApiToken) -> Result<()> {
        self.fail().await
    }
    async fn token(&self, _: &[u8; 32], _: Timestamp) -> Result<Option<ApiToken>> {
        self.fail().await
    }
    async fn tokens(&self, _: &str) -> Result<Vec<ApiToken>> {
        self.fail().await
    }
    async fn touch_token(&self, _: &[u8; 32], _: Timestamp) -> Result<()> {
        self.fail().await
    }
    async fn delete_token(&self, _: &str, _: &str) -> Result<bool> {
        self.fail().await
    }
}

#[async_trait]
impl History for Broken {
    async fn points(&self, _: ServerId, _: std::ops::Range<Timestamp>) -> Result<Vec<Point>> {
        self.fail().await
    }
    async fn transitions(&self, _: Option<ServerId>, _: usize) -> Result<Vec<Transition>> {
        self.fail().await
    }
    async fn transitions_before(&self, _: Option<ServerId>, _: Timestamp, _: usize) -> Result<Vec<Transition>> {
        self.fail().await
    }
    async fn transitions_since(&self, _: Timestamp) -> Result<Vec<Transition>> {
        self.fail().await
    }
}

fn parts(site: &Site, accounts: Arc<dyn Accounts>, history: Arc<dyn History>) -> Parts {
    let registry = Arc::new(Registry::default());
    let (fleet, neighbours) = (site.fleet.clone(), Neighbours::default());
    let collecting = mect_fleet::collecting::Collecting::default();
    let journal = site.store.journal.clone();
    Parts { fleet, accounts, history, journal, neighbours, collecting, registry, settings: common::settings() }
}

async fn ask(router: Router, request: http::request::Builder, body: &'static str) -> (StatusCode, String) {
    let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = response.status();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap())
}

#[tokio::test]
async fn failures_are_told_without_details() {
    let site = Site::new().await;
    for (fault, status, detail) in
        [(Fault::Error, 503, "The store does not answer, try again"), (Fault::Panic, 500, "Internal error")]
    {
        let router = mect_web::router(parts(&site, Arc::new(Broken(fault)), site.store.history.clone()));
        let form = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (found, body) = ask(router.clone(), form, "username=a&password=b").await;
        assert_eq!(found, status);
        assert!(body.contains(detail) && !body.contains("secret"), "{body}");
        assert_eq!(ask(router, Request::get("/healthz"), "").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn people_are_told_what_to_do() {
    let site = Site::new().await;
    let cookie = format!("mect_session={}", "ab".repeat(32));
    for (fault, status, advice) in
        [(Fault::Error, 503, "Try again in some seconds"), (Fault::Panic, 500, "a fault of the monitor, not yours")]
    {
        let router = mect_web::router(parts(&site, Arc::new(Broken(fault)), site.store.history.clone()));
        let visit = Request::get("/account").header(header::ACCEPT, "text/html").header(header::COOKIE, &cookie);
        let (found, body) = ask(router.clone(), visit, "").await;
        assert_eq!(found, status);
        assert!(body.contains(advice) && body.contains("<h1>") && !body.contains("secret"), "{body}");
    }
}

#[tokio::test]
async fn a_store_that_hangs_holds_no_request_for_long() {
    let site = Site::new().await;
    let broken = Arc::new(Broken(Fault::Hang));
    let router = mect_web::router(parts(&site, broken, site.store.history.clone()));
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let (status, body) = ask(router.clone(), Request::get("/readyz"), "").await;
    assert!(status == 200 && body == "ready\nstore: does not answer\n", "{body}");
    let cookie = format!("mect_session={}", "ab".repeat(32));
    let (status, body) = ask(router, Request::get("/servers").header(header::COOKIE, cookie), "").await;
    assert!(status == 503 && body.contains("The store does not answer in time"), "{body}");
    assert!(started.elapsed() < Duration::from_millis(4500));
}

#[tokio::test]
async fn the_fleet_page_does_without_the_past() {
    let site = Site::new().await;
    site.register(vec![common::registration("192.0.2.1", "de1")]).await;
    let cookie = site.session("viewer").await;
    for fault in [Fault::Error, Fault::Hang] {
        let router = mect_web::router(parts(&site, site.store.accounts.clone(), Arc::new(Broken(fault))));
        let request = Request::get("/").header(header::COOKIE, &cookie);
        let (status, body) = ask(router, request, "").await;
        assert!(status == 200 && body.contains("de1") && body.contains("Not known while"));
    }
}

#[tokio::test]
async fn the_status_page_does_without_the_past() {
    let site = Site::new().await;
    let servers = site.register(vec![common::registration("192.0.2.1", "de1")]).await;
    site.scrape(&servers[0], Timestamp::now(), vec![mect_fleet::store::story::heartbeat(1)]).await;
    let mut parts = parts(&site, site.store.accounts.clone(), Arc::new(Broken(Fault::Error)));
    parts.settings.status_page = true;
    let (status, body) = ask(mect_web::router(parts), Request::get("/status"), "").await;
    assert!(status == 200 && body.contains("Everything works") && body.contains("Germany"), "{body}");
    assert!(!body.contains(" %"), "nobody knows the uptime: {body}");
}

#[tokio::test]
async fn a_servers_page_does_without_the_past() {
    let site = Site::new().await;
    let server = site.register(vec![common::registration("192.0.2.1", "de1")]).await.remove(0);
    let cookie = site.session("viewer").await;
    for fault in [Fault::Error, Fault::Hang] {
        let router = mect_web::router(parts(&site, site.store.accounts.clone(), Arc::new(Broken(fault))));
        let request = Request::get(format!("/servers/{}", server.id)).header(header::COOKIE, &cookie);
        let started = std::time::Instant::now();
        let (status, body) = ask(router, request, "").await;
        assert!(status == 200 && body.contains("Waiting for the first scrape") && !body.contains("secret"), "{body}");
        assert_eq!(body.matches("while the database does not answer").count(), 3);
        assert!(started.elapsed() < Duration::from_secs(3), "what hangs is asked beside each other");
    }
}

/// Counts the reads of a user.
struct Counting(Arc<dyn Accounts>, AtomicUsize);

#[async_trait]
impl Accounts for Counting {
    async fn user(&self, username: &str) -> Result<Option<User>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.user(username).await
    }
    async fn users(&self) -> Result<Vec<User>> {
        self.0.users().await
    }
    async fn users_after(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>> {
        self.0.users_after(after, limit).await
    }
    async fn create_user(&self, user: User) -> Result<()> {
        self.0.create_user(user).await
    }
    async fn set_password(&self, username: &str, epoch: u64, password_hash: String, must_change: bool) -> Result<User> {
        self.0.set_password(username, epoch, password_hash, must_change).await
    }
    async fn upgrade_hash(&self, username: &str, old: &str, new: String) -> Result<bool> {
        self.0.upgrade_hash(username, old, new).await
    }
    async fn edit_user(&self, username: &str, patch: UserPatch) -> Result<Option<(User, User)>> {
        self.0.edit_user(username, patch).await
    }
    async fn end_sign_ins(&self, username: &str) -> Result<Option<User>> {
        self.0.end_sign_ins(username).await
    }
    async fn set_totp(&self, username: &str, totp: Option<Totp>) -> Result<Option<User>> {
        self.0.set_totp(username, totp).await
    }
    async fn take_totp_step(&self, username: &str, step: u64) -> Result<bool> {
        self.0.take_totp_step(username, step).await
    }
    async fn delete_user(&self, username: &str) -> Result<bool> {
        self.0.delete_user(username).await
    }
    async fn create_session(&self, session: Session) -> Result<()> {
        self.0.create_session(session).await
    }
    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        self.0.session(digest, now).await
    }
    async fn sessions(&self, username: &str, now: Timestamp) -> Result<Vec<Session>> {
        self.0.sessions(username, now).await
    }
    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()> {
        self.0.delete_session(digest).await
    }
    async fn create_grant(&self, grant: Grant) -> Result<()> {
        self.0.create_grant(grant).await
    }
    async fn renew_grant(&self, id: &[u8; 16], old: &[u8; 32], new: &[u8; 32], now: Timestamp) -> Result<Renewal> {
        self.0.renew_grant(id, old, new, now).await
    }
    async fn delete_grant(&self, id: &[u8; 16]) -> Result<()> {
        self.0.delete_grant(id).await
    }
    async fn revoke(&self, id: &[u8; 16], until: Timestamp) -> Result<()> {
        self.0.revoke(id, until).await
    }
    async fn revoked(&self, now: Timestamp) -> Result<Vec<[u8; 16]>> {
        self.0.revoked(now).await
    }
    async fn create_token(&self, token: ApiToken) -> Result<()> {
        self.0.create_token(token).await
    }
    async fn token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>> {
        self.0.token(digest, now).await
    }
    async fn tokens(&self, username: &str) -> Result<Vec<ApiToken>> {
        self.0.tokens(username).await
    }
    async fn touch_token(&self, digest: &[u8; 32], at: Timestamp) -> Result<()> {
        self.0.touch_token(digest, at).await
    }
    async fn delete_token(&self, username: &str, name: &str) -> Result<bool> {
        self.0.delete_token(username, name).await
    }
}

#[tokio::test]
async fn a_burst_with_a_token_reads_the_account_once() {
    let site = Site::new().await;
    let token = site.token("viewer").await;
    let counting = Arc::new(Counting(site.store.accounts.clone(), AtomicUsize::new(0)));
    let router = mect_web::router(parts(&site, counting.clone(), site.store.history.clone()));
    for _ in 0..20 {
        let request = Request::get("/servers").header(header::AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(ask(router.clone(), request, "").await.0, StatusCode::OK);
    }
    assert!(counting.1.load(Ordering::Relaxed) <= 2, "the store was read for every request");
}
