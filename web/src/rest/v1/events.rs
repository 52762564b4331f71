//! `/api/v1/events`: flips of health and what else happened, as one list, newest first.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Uri;
use mect_fleet::store::{Event, EventKind};
use mect_fleet::{ServerId, Timestamp, Transition};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};
use crate::rest::v1::servers::server_id;
use crate::rest::v1::span;

/// The kind of a flip of health.
pub(crate) const HEALTH_CHANGED: &str = "health_changed";
/// Entries that one request reads of each log at most, however few of them are wanted; the page then ends early.
const MAX_READ: usize = 20_000;
const MILLISECOND: Duration = Duration::from_millis(1);

/// Something that happened. Fields that do not belong to its kind are null.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// `health_changed`, `server_added`, `server_removed`, `another_host`, `store_lost`, `store_back`, `spool_dropped`,
    /// `collector_joined`, `collector_left` or `collector_lost`.
    pub(crate) kind: &'static str,
    /// To which server, if to one.
    pub(crate) server_id: Option<String>,
    /// Its flips are counted from 1 without gaps.
    pub(crate) number: Option<u64>,
    /// Health before.
    pub(crate) from: Option<&'static str>,
    /// Health afterwards.
    pub(crate) to: Option<&'static str>,
    /// Why it went down.
    pub(crate) reason: Option<&'static str>,
    /// The rest, for a person. May be empty.
    pub(crate) detail: String,
}

impl From<&Transition> for EventView {
    fn from(flip: &Transition) -> Self {
        Self {
            at: flip.at.to_string(),
            kind: HEALTH_CHANGED,
            server_id: Some(flip.server.to_string()),
            number: Some(flip.number),
            from: Some(flip.from.name()),
            to: Some(flip.to.name()),
            reason: flip.reason.map(|reason| reason.name()),
            detail: flip.reason.map(|reason| reason.sentence().to_owned()).unwrap_or_default(),
        }
    }
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            at: event.at.to_string(),
            kind: event.kind.name(),
            server_id: event.server.map(|server| server.to_string()),
            number: None,
            from: None,
            to: None,
            reason: None,
            detail: event.detail.clone(),
        }
    }
}

/// A place in the list: newest first, and what happened at the same time in any order that stays.
pub(crate) type Place = (Reverse<i64>, String);

/// An entry of either log.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Flip(Transition),
    Event(Event),
}

impl Entry {
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Flip(flip) => flip.at,
            Self::Event(event) => event.at,
        }
    }

    fn place(&self) -> Place {
        let tie = match self {
            Self::Flip(flip) => format!("{}{:016x}", flip.server, u64::MAX - flip.number),
            Self::Event(event) => {
                let server = event.server.map(|server| server.to_string()).unwrap_or_default();
                let text = format!("{} {server} {}", event.kind.name(), event.detail);
                Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
            }
        };
        (Reverse(self.at().as_millis()), tie)
    }

    fn view(&self) -> EventView {
        match self {
            Self::Flip(flip) => flip.into(),
            Self::Event(event) => event.into(),
        }
    }
}

/// What is asked for.
pub(crate) struct Question {
    /// All kinds if empty.
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) server: Option<ServerId>,
    pub(crate) span: Range<Timestamp>,
    pub(crate) window: Window<Place>,
}

/// The kind of that name.
pub(crate) fn kind(text: &str) -> Option<&'static str> {
    let known = EventKind::ALL.iter().map(|kind| kind.name()).chain([HEALTH_CHANGED]);
    known.into_iter().find(|name| *name == text)
}

impl Question {
    fn of(uri: &Uri, server: Option<ServerId>) -> Result<Self, Error> {
        let mut params = Params::of(uri)?;
        let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        let allowed = format!("some of {HEALTH_CHANGED}, {}", names.join(", "));
        let kinds = params.take_list("kind", allowed, kind)?;
        let server = match server {
            Some(server) => Some(server),
            None => params.take_as("server", "the identity of a server", |text| text.parse().ok())?,
        };
        let from = span::instant(&mut params, "from")?.unwrap_or_default();
        let to = span::instant(&mut params, "to")?.unwrap_or(Timestamp::MAX);
        let window = Window::take(&mut params)?;
        params.finish()?;
        if from > to {
            return Err(Error::Invalid(format!("from: {from} is after the end of the span, {to}")));
        }
        Ok(Self { kinds, server, span: from..to, window })
    }

    fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn wants_events(&self) -> bool {
        EventKind::ALL.iter().any(|kind| self.wants(kind.name()))
    }

    /// Everything that is asked for comes before this instant.
    fn before(&self) -> Timestamp {
        let after = self.window.after.as_ref().map(|(Reverse(at), _)| Timestamp::from_millis(*at) + MILLISECOND);
        after.map_or(self.span.end, |after| after.min(self.span.end))
    }

    /// The entries that are asked for, in order; of the given ones, all of which come before `before()`.
    fn pick(&self, flips: Vec<Transition>, events: Vec<Event>, whole_since: Timestamp) -> Vec<(Place, Entry)> {
        let events = events.into_iter().filter(|event| self.wants(event.kind.name())).map(Entry::Event);
        let entries = flips.into_iter().map(Entry::Flip).chain(events);
        let from = self.span.start.max(whole_since);
        let mut placed: Vec<_> =
            entries.filter(|entry| entry.at() >= from).map(|entry| (entry.place(), entry)).collect();
        placed.retain(|(place, _)| self.window.after.as_ref().is_none_or(|after| place > after));
        placed.sort_by(|(a, _), (b, _)| a.cmp(b));
        placed
    }

    async fn answer(&self, app: &App) -> Result<Page<EventView>, Error> {
        self.find(app).await.map(|page| page.map(|entry| entry.view()))
    }

    /// One page of entries; it may hold fewer than asked for and still have a next one.
    pub(crate) async fn find(&self, app: &App) -> Result<Page<Entry>, Error> {
        let (before, limit) = (self.before(), self.window.limit);
        let mut read = limit + 1;
        loop {
            let flips = match self.wants(HEALTH_CHANGED) {
                true => patience::long(app.history.transitions_before(self.server, before, read)).await?,
                false => Vec::new(),
            };
            let events = match self.wants_events() {
                true => patience::long(app.journal.events(self.server, before, read)).await?,
                false => Vec::new(),
            };
            // Where a log was cut, what lies at the cut may be missing in part.
            let cut = |is_full: bool, last: Option<Timestamp>| last.filter(|_| is_full).map(|last| last + MILLISECOND);
            let flips_cut = cut(flips.len() >= read, flips.last().map(|flip| flip.at));
            let events_cut = cut(events.len() >= read, events.last().map(|event| event.at));
            let whole_since = flips_cut.max(events_cut);
            let found = self.pick(flips, events, whole_since.unwrap_or_default());
            let is_over = whole_since.is_none_or(|since| since <= self.span.start);
            if found.len() > limit || is_over {
                let page = Page::of(found, limit, |(place, _)| place.clone());
                return Ok(page.map(|(_, entry)| entry));
            }
            if read >= MAX_READ {
                let rest = (Reverse(whole_since.unwrap_or_default().as_millis() - 1), String::new());
                let items = found.into_iter().map(|(_, entry)| entry).collect();
                return Ok(Page::up_to(items, &rest));
            }
            read = (read * 4).min(MAX_READ);
        }
    }
}

/// The latest of one server, newest first.
pub(crate) async fn latest(app: &App, server: ServerId, limit: usize) -> Result<Vec<EventView>, Error> {
    let (kinds, window) = (Vec::new(), Window { limit, after: None });
    let question = Question { kinds, server: Some(server), span: Timestamp::default()..Timestamp::MAX, window };
    Ok(question.answer(app).await?.items)
}

/// What happened to the fleet and to the collectors, newest first.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("kind" = Option<String>, Query, description = "These kinds alone, separated by commas"),
        ("server" = Option<String>, Query, description = "Events of this server alone, by its identity"),
        ("from" = Option<String>, Query, format = DateTime, description = "None before"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only before"),
        WindowParams,
    ),
    responses((status = 200, description = "One page of events; it may hold fewer than asked for and still have a next one", body = Page<EventView>))
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<Page<EventView>>, Error> {
    Question::of(&uri, None)?.answer(&app).await.map(Json)
}

/// What happened to one server, newest first.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/events", tag = "events", operation_id = "list_server_events",
    params(
        ("id" = String, Path, description = "Identity of the server"),
        ("kind" = Option<String>, Query, description = "These kinds alone, separated by commas"),
        ("from" = Option<String>, Query, format = DateTime, description = "None before"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only before"),
        WindowParams,
    ),
    responses(
        (status = 200, description = "One page of events; it may hold fewer than asked for and still have a next one", body = Page<EventView>),
        (status = 404, description = "No server has, or had, that identity"),
    )
)]
pub(crate) async fn of_server(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Page<EventView>>, Error> {
    let id = server_id(id)?;
    let page = Question::of(&uri, Some(id))?.answer(&app).await?;
    if page.items.is_empty() && app.fleet.view().by_id(id).is_none() {
        return Err(Error::NoSuchServer);
    }
    Ok(Json(page))
}
