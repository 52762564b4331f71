//! Pages of mistakes, ours and others'.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use http_body_util::BodyExt;
use mect_fleet::collecting::{Collecting, Targets, TargetsSnapshot};
use mect_fleet::store::{History, Point, Result, StoreError};
use mect_fleet::{Neighbours, ServerId, Timestamp, Transition};
use mect_web::Parts;
use prometheus_client::registry::Registry;
use tower::ServiceExt;

use crate::common::{Answer, Site, settings};
use crate::golden::{is, shows};

/// A history that fails, and targets that panic.
struct Broken;

impl Broken {
    fn fail<T>() -> Result<T> {
        Err(StoreError::Backend("disk full at /secret/path".into()))
    }
}

#[async_trait]
impl History for Broken {
    async fn points(&self, _: ServerId, _: Range<Timestamp>) -> Result<Vec<Point>> {
        Self::fail()
    }
    async fn transitions(&self, _: Option<ServerId>, _: usize) -> Result<Vec<Transition>> {
        Self::fail()
    }
    async fn transitions_before(&self, _: Option<ServerId>, _: Timestamp, _: usize) -> Result<Vec<Transition>> {
        Self::fail()
    }
    async fn transitions_since(&self, _: Timestamp) -> Result<Vec<Transition>> {
        Self::fail()
    }
}

impl Targets for Broken {
    fn snapshot(&self) -> TargetsSnapshot {
        panic!("on purpose")
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(120)
    }
}

#[tokio::test]
async fn of_who_asks() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    is("error-401", 401, &site.submit("", "/servers/add", "address=192.0.2.1:9776").await);
    shows("error-403", 403, async || site.visit(&cookie, "/servers/add").await).await;
    is("error-403-form", 403, &site.submit_with(&cookie, "/account/sign-out", "form_token=stale").await);
    shows("error-404", 404, async || site.visit(&cookie, "/no/such/page").await).await;
    shows("error-404-nobody", 404, async || site.visit("", "/no/such/%22%3E%3Cimg%20src=x%3E").await).await;
    shows("error-404-server", 404, async || site.visit(&cookie, "/servers/srv-aaaaaaaa").await).await;
    is("error-405", 405, &site.submit(&cookie, "/incidents", "").await);
}

#[tokio::test]
async fn of_ours() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    let parts = Parts {
        fleet: site.fleet.clone(),
        accounts: site.store.accounts.clone(),
        history: Arc::new(Broken),
        journal: site.store.journal.clone(),
        neighbours: Neighbours::default(),
        collecting: Collecting { targets: Some(Arc::new(Broken)), ..Collecting::default() },
        registry: Arc::new(Registry::default()),
        settings: settings(),
    };
    let router = mect_web::router(parts);
    shows("error-500", 500, async || visit(&router, &cookie, "/targets").await).await;
    shows("error-503", 503, async || visit(&router, &cookie, "/incidents").await).await;
}

async fn visit(router: &Router, cookie: &str, path: &str) -> Answer {
    let request = http::Request::get(path).header("accept", "text/html").header("cookie", cookie);
    let response = router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes().into() }
}
