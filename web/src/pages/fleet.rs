//! The fleet page: `GET /`.

use std::time::Duration;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::{FleetView, Health, Role, Timestamp, Transition};

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::filter::{FleetQuery, Sort};
use crate::pages::row::{Moment, Row};
use crate::pages::summary::Summary;
use crate::pages::{Who, assets, format, page};

/// Latest changes of health shown beside the table.
const CHANGES: usize = 8;
/// The past is a courtesy of this page: it never waits longer for it.
const HISTORY_PATIENCE: Duration = Duration::from_millis(500);

/// A headline card that filters by state.
struct StateCard {
    name: &'static str,
    count: String,
    link: String,
    selected: bool,
}

/// A past change of health.
struct Change {
    hostname: String,
    to: &'static str,
    reason: &'static str,
    at: Moment,
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    who: Option<Who>,
    may_configure: bool,
    query: FleetQuery,
    sorts: Vec<(Sort, bool)>,
    cards: Vec<StateCard>,
    total: String,
    listed: String,
    mean_load: Option<(String, String)>,
    traffic: Option<(String, String)>,
    sessions: Option<String>,
    published: Moment,
    rows: Vec<Row>,
    found: String,
    first: String,
    last: String,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
    changes: Vec<Change>,
    is_empty: bool,
}

/// `GET /`: the fleet, filtered, sorted and paged by the query.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<FleetQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query?;
    let view = app.fleet.view();
    let past = tokio::time::timeout(HISTORY_PATIENCE, app.history.transitions(None, CHANGES)).await;
    let past = past.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_else(|error| {
        tracing::warn!(%error, "the fleet page is shown without its latest changes");
        Vec::new()
    });
    let now = Timestamp::now();
    let summary = Summary::of(&view);
    let found = query.find(&view);
    let first = (found.page - 1) * crate::pages::filter::PAGE_ROWS;
    let template = FleetPage {
        who: Some(Who::from(&identity)),
        may_configure: identity.may(Role::Admin),
        sorts: Sort::ALL.into_iter().map(|sort| (sort, sort == query.order())).collect(),
        cards: cards(&summary, &query),
        total: format::count(summary.total() as u64),
        listed: format::count(summary.listed as u64),
        mean_load: summary
            .mean_load()
            .map(|load| (format::whole_percent(load), format!("{:.1}", mect_fleet::reading::percent(load)))),
        traffic: summary.traffic(),
        sessions: summary.sessions(),
        published: Moment::new(view.published_at(), now),
        rows: found.rows.iter().map(|server| Row::new(server, &app.settings.rule, now)).collect(),
        found: format::count(found.total as u64),
        first: format::count((first + 1).min(found.total) as u64),
        last: format::count((first + found.rows.len()) as u64),
        page: found.page,
        pages: found.pages,
        previous: (found.page > 1).then(|| query.link_to_page(found.page - 1)),
        next: (found.page < found.pages).then(|| query.link_to_page(found.page + 1)),
        changes: past.iter().filter_map(|transition| change(transition, &view, now)).collect(),
        is_empty: summary.total() == 0,
        query,
    };
    page(StatusCode::OK, &template)
}

fn cards(summary: &Summary, query: &FleetQuery) -> Vec<StateCard> {
    let card = |health: Health| {
        let selected = query.health() == Some(health);
        StateCard {
            name: health.name(),
            count: format::count(summary.count(health) as u64),
            // A second click on the chosen card shows all again.
            link: query.link_to_state(if selected { "" } else { health.name() }),
            selected,
        }
    };
    Health::ALL.into_iter().map(card).collect()
}

fn change(transition: &Transition, view: &FleetView, now: Timestamp) -> Option<Change> {
    let server = view.by_id(transition.server)?;
    Some(Change {
        hostname: server.server.hostname.clone(),
        to: transition.to.name(),
        reason: transition.reason.map_or("", |reason| reason.sentence()),
        at: Moment::new(transition.at, now),
    })
}
