//! What happened, newest first: `GET /events`.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::store::EventKind;
use mect_fleet::{FleetView, ServerId, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::choice::Choice;
use crate::pages::field::Field;
use crate::pages::filter::escape;
use crate::pages::incidents::ServerLink;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, page};
use crate::rest::v1::events::{Entry, HEALTH_CHANGED, Question, kind};
use crate::rest::v1::page::Window;

/// Rows of a page.
const PAGE_ROWS: usize = 100;

/// Query of the page. A kind or cursor that makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct EventsQuery {
    kind: String,
    /// Identity, address or host name.
    server: String,
    cursor: String,
}

/// An event as a row.
struct Row {
    at: Moment,
    /// What it was, in words.
    what: &'static str,
    /// A class of state.
    state: &'static str,
    server: Option<ServerLink>,
    detail: String,
}

/// The words for a kind, and the state whose mark it has.
const fn words(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::ServerAdded => ("server added", "pending"),
        EventKind::ServerRemoved => ("server removed", "pending"),
        EventKind::AnotherHost => ("another host", "down"),
        EventKind::StoreLost => ("database lost", "down"),
        EventKind::StoreBack => ("database back", "active"),
        EventKind::SpoolDropped => ("records dropped", "down"),
        EventKind::Unverified => ("servers unverified", "degraded"),
        EventKind::Verified => ("servers verified", "active"),
        EventKind::CollectorJoined => ("collector joined", "active"),
        EventKind::CollectorLeft => ("collector left", "pending"),
        EventKind::CollectorLost => ("collector lost", "down"),
    }
}

impl Row {
    fn new(entry: &Entry, view: &FleetView, now: Timestamp) -> Self {
        let at = Moment::new(entry.at(), now);
        let link = |server| ServerLink::of(server, view);
        match entry {
            Entry::Flip(flip) => Self {
                at,
                what: flip.to.name(),
                state: flip.to.name(),
                server: Some(link(flip.server)),
                detail: match flip.reason {
                    Some(reason) => format!("{}; was {}", reason.sentence(), flip.from.name()),
                    None => format!("was {}", flip.from.name()),
                },
            },
            Entry::Event(event) => {
                let (what, state) = words(event.kind);
                Self { at, what, state, server: event.server.map(link), detail: event.detail.clone() }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    who: Option<Who>,
    kind: Choice,
    server: Field,
    narrows: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// The server that a text names: by identity, address or host name.
fn named(text: &str, view: &FleetView) -> Option<ServerId> {
    let by_name = || view.servers().iter().find(|known| known.server.hostname.eq_ignore_ascii_case(text));
    // One that is gone has a past all the same.
    text.parse().ok().or_else(|| view.by_ip(text).or_else(by_name).map(|known| known.server.id))
}

/// `GET /events`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let (view, now, wanted) = (app.fleet.view(), Timestamp::now(), query.server.trim());
    let server = (!wanted.is_empty()).then(|| named(wanted, &view));
    let mut field = Field { value: wanted.to_owned(), ..Field::new("server", "Server") };
    let kinds = EventKind::ALL.into_iter().map(|kind| (kind.name(), words(kind).0));
    let kinds = [("", "Every kind"), (HEALTH_CHANGED, "health changed")].into_iter().chain(kinds);
    let (rows, next) = if server == Some(None) {
        field = field.wrong("There is no server of that name, address or identity");
        (Vec::new(), None)
    } else {
        let question = Question {
            kinds: kind(&query.kind).into_iter().collect(),
            server: server.flatten(),
            span: Timestamp::default()..Timestamp::MAX,
            window: Window::lenient(PAGE_ROWS, &query.cursor),
        };
        let found = question.find(&app).await?;
        (found.items.iter().map(|entry| Row::new(entry, &view, now)).collect(), found.next)
    };
    let link = |cursor: &str| {
        let link = format!("/events?kind={}&server={}", escape(&query.kind), escape(wanted));
        if cursor.is_empty() { link } else { format!("{link}&cursor={cursor}") }
    };
    let template = EventsPage {
        who: Some(Who::on(Section::Incidents, &identity)),
        kind: Choice::new("kind", "Kind", kinds, &query.kind),
        server: field,
        narrows: kind(&query.kind).is_some() || !wanted.is_empty(),
        rows,
        first: (!query.cursor.is_empty()).then(|| link("")),
        next: next.map(|next| link(&next)),
    };
    page(StatusCode::OK, &template)
}
