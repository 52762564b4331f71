//! `/api/v1/incidents`: what went wrong, from its beginning to its end.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::Uri;
use mect_fleet::incident::{Affected, Incident, IncidentKind, incidents};
use mect_fleet::{Health, Timestamp, Transition};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};
use crate::rest::v1::span;

/// Incidents are derived from what happened since then.
const PERIOD: Duration = Duration::from_secs(31 * 86_400);
/// Flips and events that they are derived from at most: of a fleet that flips more often, only the newest count.
const MAX_READ: usize = 50_000;
/// Derived incidents serve everybody for so long.
const KEPT: Duration = Duration::from_secs(5);
/// Servers that are named of one incident: half a fleet may be down.
const MAX_SERVERS: usize = 100;

/// Something that went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
pub(crate) struct IncidentView {
    /// Names the incident as long as it is told.
    id: String,
    /// `servers_down`, `store_lost`, `collector_lost` or `unverified`.
    kind: &'static str,
    /// `open` or `closed`.
    state: &'static str,
    #[schema(format = DateTime)]
    opened_at: String,
    /// Null while it is open.
    #[schema(format = DateTime)]
    closed_at: Option<String>,
    /// Until it was closed, or until now.
    duration_seconds: u64,
    /// Servers that went down within 200 s of the first, and before all of them were back.
    server_count: usize,
    /// The first hundred of them, in the order in which they went.
    servers: Vec<AffectedView>,
    /// The rest, for a person. May be empty.
    detail: String,
}

/// A server's part in an incident.
#[derive(Serialize, ToSchema)]
#[schema(as = AffectedServer)]
struct AffectedView {
    server_id: String,
    #[schema(format = DateTime)]
    down_at: String,
    /// Null while it is down.
    #[schema(format = DateTime)]
    back_at: Option<String>,
    /// Why it went down.
    reason: Option<&'static str>,
}

impl From<&Affected> for AffectedView {
    fn from(part: &Affected) -> Self {
        Self {
            server_id: part.server.to_string(),
            down_at: part.down_at.to_string(),
            back_at: part.back_at.map(|at| at.to_string()),
            reason: part.reason.map(|reason| reason.name()),
        }
    }
}

/// Newest first, and several of one time by their identity.
type Place = (Reverse<i64>, String);

fn id(incident: &Incident) -> String {
    let (kind, at) = (incident.kind.name(), incident.opened_at.as_millis());
    match incident.servers.first() {
        Some(first) => format!("{kind}-{at}-{}", first.server),
        None => format!("{kind}-{at}"),
    }
}

fn place(incident: &Incident) -> Place {
    (Reverse(incident.opened_at.as_millis()), id(incident))
}

impl IncidentView {
    fn of(incident: &Incident, now: Timestamp) -> Self {
        Self {
            id: id(incident),
            kind: incident.kind.name(),
            state: state(incident),
            opened_at: incident.opened_at.to_string(),
            closed_at: incident.closed_at.map(|at| at.to_string()),
            duration_seconds: incident.duration(now).as_secs(),
            server_count: incident.servers.len(),
            servers: incident.servers.iter().take(MAX_SERVERS).map(AffectedView::from).collect(),
            detail: incident.detail.clone(),
        }
    }
}

fn state(incident: &Incident) -> &'static str {
    if incident.closed_at.is_none() { "open" } else { "closed" }
}

/// Incidents, derived for everybody.
#[derive(Default)]
pub(crate) struct Incidents {
    kept: Mutex<Option<(Instant, Arc<Vec<Incident>>)>>,
    /// Held while deriving: the first request works, the others wait for its result.
    deriving: tokio::sync::Mutex<()>,
}

impl Incidents {
    /// The incidents of the period, in the order of the list.
    pub(crate) async fn all(&self, app: &App) -> Result<Arc<Vec<Incident>>, Error> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let _deriving = self.deriving.lock().await;
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let derived = Arc::new(derive(app).await?);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&derived)));
        Ok(derived)
    }

    fn kept(&self) -> Option<Arc<Vec<Incident>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| at.elapsed() < KEPT).map(|(_, incidents)| Arc::clone(incidents))
    }
}

async fn derive(app: &App) -> Result<Vec<Incident>, Error> {
    let start = Timestamp::now() - PERIOD;
    let mut flips = patience::long(app.history.transitions_before(None, Timestamp::MAX, MAX_READ)).await?;
    let mut events = patience::long(app.journal.events(None, Timestamp::MAX, MAX_READ)).await?;
    // Where a log was cut, the other one must not go on alone.
    let cut = |is_full: bool, last: Option<Timestamp>| last.filter(|_| is_full).unwrap_or_default();
    let since = start
        .max(cut(flips.len() >= MAX_READ, flips.last().map(|flip| flip.at)))
        .max(cut(events.len() >= MAX_READ, events.last().map(|event| event.at)));
    flips.retain(|flip| flip.at >= since);
    events.retain(|event| event.at >= since);
    flips.extend(down_before(app, since));
    flips.sort_by_key(|flip| (flip.at, flip.number));
    events.sort_by_key(|event| event.at);
    let mut found = incidents(&flips, &events);
    found.sort_by_key(place);
    Ok(found)
}

/// The flips, as far as they are known, of servers that have been down since before the period.
fn down_before(app: &App, since: Timestamp) -> Vec<Transition> {
    let view = app.fleet.view();
    let states = view.servers().iter().map(|server| (server.server.id, &server.standing.state));
    let down = states.filter(|(_, state)| state.health == Health::Down);
    down.filter_map(|(server, state)| {
        let at = state.since.filter(|at| *at < since)?;
        let (number, reason, checks) = (state.transitions, state.last_failure, state.failures);
        Some(Transition { server, number, at, from: Health::Pending, to: Health::Down, reason, checks })
    })
    .collect()
}

/// Incidents of the last 31 days, and those that are still open, newest first.
///
/// One opens when servers go down, when the database stops answering, or when a collector ends without saying so, and
/// closes when all of that is back. Servers that go down within 200 s of the first are one incident.
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "events", operation_id = "list_incidents",
    params(
        ("state" = Option<String>, Query, description = "`open` or `closed` ones alone"),
        ("kind" = Option<String>, Query, description = "These kinds alone, separated by commas"),
        ("from" = Option<String>, Query, format = DateTime, description = "None that was over before"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only those that opened before"),
        WindowParams,
    ),
    responses((status = 200, description = "One page of incidents", body = Page<IncidentView>))
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<Page<IncidentView>>, Error> {
    let mut params = Params::of(&uri)?;
    let wanted = params.take_as("state", "open or closed", |text| match text {
        "open" => Some("open"),
        "closed" => Some("closed"),
        _ => None,
    })?;
    let kinds = params.take_list("kind", "some of servers_down, store_lost, collector_lost, unverified", |text| {
        IncidentKind::ALL.into_iter().map(IncidentKind::name).find(|name| *name == text)
    })?;
    let from = span::instant(&mut params, "from")?;
    let to = span::instant(&mut params, "to")?;
    let Window { limit, after }: Window<Place> = Window::take(&mut params)?;
    params.finish()?;
    let now = Timestamp::now();
    let all = app.incidents.all(&app).await?;
    let found = all.iter().filter(|incident| {
        wanted.is_none_or(|wanted| state(incident) == wanted)
            && (kinds.is_empty() || kinds.contains(&incident.kind.name()))
            && from.is_none_or(|from| incident.closed_at.is_none_or(|closed| closed >= from))
            && to.is_none_or(|to| incident.opened_at < to)
            && after.as_ref().is_none_or(|after| place(incident) > *after)
    });
    let page = Page::of(found.take(limit + 1).collect(), limit, |incident| place(incident));
    Ok(Json(page.map(|incident| IncidentView::of(incident, now))))
}
