//! Who changed what: `GET /admin/audit`.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mect_fleet::store::AuditRecord;
use mect_fleet::{FleetView, ServerId, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::audit::{LOGIN_FAILED, REFUSED};
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::pages::field::Field;
use crate::pages::filter::escape;
use crate::pages::incidents::ServerLink;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, page, users};
use crate::rest::v1::audit::{Filter, find};
use crate::rest::v1::page::Window;
use diff::{Line, diff};

mod diff;

/// Rows of a page.
const PAGE_ROWS: usize = 50;

/// Query of the page. A cursor that makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    who: String,
    action: String,
    subject: String,
    cursor: String,
}

impl AuditQuery {
    fn filter(&self) -> Filter {
        let text = |text: &str| text.trim().to_owned();
        Filter { who: text(&self.who), action: text(&self.action), subject: text(&self.subject) }
    }

    fn link(&self, cursor: &str) -> String {
        let fields = [("who", &*self.who), ("action", &self.action), ("subject", &self.subject), ("cursor", cursor)];
        let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", escape(value.trim()))).collect();
        if pairs.is_empty() { "/admin/audit".to_owned() } else { format!("/admin/audit?{}", pairs.join("&")) }
    }
}

/// An entry as a row.
struct Row {
    number: u64,
    at: Moment,
    who: String,
    address: String,
    action: String,
    /// Refused or failed.
    is_refusal: bool,
    subject: ServerLink,
    detail: String,
    lines: Vec<Line>,
}

impl Row {
    fn new(record: AuditRecord, view: &FleetView, now: Timestamp) -> Self {
        let entry = record.entry;
        let server = entry.subject.parse::<ServerId>().ok();
        let is_user = entry.action.starts_with("user.") && entry.action != "user.delete";
        let subject = match server {
            Some(server) => ServerLink::of(server, view),
            None => {
                let link = is_user.then(|| users::link(&entry.subject));
                ServerLink { name: entry.subject, link }
            }
        };
        Self {
            number: record.number,
            at: Moment::new(entry.at, now),
            is_refusal: [LOGIN_FAILED, REFUSED].contains(&entry.action.as_str()),
            lines: diff(&entry.before, &entry.after),
            subject,
            who: entry.who,
            address: entry.address,
            action: entry.action,
            detail: entry.detail,
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    who: Option<Who>,
    fields: [Field; 3],
    narrows: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /admin/audit`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let filter = query.filter();
    let found = find(&app, &filter, &Window::lenient(PAGE_ROWS, &query.cursor)).await?;
    let (view, now) = (app.fleet.view(), Timestamp::now());
    let field = |name, label, value: &str| Field { value: value.trim().to_owned(), ..Field::new(name, label) };
    let template = AuditPage {
        who: Some(Who::on(Section::Audit, &identity)),
        fields: [
            field("who", "Who", &query.who),
            field("action", "Action", &query.action).hint("user.edit, or user for all of them"),
            field("subject", "Subject", &query.subject).hint("A user name, or the identity of a server"),
        ],
        narrows: !filter.is_empty(),
        rows: found.items.into_iter().map(|record| Row::new(record, &view, now)).collect(),
        first: (!query.cursor.is_empty()).then(|| query.link("")),
        next: found.next.map(|next| query.link(&next)),
    };
    page(StatusCode::OK, &template)
}
