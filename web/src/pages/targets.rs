//! Every scrape endpoint and how its latest scrape went: `GET /targets`.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::collecting::{ActiveTarget, DroppedTarget, TargetsSnapshot};
use mect_fleet::{FleetView, ServerView, Timestamp};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::endpoints::EndpointState;
use crate::error::Error;
use crate::pages::choice::Choice;
use crate::pages::field::Field;
use crate::pages::filter::{contains, escape};
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, format, page};
use crate::twins;

/// Rows of a page.
const PAGE_ROWS: usize = 100;
/// Targets not in use that are shown; the rest is counted.
const MAX_DROPPED: usize = 100;

/// Query of the page. Whatever makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TargetsQuery {
    /// Words that must all occur in name, address or URL.
    q: String,
    /// See [`Answer`].
    state: String,
    /// `slow` or `name`; else what fails most comes first.
    sort: String,
    /// From 1.
    page: String,
}

impl TargetsQuery {
    fn link_to_page(&self, page: usize) -> String {
        let (q, state, sort) = (escape(&self.q), escape(&self.state), escape(&self.sort));
        format!("/targets?q={q}&state={state}&sort={sort}&page={page}")
    }

    fn narrows(&self) -> bool {
        !self.q.trim().is_empty() || Answer::ALL.iter().any(|answer| answer.name() == self.state)
    }
}

/// What the latest scrape says, without memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Up,
    Down,
    Unknown,
}

impl Answer {
    const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Unknown];

    fn of(known: &Known<'_>) -> Self {
        if let Some(endpoint) = &known.endpoint {
            return match endpoint.health {
                "up" => Self::Up,
                "down" => Self::Down,
                _ => Self::Unknown,
            };
        }
        let standing = known.view.map(|view| &view.standing);
        match standing.map(|standing| (standing.last_scrape, &standing.last_failure)) {
            Some((Some(_), None)) => Self::Up,
            Some((_, Some(_))) => Self::Down,
            Some((None, None)) | None => Self::Unknown,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "failing",
            Self::Unknown => "unknown",
        }
    }

    /// The state whose mark it has.
    const fn state(self) -> &'static str {
        match self {
            Self::Up => "active",
            Self::Down => "down",
            Self::Unknown => "pending",
        }
    }
}

/// An endpoint with its server.
struct Known<'a> {
    target: &'a ActiveTarget,
    url: Option<&'a str>,
    view: Option<&'a ServerView>,
    /// How it did, of a further one.
    endpoint: Option<EndpointState>,
}

impl<'a> Known<'a> {
    /// Every endpoint of a target.
    fn all_of(target: &'a ActiveTarget, view: Option<&'a ServerView>) -> impl Iterator<Item = Self> {
        let further = target.further.iter().map(move |url| {
            let endpoint = view.map(|view| EndpointState::of(view, url)).unwrap_or_default();
            Self { target, url: Some(url), view, endpoint: Some(endpoint) }
        });
        std::iter::once(Self { target, url: target.url.as_deref(), view, endpoint: None }).chain(further)
    }

    /// Failures since the latest success.
    fn failures(&self) -> u32 {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.failures;
        }
        self.view.map_or(0, |view| view.standing.state.failures)
    }

    fn duration_ms(&self) -> u32 {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.duration_ms;
        }
        self.view.map_or(0, |view| view.standing.last_duration_ms)
    }

    fn name(&self) -> &str {
        self.view.map_or("", |view| &view.server.hostname)
    }

    /// The server's identity, which an element may have once: with the port for a further endpoint.
    fn id(&self) -> String {
        let server = self.target.server;
        let place =
            self.target.further.iter().position(|url| self.endpoint.is_some() && Some(url.as_str()) == self.url);
        place.map_or_else(|| server.to_string(), |place| format!("{server}-{}", place + 2))
    }

    fn matches(&self, word: &str) -> bool {
        let server = self.view.map(|view| &view.server);
        let url = self.url.unwrap_or_default();
        contains(url, word)
            || server.is_some_and(|server| contains(&server.hostname, word) || contains(&server.ip, word))
    }
}

/// A target as a row.
struct Row {
    id: String,
    hostname: String,
    link: Option<String>,
    /// `None` when an agent reports it.
    url: Option<String>,
    answer: &'static str,
    state: &'static str,
    last_scrape: Option<Moment>,
    duration: String,
    failures: u32,
    /// Why the latest scrape failed.
    trouble: Option<String>,
    /// What is odd although it works.
    warning: Option<String>,
}

impl Row {
    fn new(known: &Known<'_>, view: &FleetView, now: Timestamp) -> Self {
        let standing = known.view.map(|view| &view.standing);
        let answer = Answer::of(known);
        let (last_scrape, trouble) = match &known.endpoint {
            Some(endpoint) => (endpoint.last_scrape, endpoint.error.clone()),
            None => {
                let failure = standing.and_then(|standing| standing.last_failure.as_ref());
                (standing.and_then(|standing| standing.last_scrape), failure.map(ToString::to_string))
            }
        };
        let is_main = known.endpoint.is_none();
        Self {
            id: known.id(),
            hostname: known.view.map_or_else(|| known.target.server.to_string(), |view| view.server.hostname.clone()),
            link: known.view.map(|view| format!("/servers/{}", view.server.id)),
            url: known.url.map(str::to_owned),
            answer: answer.name(),
            state: answer.state(),
            last_scrape: last_scrape.map(|at| Moment::new(at, now)),
            duration: last_scrape.map_or_else(|| "–".to_owned(), |_| format::millis(known.duration_ms())),
            failures: known.failures(),
            trouble,
            warning: known.view.filter(|_| is_main).and_then(|server| twins::warning(view, server)),
        }
    }
}

/// One page of targets.
struct Found {
    rows: Vec<Row>,
    total: usize,
    all: usize,
    page: usize,
    pages: usize,
}

fn find(query: &TargetsQuery, targets: &TargetsSnapshot, view: &FleetView, now: Timestamp) -> Found {
    let words: Vec<&str> = query.q.split_whitespace().collect();
    let wanted = Answer::ALL.into_iter().find(|answer| answer.name() == query.state);
    let known = |target: &'_ ActiveTarget| view.by_id(target.server).map(AsRef::as_ref);
    let mut found: Vec<Known<'_>> =
        targets.active.iter().flat_map(|target| Known::all_of(target, known(target))).collect();
    let all = found.len();
    found.retain(|known| wanted.is_none_or(|wanted| Answer::of(known) == wanted));
    found.retain(|known| words.iter().all(|word| known.matches(word)));
    found.sort_by(|a, b| (a.name(), a.target.server).cmp(&(b.name(), b.target.server)));
    match query.sort.as_str() {
        "slow" => found.sort_by_key(|known| Reverse(known.duration_ms())),
        "name" => {}
        _ => found.sort_by_key(|known| (Answer::of(known) != Answer::Down, Reverse(known.failures()))),
    }
    let pages = found.len().div_ceil(PAGE_ROWS).max(1);
    let page = query.page.parse().unwrap_or(1).clamp(1, pages);
    let rows = found.iter().skip((page - 1) * PAGE_ROWS).take(PAGE_ROWS);
    Found { rows: rows.map(|known| Row::new(known, view, now)).collect(), total: found.len(), all, page, pages }
}

#[derive(Template)]
#[template(path = "targets.html")]
struct TargetsPage {
    who: Option<Who>,
    search: Field,
    state: Choice,
    sort: Choice,
    narrows: bool,
    /// Target files that cannot be used as they are now, and why.
    bad_files: Vec<String>,
    /// Lists by HTTP, likewise.
    bad_lists: Vec<String>,
    interval: String,
    timeout: String,
    found: Found,
    first: usize,
    last: usize,
    previous: Option<String>,
    next: Option<String>,
    dropped: Vec<DroppedTarget>,
    /// Of those, not shown.
    more_dropped: usize,
}

/// `GET /targets`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<TargetsQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let (asked, now) = (query.clone(), Timestamp::now());
    // A pass over 50,000 targets is not for a thread that serves others.
    let found = spawn_blocking(move || {
        let targets = app.collecting.targets.as_ref().map(|targets| targets.snapshot()).unwrap_or_default();
        let facts = app.collecting.installation.as_ref().map(|installation| installation.facts());
        let bad = facts.map(|facts| (facts.bad_target_files, facts.bad_target_lists)).unwrap_or_default();
        (find(&asked, &targets, &app.fleet.view(), now), targets, bad)
    });
    let (found, mut targets, (bad_files, bad_lists)) = found.await.map_err(|error| Error::Internal(Box::new(error)))?;
    let (number, pages, first) = (found.page, found.pages, (found.page - 1) * PAGE_ROWS);
    let states = Answer::ALL.map(|answer| (answer.name(), answer.name()));
    let more_dropped = targets.dropped.len().saturating_sub(MAX_DROPPED);
    targets.dropped.truncate(MAX_DROPPED);
    let template = TargetsPage {
        who: Some(Who::on(Section::Targets, &identity)),
        search: Field { value: query.q.clone(), ..Field::new("q", "Search").kind("search") },
        state: Choice::new("state", "Latest scrape", [("", "any")].into_iter().chain(states), &query.state),
        sort: Choice::new(
            "sort",
            "Order",
            [("", "Most failing first"), ("slow", "Slowest first"), ("name", "Name")],
            &query.sort,
        ),
        narrows: query.narrows(),
        bad_files,
        bad_lists,
        interval: format::span(targets.interval),
        timeout: format::span(targets.timeout),
        first: first + 1,
        last: first + found.rows.len(),
        previous: (number > 1).then(|| query.link_to_page(number - 1)),
        next: (number < pages).then(|| query.link_to_page(number + 1)),
        found,
        dropped: targets.dropped,
        more_dropped,
    };
    page(StatusCode::OK, &template)
}
