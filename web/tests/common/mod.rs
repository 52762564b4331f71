//! A whole site in this process: the embedded store, a fleet, and users of every kind.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Record, Registration, Store, story};
use mect_fleet::{Fleet, Neighbours, Outcome, Place, Role, Server, Standing, Timestamp, User};
use mect_web::{Parts, Secret, Settings};
use prometheus_client::registry::Registry;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

pub mod collected;

pub const TOKEN_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const PASSWORD: &str = "correct horse battery";

pub struct Site {
    pub router: Router,
    pub store: Store,
    pub fleet: Arc<Fleet>,
    pub neighbours: Neighbours,
    parts: Parts,
    _data: tempfile::TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `name=value` of the cookie that the answer sets.
    pub fn cookie(&self) -> String {
        self.header(header::SET_COOKIE).split(';').next().unwrap().to_owned()
    }

    /// Asserts a problem+json of that status and detail.
    #[track_caller]
    pub fn is_problem(&self, status: u16, detail: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        assert_eq!(self.json()["detail"], detail);
        assert_eq!(self.json()["status"], status);
    }
}

pub fn settings() -> Settings {
    Settings::new(Secret::new(TOKEN_SECRET)).unwrap()
}

/// The metrics of a program that counts something.
fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register("things", "Things counted", prometheus_client::metrics::counter::Counter::<u64>::default());
    registry
}

impl Site {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    /// With users `viewer`, `admin`, `root` by role, and `fresh`, an admin who must change the password first.
    pub async fn with(settings: Settings) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
        for (username, role) in
            [("viewer", Role::Readonly), ("admin", Role::Admin), ("root", Role::Superadmin), ("fresh", Role::Admin)]
        {
            let user = User::new(username, hash(PASSWORD), role, Timestamp::from_secs(1_795_000_000));
            // Tests that make tokens by hand know the epoch.
            let user = User { epoch: 0, must_change_password: username == "fresh", ..user };
            store.accounts.create_user(user).await.unwrap();
        }
        let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
        let neighbours = Neighbours::default();
        let parts = Parts {
            fleet: fleet.clone(),
            accounts: store.accounts.clone(),
            history: store.history.clone(),
            journal: store.journal.clone(),
            neighbours: neighbours.clone(),
            collecting: mect_fleet::collecting::Collecting::default(),
            registry: Arc::new(registry()),
            settings,
        };
        Self { router: mect_web::router(parts.clone()), store, fleet, neighbours, parts, _data: data }
    }

    /// The same with another collecting part.
    pub fn collecting(mut self, collecting: mect_fleet::collecting::Collecting) -> Self {
        self.parts.collecting = collecting;
        self.router = mect_web::router(self.parts.clone());
        self
    }

    /// A second collector on the same store, which hears nothing of the first.
    pub fn beside(&self) -> Beside<'_> {
        self.beside_with(settings())
    }

    pub fn beside_with(&self, settings: Settings) -> Beside<'_> {
        let parts = Parts {
            fleet: self.fleet.clone(),
            accounts: self.store.accounts.clone(),
            history: self.store.history.clone(),
            collecting: mect_fleet::collecting::Collecting::default(),
            journal: self.store.journal.clone(),
            neighbours: Neighbours::default(),
            registry: Arc::new(Registry::default()),
            settings,
        };
        Beside { router: mect_web::router(parts), _site: self }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Self::send_to(&self.router, request).await
    }

    async fn send_to(router: &Router, request: Request<Body>) -> Answer {
        let response = router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes().into() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// As a program with that token.
    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(authorized("GET", path, token).body(Body::empty()).unwrap()).await
    }

    pub async fn json_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let request = authorized(method, path, token).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// As a browser with that cookie.
    pub async fn visit(&self, cookie: &str, path: &str) -> Answer {
        let request = Request::get(path).header(header::ACCEPT, "text/html").header(header::COOKIE, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form from one of our own pages, with the token that they carry.
    pub async fn submit(&self, cookie: &str, path: &str, form: &str) -> Answer {
        let token = form_token(cookie);
        self.submit_with(cookie, path, &format!("{form}&form_token={token}")).await
    }

    /// A form as it is.
    pub async fn submit_with(&self, cookie: &str, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, cookie)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    pub async fn try_token(&self, username: &str, password: &str) -> Answer {
        let form = format!("grant_type=password&username={username}&password={}", plus(password));
        let request = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form)).unwrap()).await
    }

    pub async fn token(&self, username: &str) -> String {
        let answer = self.try_token(username, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Signs in by the page; gives the cookie.
    pub async fn session(&self, username: &str) -> String {
        let form = format!("username={username}&password={}", plus(PASSWORD));
        let answer = self.submit("", "/login", &form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        answer.cookie()
    }

    pub async fn register(&self, servers: Vec<Registration>) -> Vec<Server> {
        let now = Timestamp::from_secs(1_795_000_000);
        let servers = self.fleet.register(servers, now).await.unwrap();
        self.fleet.set_monitored(&servers.iter().map(|server| server.id).collect(), now);
        servers
    }

    /// Scrapes a server: once for each outcome, two minutes apart, the first at `at`.
    pub async fn scrape(&self, server: &Server, at: Timestamp, outcomes: Vec<Outcome>) {
        let mut standing = Standing::default();
        let mut at = at;
        let mut batch: Vec<Record> = Vec::new();
        for outcome in outcomes {
            batch.push(story::observe(&mut standing, server.id, at, outcome));
            at = at + Duration::from_secs(120);
        }
        let batch = Arc::new(batch);
        self.store.recorder.record(batch.clone()).await.unwrap();
        self.fleet.apply(&batch);
        self.fleet.publish(Timestamp::now());
    }
}

/// See [`Site::beside`].
pub struct Beside<'a> {
    router: Router,
    /// Keeps the data directory.
    _site: &'a Site,
}

impl Beside<'_> {
    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        Site::send_to(&self.router, authorized("GET", path, token).body(Body::empty()).unwrap()).await
    }

    pub async fn visit(&self, cookie: &str, path: &str) -> Answer {
        let request = Request::get(path).header(header::ACCEPT, "text/html").header(header::COOKIE, cookie);
        Site::send_to(&self.router, request.body(Body::empty()).unwrap()).await
    }

    pub async fn token(&self, username: &str) -> String {
        let form = format!("username={username}&password={}", plus(PASSWORD));
        let request = Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = Site::send_to(&self.router, request.body(Body::from(form)).unwrap()).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// What a page of that session carries in its forms; `defence` sees that pages do.
pub fn form_token(cookie: &str) -> String {
    let secret = cookie.split_once('=').map_or("", |(_, secret)| secret);
    let session = Sha256::digest(secret);
    let token = Sha256::new().chain_update("mect form token").chain_update(session).finalize();
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn registration(ip: &str, hostname: &str) -> Registration {
    Registration {
        ip: ip.into(),
        hostname: hostname.into(),
        place: Place {
            country_code: "DE".into(),
            country: "Germany".into(),
            region: "Hesse".into(),
            city: "Frankfurt".into(),
            ..Place::default()
        },
        ..Registration::default()
    }
}

pub fn authorized(method: &str, path: &str, token: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"))
}

pub fn plus(text: &str) -> String {
    text.replace(' ', "+")
}

fn hash(password: &str) -> String {
    // Cheap parameters: what is tested here is not the hash.
    let params = argon2::Params::new(argon2::Params::MIN_M_COST, 1, 1, None).unwrap();
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    PasswordHasher::<PasswordHash>::hash_password(&argon2, password.as_bytes()).unwrap().to_string()
}
