//! What went wrong: `GET /incidents`.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::incident::{Affected, Incident, IncidentKind};
use mect_fleet::{FailureReason, FleetView, ServerId, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::choice::Choice;
use crate::pages::filter::escape;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, format, page};

/// Incidents on a page.
const PAGE_ROWS: usize = 25;
/// Lines of an incident's timeline; the rest is counted.
const MAX_LINES: usize = 60;

/// Query of the page. Whatever makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct IncidentsQuery {
    /// `open` or `closed`.
    state: String,
    /// See [`IncidentKind`].
    kind: String,
    /// From 1.
    page: String,
}

impl IncidentsQuery {
    fn kind(&self) -> Option<IncidentKind> {
        IncidentKind::ALL.into_iter().find(|kind| kind.name() == self.kind)
    }

    fn admits(&self, incident: &Incident) -> bool {
        let is_open = incident.closed_at.is_none();
        let state = match self.state.as_str() {
            "open" => is_open,
            "closed" => !is_open,
            _ => true,
        };
        state && self.kind().is_none_or(|kind| incident.kind == kind)
    }

    fn narrows(&self) -> bool {
        ["open", "closed"].contains(&self.state.as_str()) || self.kind().is_some()
    }

    fn link_to_page(&self, page: usize) -> String {
        format!("/incidents?state={}&kind={}&page={page}", escape(&self.state), escape(&self.kind))
    }
}

/// A server by the name that people know it by.
pub(crate) struct ServerLink {
    pub(crate) name: String,
    /// `None` when the server is gone.
    pub(crate) link: Option<String>,
}

impl ServerLink {
    pub(crate) fn of(id: ServerId, view: &FleetView) -> Self {
        match view.by_id(id) {
            Some(known) => Self { name: known.server.hostname.clone(), link: Some(format!("/servers/{id}")) },
            None => Self { name: id.to_string(), link: None },
        }
    }
}

/// One line of a timeline.
struct Line {
    at: Moment,
    /// A class of state.
    state: &'static str,
    server: Option<ServerLink>,
    text: String,
}

/// An incident, ready to be placed.
struct Row {
    is_open: bool,
    title: String,
    cause: String,
    opened: Moment,
    closed: Option<Moment>,
    duration: String,
    lines: Vec<Line>,
    /// Lines left out.
    more: usize,
}

impl Row {
    fn new(incident: &Incident, view: &FleetView, now: Timestamp) -> Self {
        let mut lines = timeline(incident);
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.truncate(MAX_LINES);
        let line = |(at, part, is_back): (Timestamp, &Affected, bool)| Line {
            at: Moment::new(at, now),
            state: if is_back { "active" } else { "down" },
            server: Some(ServerLink::of(part.server, view)),
            text: match (is_back, part.reason) {
                (true, _) => format!("back after {}", format::span(at.since(part.down_at))),
                (false, Some(reason)) => format!("down: {}", reason.sentence()),
                (false, None) => "down".to_owned(),
            },
        };
        Self {
            is_open: incident.closed_at.is_none(),
            title: title(incident, view),
            cause: cause(incident),
            opened: Moment::new(incident.opened_at, now),
            closed: incident.closed_at.map(|at| Moment::new(at, now)),
            duration: format::span(incident.duration(now)),
            lines: lines.into_iter().map(line).collect(),
            more,
        }
    }
}

/// Who went and came back, in the order of time.
fn timeline(incident: &Incident) -> Vec<(Timestamp, &Affected, bool)> {
    let falls = incident.servers.iter().map(|part| (part.down_at, part, false));
    let returns = incident.servers.iter().filter_map(|part| Some((part.back_at?, part, true)));
    let mut lines: Vec<_> = falls.chain(returns).collect();
    lines.sort_by_key(|(at, _, is_back)| (*at, *is_back));
    lines
}

fn title(incident: &Incident, view: &FleetView) -> String {
    let tense = |now: &'static str, past: &'static str| if incident.closed_at.is_none() { now } else { past };
    match incident.kind {
        IncidentKind::StoreLost => tense("The database does not answer", "The database did not answer").to_owned(),
        IncidentKind::CollectorLost => format!("Collector {} {} lost", incident.detail, tense("is", "was")),
        IncidentKind::Unverified => tense("Servers cannot be verified", "Servers could not be verified").to_owned(),
        IncidentKind::ServersDown => match incident.servers.as_slice() {
            [only] => {
                let name = ServerLink::of(only.server, view).name;
                format!("{name} {} down", tense("is", "was"))
            }
            several => {
                let left = several.iter().filter(|part| part.back_at.is_none()).count();
                match left {
                    0 => format!("{} servers were down", format::count(several.len() as u64)),
                    left if left == several.len() => format!("{} servers are down", format::count(left as u64)),
                    left => format!("{} of {} servers are down yet", left, format::count(several.len() as u64)),
                }
            }
        },
    }
}

/// Why, the most frequent reason first.
fn cause(incident: &Incident) -> String {
    match incident.kind {
        IncidentKind::ServersDown => {}
        IncidentKind::StoreLost | IncidentKind::Unverified => return incident.detail.clone(),
        // Stands in the title.
        IncidentKind::CollectorLost => return String::new(),
    }
    let mut counts: BTreeMap<FailureReason, usize> = BTreeMap::new();
    for reason in incident.servers.iter().filter_map(|part| part.reason) {
        *counts.entry(reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let is_one = counts.len() == 1;
    let words = counts.into_iter().map(|(reason, count)| {
        if is_one { reason.sentence().to_owned() } else { format!("{} ({count})", reason.sentence()) }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    who: Option<Who>,
    state: Choice,
    kind: Choice,
    narrows: bool,
    /// How many are open, whatever the filter says.
    open: usize,
    rows: Vec<Row>,
    found: usize,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// `GET /incidents`: those that are open, then the others, newest first.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<IncidentsQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let all = app.incidents.all(&app).await?;
    let (view, now) = (app.fleet.view(), Timestamp::now());
    let mut found: Vec<&Incident> = all.iter().filter(|incident| query.admits(incident)).collect();
    // Stable: newest first within.
    found.sort_by_key(|incident| incident.closed_at.is_some());
    let pages = found.len().div_ceil(PAGE_ROWS).max(1);
    let number = query.page.parse().unwrap_or(1).clamp(1, pages);
    let shown = found.iter().skip((number - 1) * PAGE_ROWS).take(PAGE_ROWS);
    let kinds = [
        ("", "Every kind"),
        (IncidentKind::ServersDown.name(), "Servers down"),
        (IncidentKind::StoreLost.name(), "Database lost"),
        (IncidentKind::CollectorLost.name(), "Collector lost"),
        (IncidentKind::Unverified.name(), "Not verified"),
    ];
    let template = IncidentsPage {
        who: Some(Who::on(Section::Incidents, &identity)),
        state: Choice::new(
            "state",
            "State",
            [("", "Open and past"), ("open", "Open"), ("closed", "Past")],
            &query.state,
        ),
        kind: Choice::new("kind", "Kind", kinds, &query.kind),
        narrows: query.narrows(),
        open: all.iter().filter(|incident| incident.closed_at.is_none()).count(),
        rows: shown.map(|incident| Row::new(incident, &view, now)).collect(),
        found: found.len(),
        page: number,
        pages,
        previous: (number > 1).then(|| query.link_to_page(number - 1)),
        next: (number < pages).then(|| query.link_to_page(number + 1)),
    };
    page(StatusCode::OK, &template)
}
