//! The page of one server: `GET /servers/{id}`.
//!
//! | module | holds |
//! |---|---|
//! | `verdict` | how it is, and why, in a sentence |
//! | `past` | what the store tells, as far as it does in time |
//! | `charts`, `strip` | the past, drawn |
//! | `services`, `score` | rungs and rank in words |
//! | `intent` | what the operator wants of it, and its end |
//! | `form`, `edit` | the form that changes it |
//! | `exposition` | the exporter's page, scraped now |

use std::time::Duration;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::{Role, ServerView, Timestamp};
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::auth::identity::Identity;
use crate::endpoints::EndpointState;
use crate::error::Error;
use crate::pages::chart::Chart;
use crate::pages::prose::Prose;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, format, page};
use crate::rest::v1::events::EventView;
use crate::rest::v1::history;
use crate::rest::v1::servers::server_id;
use crate::twins;

mod charts;
pub(crate) mod edit;
pub(crate) mod exposition;
pub(crate) mod form;
pub(crate) mod intent;
mod past;
mod score;
mod services;
mod strip;
mod verdict;

use charts::Span;
use past::Past;
use score::Score;
use services::Unit;
use strip::Strip;
use verdict::Verdict;

/// Between two scrapes, where nobody says how long that is.
const USUAL_INTERVAL: Duration = Duration::from_secs(120);

/// The spans of uptime, for people.
const UPTIMES: [&str; 3] = ["24 hours", "7 days", "30 days"];

/// Query of the page. Whatever makes no sense counts as not given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerQuery {
    span: String,
    done: String,
}

/// What was done before the page was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Added,
    Known,
    Saved,
    Unchanged,
    Intent,
    Approved,
    HostAccepted,
}

impl Done {
    const ALL: [Self; 7] =
        [Self::Added, Self::Known, Self::Saved, Self::Unchanged, Self::Intent, Self::Approved, Self::HostAccepted];

    /// The word in the query.
    const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Known => "known",
            Self::Saved => "saved",
            Self::Unchanged => "unchanged",
            Self::Intent => "intent",
            Self::Approved => "approved",
            Self::HostAccepted => "host_accepted",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Added => "The server is added. Its first scrape comes within seconds and shows up here by itself.",
            Self::Known => "This very server was added before.",
            Self::Saved => "Saved.",
            Self::Unchanged => "Nothing was changed: everything is as it was.",
            Self::Intent => "Done: what you want of this server is shown below.",
            Self::Approved => "The server is let in. Its first scrape comes within seconds.",
            Self::HostAccepted => "The new host is accepted: from its next scrape on it is this server.",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.name() == name)
    }

    /// Address of a server's page that says so.
    pub(crate) fn on(self, id: mect_fleet::ServerId) -> String {
        format!("/servers/{id}?done={}", self.name())
    }
}

/// A span that can be chosen.
struct Choice {
    name: &'static str,
    label: &'static str,
    is_chosen: bool,
}

/// An event, in words.
struct Happened {
    at: Moment,
    /// Class of a mark.
    mark: &'static str,
    text: String,
}

/// The share of a time in which it was up.
struct Uptime {
    label: &'static str,
    text: String,
}

/// A fact with its name.
struct Fact {
    name: &'static str,
    text: Prose,
}

#[derive(Template)]
#[template(path = "server.html")]
struct ServerPage {
    who: Option<Who>,
    /// The page keeps itself fresh.
    is_live: bool,
    may_configure: bool,
    may_scrape: bool,
    id: String,
    hostname: String,
    /// URLs of further endpoints.
    further: Vec<String>,
    verdict: Verdict,
    done: Option<&'static str>,
    awaits_approval: bool,
    /// Another host that answers there.
    stranger: Option<String>,
    enabled: bool,
    draining: bool,
    in_maintenance: bool,
    is_configured: bool,
    lost_since: Option<String>,
    heartbeat: Option<Moment>,
    scraped: Option<Moment>,
    scrape_time: String,
    facts: Vec<Fact>,
    tags: Vec<String>,
    notes: String,
    units: Vec<Unit>,
    /// It answered once.
    knows_units: bool,
    units_are_old: bool,
    score: Score,
    spans: Vec<Choice>,
    charts: Option<Vec<Chart>>,
    numbers: Vec<charts::Row>,
    strip: Option<Strip>,
    uptimes: Option<Vec<Uptime>>,
    events: Option<Vec<Happened>>,
    form: intent::Forms,
}

/// `GET /servers/{id}`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ServerQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let (id, Query(query)) = (server_id(id)?, query?);
    let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
    page(StatusCode::OK, &ServerPage::of(&app, &identity, &view, &query, intent::Forms::default()).await)
}

/// The page with what was wrong in a form on it.
async fn refused(
    app: &App,
    identity: &Identity,
    view: &ServerView,
    status: StatusCode,
    form: intent::Forms,
) -> Result<Response, Error> {
    let mut template = ServerPage::of(app, identity, view, &ServerQuery::default(), form).await;
    // Fetched again, this address would answer something else.
    template.is_live = false;
    page(status, &template)
}

impl ServerPage {
    async fn of(app: &App, identity: &Identity, view: &ServerView, query: &ServerQuery, form: intent::Forms) -> Self {
        let (server, standing, now) = (&*view.server, &view.standing, Timestamp::now());
        let span = Span::of(&query.span);
        let past = Past::of(app, server.id, span, now).await;
        let interval = app.collecting.targets.as_ref().map_or(USUAL_INTERVAL, |targets| targets.interval());
        let frame = span.frame(now, interval);
        let buckets = past.buckets.as_deref();
        let reading = standing.reading.as_ref();
        let is_current = view.current_reading().is_some();
        Self {
            who: Some(Who::on(Section::Elsewhere, identity)),
            is_live: true,
            may_configure: identity.may(Role::Admin),
            may_scrape: app.collecting.scrapes.is_some() && !server.pushed && !server.awaits_approval,
            id: server.id.to_string(),
            hostname: server.hostname.clone(),
            further: standing
                .reading
                .iter()
                .flat_map(|reading| &reading.endpoints)
                .map(|one| one.url.to_string())
                .collect(),
            verdict: Verdict::of(view, twins::warning(&app.fleet.view(), view), &app.settings.rule, now),
            done: Done::of(&query.done).map(Done::sentence),
            awaits_approval: server.awaits_approval,
            stranger: standing.stranger.map(|host| host.to_string()),
            enabled: server.enabled,
            draining: view.draining,
            in_maintenance: view.in_maintenance,
            is_configured: view.is_configured(),
            lost_since: crate::pages::lost_since(app),
            heartbeat: standing.last_heartbeat.map(|at| Moment::new(at, now)),
            scraped: standing.last_scrape.map(|at| Moment::new(at, now)),
            scrape_time: format::milliseconds(f64::from(standing.last_duration_ms)),
            facts: facts(view, now),
            tags: server.tags.iter().map(ToString::to_string).collect(),
            notes: server.notes.clone(),
            units: reading.map(|reading| services::units(reading, is_current)).unwrap_or_default(),
            knows_units: reading.is_some(),
            units_are_old: reading.is_some() && !is_current,
            score: Score::of(view, &app.fleet.view()),
            spans: Span::ALL.map(|one| Choice { name: one.name(), label: one.label(), is_chosen: one == span }).into(),
            charts: buckets.map(|buckets| charts::charts(buckets, span, &frame)),
            numbers: buckets.map(|buckets| charts::rows(buckets, &frame, now)).unwrap_or_default(),
            strip: past.flips.as_ref().map(|flips| Strip::of(view, flips, &frame, now)),
            uptimes: past.flips.as_ref().map(|flips| {
                let shares = history::shares(standing, flips, now).into_iter();
                shares.zip(UPTIMES).map(|((_, _, ratio), label)| Uptime { label, text: share(ratio) }).collect()
            }),
            events: past.events.map(|events| events.iter().filter_map(|event| happened(event, now)).collect()),
            form,
        }
    }
}

/// `99.95 %`; never 100 % of what was not whole.
fn share(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(ratio) if ratio >= 1.0 => "100 %".to_owned(),
        Some(ratio) => format!("{:.2} %", (ratio * 10_000.0).floor() / 100.0),
    }
}

fn facts(view: &ServerView, now: Timestamp) -> Vec<Fact> {
    let server = &view.server;
    let place = &server.place;
    let fact = |name, text: String| Fact { name, text: Prose::of(text) };
    let mut facts = vec![fact("Address", server.ip.clone())];
    facts.push(fact(
        "Target",
        match &server.target {
            _ if server.pushed => "reported by an agent".to_owned(),
            _ if view.is_configured() => "named by the configuration".to_owned(),
            Some(target) => target.endpoint.to_string(),
            None => "none".to_owned(),
        },
    ));
    for told in view.standing.reading.iter().flat_map(|reading| &reading.endpoints) {
        let state = EndpointState::of(view, &told.url);
        let state = state.error.map_or_else(|| state.health.to_owned(), |error| format!("{}, {error}", state.health));
        facts.push(fact("Further endpoint", format!("{}: {state}", told.url)));
    }
    let parts: Vec<&str> = [&place.city, &place.region, &place.country].map(String::as_str).into();
    let mut parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.dedup();
    facts.push(fact("Place", if parts.is_empty() { "not known".to_owned() } else { parts.join(", ") }));
    if let Some(capacity) = server.capacity_bytes_per_second {
        facts.push(fact("Uplink", format::bit_rate(capacity as f64)));
    }
    let offers = [
        (server.gaming, "gaming"),
        (server.streaming, "streaming"),
        (server.paid, "paid"),
        (server.is_static, "static"),
    ];
    let offers: Vec<&str> = offers.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name).collect();
    if !offers.is_empty() {
        facts.push(fact("Flags", offers.join(", ")));
    }
    facts.push(Fact { name: "Known since", text: Prose::default().at(server.registered_at, now) });
    facts.push(fact("Identity", server.id.to_string()));
    if let Some(host) = view.standing.host {
        facts.push(fact("Host", host.to_string()));
    }
    facts
}

fn happened(event: &EventView, now: Timestamp) -> Option<Happened> {
    let at = Moment::new(event.at.parse().ok()?, now);
    let mut text = match event.to {
        Some(to) => to.to_owned(),
        None => event.kind.replace('_', " "),
    };
    if !event.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&event.detail);
    }
    Some(Happened { at, mark: event.to.unwrap_or("pending"), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!([share(None), share(Some(1.0)), share(Some(0.999_999))], ["–", "100 %", "99.99 %"]);
        assert_eq!([share(Some(0.5)), share(Some(0.0))], ["50.00 %", "0.00 %"]);
    }

    #[test]
    fn every_word_leads_back_to_what_was_done() {
        for done in Done::ALL {
            assert_eq!(Done::of(done.name()), Some(done));
        }
        assert_eq!(Done::of("<script>"), None);
    }
}
