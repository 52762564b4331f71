//! What callers see when the store fails, hangs or panics.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use common::Site;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use mect_fleet::store::{Accounts, History, Point, Result, StoreError};
use mect_fleet::{ServerId, Session, Timestamp, Transition, User};
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
    async fn create_user(&self, _: User) -> Result<()> {
        self.fail().await
    }
    async fn set_password(&self, _: &str, _: u64, _: String, _: bool) -> Result<User> {
        self.fail().await
    }
    async fn create_session(&self, _: Session) -> Result<()> {
        self.fail().await
    }
    async fn session(&self, _: &[u8; 32], _: Timestamp) -> Result<Option<Session>> {
        self.fail().await
    }
    async fn delete_session(&self, _: &[u8; 32]) -> Result<()> {
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
}

fn parts(site: &Site, accounts: Arc<dyn Accounts>, history: Arc<dyn History>) -> Parts {
    let registry = Arc::new(Registry::default());
    Parts { fleet: site.fleet.clone(), accounts, history, registry, settings: common::settings() }
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
        assert_eq!(ask(router.clone(), Request::get("/readyz"), "").await.0, status);
        assert_eq!(ask(router, Request::get("/healthz"), "").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_store_that_hangs_holds_no_request_for_long() {
    let site = Site::new().await;
    let broken = Arc::new(Broken(Fault::Hang));
    let router = mect_web::router(parts(&site, broken, site.store.history.clone()));
    tokio::time::pause();
    let (status, body) = ask(router.clone(), Request::get("/readyz"), "").await;
    assert!(status == 503 && body.contains("The store does not answer in time"), "{body}");
    let cookie = format!("mect_session={}", "ab".repeat(32));
    let (status, body) = ask(router, Request::get("/servers").header(header::COOKIE, cookie), "").await;
    assert!(status == 503 && body.contains("The request took too long"), "{body}");
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
        assert!(status == 200 && body.contains("de1") && body.contains("Nothing changed so far"));
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
    async fn create_user(&self, user: User) -> Result<()> {
        self.0.create_user(user).await
    }
    async fn set_password(&self, username: &str, epoch: u64, hash: String, must_change: bool) -> Result<User> {
        self.0.set_password(username, epoch, hash, must_change).await
    }
    async fn create_session(&self, session: Session) -> Result<()> {
        self.0.create_session(session).await
    }
    async fn session(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        self.0.session(digest, now).await
    }
    async fn delete_session(&self, digest: &[u8; 32]) -> Result<()> {
        self.0.delete_session(digest).await
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
