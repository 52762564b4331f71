//! This installation: `GET /about`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use mect_fleet::Timestamp;
use mect_fleet::installation::{Facts, StoreKind};
use mect_fleet::store::StoreState;
use tokio::task::spawn_blocking;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, format, page};
use findings::{Finding, Situation, judge};

mod findings;

/// A database that locates servers.
struct Database {
    file: String,
    /// What its maker calls it, and when it was made.
    content: Option<(String, Moment)>,
}

#[derive(Template)]
#[template(path = "about.html")]
struct AboutPage {
    who: Option<Who>,
    version: &'static str,
    build: String,
    /// When the process was started, and how long it runs.
    started: Option<(Moment, String)>,
    store: Option<&'static str>,
    store_answers: bool,
    retention: Option<String>,
    redis: Option<bool>,
    /// Names of the living collectors, and how many of how many shards this one holds.
    share: Option<(String, usize, u16)>,
    interval: String,
    timeout: String,
    targets: String,
    servers: String,
    published: Moment,
    databases: Vec<Database>,
    open_files: Option<String>,
    findings: Vec<Finding>,
}

/// `GET /about`.
pub(crate) async fn show(State(app): State<Shared>, identity: Identity) -> Result<Response, Error> {
    // Counts open files, and walks over the fleet.
    let told = spawn_blocking(move || {
        let facts = app.collecting.installation.as_ref().map(|installation| installation.facts());
        let targets = app.collecting.targets.as_ref().map(|targets| targets.snapshot()).unwrap_or_default();
        let (view, state) = (app.fleet.view(), app.fleet.store_state());
        let situation = Situation::of(&view, state, &facts.clone().unwrap_or_default(), app.settings.is_https());
        (facts, targets, view, state, judge(&situation))
    });
    let (facts, targets, view, state, findings) = told.await.map_err(|error| Error::Internal(Box::new(error)))?;
    let (now, profile) = (Timestamp::now(), if cfg!(debug_assertions) { "debug" } else { "release" });
    let template = AboutPage {
        who: Some(Who::on(Section::About, &identity)),
        version: env!("CARGO_PKG_VERSION"),
        build: format!("{profile}, {} {}", std::env::consts::OS, std::env::consts::ARCH),
        started: facts.as_ref().map(|facts| {
            let at = facts.started_at;
            (Moment::new(at, now), format::span(now.since(at)))
        }),
        store: facts.as_ref().map(|facts| match facts.store {
            StoreKind::Embedded => "embedded, in the data directory",
            StoreKind::Mongo => "MongoDB",
        }),
        store_answers: matches!(state, StoreState::Answers),
        retention: facts.as_ref().map(|facts| format::span(facts.retention)),
        redis: facts.as_ref().and_then(|facts| facts.redis),
        share: facts.as_ref().and_then(|facts| {
            let share = facts.share.as_ref()?;
            Some((share.collectors.join(", "), share.shards, mect_fleet::shard::SHARDS))
        }),
        interval: format::span(targets.interval),
        timeout: format::span(targets.timeout),
        targets: format::count(targets.active.len() as u64),
        servers: format::count(view.servers().len() as u64),
        published: Moment::new(view.published_at(), now),
        open_files: facts.as_ref().map(open_files),
        databases: facts.map(|facts| databases(facts, now)).unwrap_or_default(),
        findings,
    };
    page(StatusCode::OK, &template)
}

fn open_files(facts: &Facts) -> String {
    let (open, allowed) = facts.open_files;
    match allowed {
        Some(allowed) => format!("{} of {}", format::count(open), format::count(allowed)),
        None => format::count(open),
    }
}

fn databases(facts: Facts, now: Timestamp) -> Vec<Database> {
    let shown = |database: mect_fleet::installation::Database| Database {
        file: database.file,
        content: database.content.map(|(kind, at)| (kind, Moment::new(at, now))),
    };
    facts.databases.into_iter().map(shown).collect()
}
