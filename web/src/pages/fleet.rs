//! The fleet page: `GET /`.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::store::History;
use mect_fleet::{FleetView, Role, ServerView, Service, Timestamp, Transition};
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::bulk::ACTIONS;
use crate::pages::day::Sparklines;
use crate::pages::filter::{self, FLAGS, FleetQuery};
use crate::pages::map::{self, Place};
use crate::pages::order::{Order, Sort};
use crate::pages::row::{Moment, Row};
use crate::pages::strips::Strip;
use crate::pages::summary::Summary;
use crate::pages::{Section, Who, assets, format, page};

/// Latest changes of health shown beside the table.
const CHANGES: usize = 8;
/// The past is a courtesy of this page: it never waits longer for it.
const HISTORY_PATIENCE: Duration = Duration::from_millis(500);
/// A collector that publishes nothing for so long hangs, or scrapes nothing; the page must not look fresh then.
const OLD_AFTER: Duration = Duration::from_secs(300);

/// A headline card that filters by state.
struct StateCard {
    name: &'static str,
    count: String,
    link: String,
    selected: bool,
}

/// A value to filter by.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// A column's heading, which sorts by it.
struct Heading {
    label: &'static str,
    class: &'static str,
    /// Where a click leads; `None` for a column that sorts nothing.
    link: Option<String>,
    /// The value of `aria-sort`; empty unless the table is sorted by it.
    aria: &'static str,
}

/// A past change of health.
struct Change {
    id: String,
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
    sorts: Vec<Choice>,
    countries: Vec<Choice>,
    services: Vec<Choice>,
    flags: Vec<Choice>,
    tags: Vec<Choice>,
    headings: Vec<Heading>,
    density: String,
    cards: Vec<StateCard>,
    total: String,
    listed: String,
    mean_load: Option<(String, String)>,
    traffic: Option<(String, String)>,
    /// Share of the known capacity in use, its width, and the capacity.
    capacity: Option<(String, String, String)>,
    sessions: Option<String>,
    day: Sparklines,
    day_since: Option<String>,
    places: Vec<Place>,
    published: Moment,
    is_old: bool,
    old_after_seconds: u64,
    rows: Vec<Row>,
    found: String,
    first: String,
    last: String,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
    changes: Vec<Change>,
    /// The past could be asked for.
    knows_changes: bool,
    is_empty: bool,
    /// Servers that await approval.
    waiting: usize,
    /// Since when the store does not answer.
    lost_since: Option<String>,
    /// What was just done.
    done: &'static str,
}

/// What a redirect says was done.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct DoneQuery {
    done: String,
}

/// `GET /`: the fleet, filtered, sorted and paged by the query.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<FleetQuery>, QueryRejection>,
    done: Result<Query<DoneQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let (Query(query), Query(done)) = (query?, done?);
    let view = app.fleet.view();
    let state = app.fleet.store_state();
    let past = if state.is_lost() { None } else { latest_changes(app.history.as_ref()).await };
    let now = Timestamp::now();
    let lost_since = crate::pages::lost_since(&app);
    let summary = app.summaries.of(&view);
    let day = app.day.sparklines(now);
    let found = query.find(&view);
    let first = (found.page - 1) * filter::PAGE_ROWS;
    let rows = rows(&app, &found.rows, now, lost_since.is_some()).await;
    let age = now.since(view.published_at());
    let template = FleetPage {
        who: Some(Who::on(Section::Fleet, &identity)),
        may_configure: identity.may(Role::Admin),
        sorts: Sort::ALL.into_iter().map(|sort| choice(sort.name(), sort.label(), sort == query.order().by)).collect(),
        countries: countries(&summary, &query),
        services: Service::ALL.into_iter().map(|s| choice(s.code(), s.name(), s.code() == query.service)).collect(),
        flags: flags(&query),
        tags: tags(&summary, &query),
        headings: headings(&query),
        density: query.link_with(|link| {
            link.page.clone_from(&query.page);
            link.density = if query.is_compact() { String::new() } else { "compact".to_owned() };
        }),
        cards: cards(&summary, &query),
        total: format::count(summary.total() as u64),
        listed: format::count(summary.listed as u64),
        mean_load: summary.mean_load().map(|load| (format::whole_percent(load), width(load))),
        traffic: summary.traffic(),
        capacity: summary
            .capacity()
            .map(|(share, capacity)| (format::whole_percent(share), width(share), format::bit_rate(capacity))),
        sessions: summary.sessions(),
        day_since: day.since.map(format::utc),
        day,
        places: map::places(&summary, &query),
        published: Moment::new(view.published_at(), now),
        is_old: age > OLD_AFTER && summary.total() > 0,
        old_after_seconds: OLD_AFTER.as_secs(),
        first: format::count((first + 1).min(found.total) as u64),
        last: format::count((first + rows.len()) as u64),
        rows,
        found: format::count(found.total as u64),
        page: found.page,
        pages: found.pages,
        previous: (found.page > 1).then(|| query.link_to_page(found.page - 1)),
        next: (found.page < found.pages).then(|| query.link_to_page(found.page + 1)),
        knows_changes: past.is_some(),
        changes: past.iter().flatten().filter_map(|transition| change(transition, &view, now)).collect(),
        lost_since,
        waiting: crate::pages::waiting::count(&view),
        is_empty: summary.total() == 0,
        done: if done.done == "bulk" { "The servers were changed." } else { "" },
        query,
    };
    page(StatusCode::OK, &template)
}

/// The rows of the page, with their strips unless the store is away.
async fn rows(app: &App, servers: &[&Arc<ServerView>], now: Timestamp, is_store_lost: bool) -> Vec<Row> {
    let flips = if is_store_lost { None } else { app.strips.flips(&app.history).await };
    let row = |server: &&Arc<ServerView>| {
        let strip = flips.as_ref().and_then(|flips| Strip::of(server, flips, now));
        Row { strip, ..Row::new(server, &app.settings.rule, now) }
    };
    servers.iter().map(row).collect()
}

/// `None` when the store does not tell them in time.
async fn latest_changes(history: &dyn History) -> Option<Vec<Transition>> {
    let past = tokio::time::timeout(HISTORY_PATIENCE, history.transitions(None, CHANGES)).await.ok()?;
    past.inspect_err(|error| tracing::warn!(%error, "the fleet page is shown without its latest changes")).ok()
}

/// Width of a bar that shows a ratio, in percent.
fn width(ratio: f32) -> String {
    format!("{:.1}", mect_fleet::reading::percent(ratio))
}

fn choice(value: &str, label: impl Into<String>, chosen: bool) -> Choice {
    Choice { value: value.to_owned(), label: label.into(), chosen }
}

fn countries(summary: &Summary, query: &FleetQuery) -> Vec<Choice> {
    let known = summary.countries.iter().filter(|(code, _)| !code.is_empty());
    let mut choices: Vec<_> = known
        .map(|(code, country)| {
            let label = format!("{} ({})", country.name, format::count(country.servers as u64));
            choice(code, label, query.country.eq_ignore_ascii_case(code))
        })
        .collect();
    choices.sort_by(|a, b| a.label.cmp(&b.label));
    choices
}

fn flags(query: &FleetQuery) -> Vec<Choice> {
    let choices = FLAGS.into_iter().flat_map(|(name, with, without, _)| {
        let reverse = format!("-{name}");
        [choice(name, with, query.flag == name), choice(&reverse, without, query.flag == reverse)]
    });
    choices.collect()
}

fn tags(summary: &Summary, query: &FleetQuery) -> Vec<Choice> {
    let choices = summary.tags.iter().map(|(tag, count)| choice(tag, format!("{tag} ({count})"), *tag == query.tag));
    choices.collect()
}

/// The columns of the table. A click on the one it is sorted by turns the order round.
fn headings(query: &FleetQuery) -> Vec<Heading> {
    let order = query.order();
    let sorting = |label, class, by: Sort| {
        let next = Order { by, reversed: order.by == by && !order.reversed };
        Heading {
            label,
            class,
            link: Some(query.link_with(|query| query.sort = next.name())),
            aria: if order.by == by { order.aria() } else { "" },
        }
    };
    let plain = |label, class| Heading { label, class, link: None, aria: "" };
    vec![
        sorting("State", "state", Sort::Attention),
        sorting("Server", "server", Sort::Name),
        sorting("Place", "place", Sort::Place),
        plain("Services", "services"),
        sorting("Load", "load", Sort::Load),
        sorting("Sessions", "number", Sort::Sessions),
        sorting("Heartbeat", "heartbeat", Sort::Heartbeat),
        plain("30 days", "strip"),
        plain("Flags", "flags"),
    ]
}

fn cards(summary: &Summary, query: &FleetQuery) -> Vec<StateCard> {
    let card = |state: filter::State| {
        let selected = query.state() == Some(state);
        StateCard {
            name: state.name(),
            count: format::count(summary.count(state) as u64),
            // A second click on the chosen card shows all again.
            link: query.link_with(|query| query.state = if selected { String::new() } else { state.name().to_owned() }),
            selected,
        }
    };
    filter::State::ALL.into_iter().map(card).collect()
}

fn change(transition: &Transition, view: &FleetView, now: Timestamp) -> Option<Change> {
    let server = view.by_id(transition.server)?;
    Some(Change {
        id: transition.server.to_string(),
        hostname: server.server.hostname.clone(),
        to: transition.to.name(),
        reason: transition.reason.map_or("", |reason| reason.sentence()),
        at: Moment::new(transition.at, now),
    })
}
