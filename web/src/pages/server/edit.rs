//! The form that changes a server: `GET` and `POST /servers/{id}/edit`.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::{Server, ServerPatch};

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::{Section, Who, assets, page};
use crate::rest::v1::servers::{body, change, server_id};

use super::Done;
use super::form::{Problems, Typed};

/// A box to tick.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) on: bool,
}

#[derive(Template)]
#[template(path = "edit_server.html")]
struct EditPage {
    who: Option<Who>,
    id: String,
    hostname: String,
    revision: String,
    problem: Option<String>,
    /// A target in the configuration names it: the form has none.
    is_configured: bool,
    address: Field,
    access: Field,
    endpoints: Field,
    insecure: Check,
    identity: [Field; 2],
    place: [Field; 4],
    more: [Field; 2],
    notes: Field,
    checks: [Check; 4],
}

impl EditPage {
    fn new(identity: &Identity, server: &Server, is_configured: bool, typed: &Typed, problems: &Problems) -> Self {
        let field = |name, label, hint| typed.field(name, label, problems).hint(hint);
        let check = |name, label, hint, on: &Option<String>| Check { name, label, hint, on: on.is_some() };
        Self {
            who: Some(Who::on(Section::Elsewhere, identity)),
            id: server.id.to_string(),
            hostname: server.hostname.clone(),
            revision: typed.revision.clone(),
            problem: None,
            is_configured,
            address: field(
                "address",
                "Target",
                "The exporter’s page: host:port, or a URL with http:// or https://, host, port and path",
            ),
            access: field("access", "Access", ACCESS),
            endpoints: field("endpoints", "Further endpoints", ENDPOINTS),
            insecure: insecure(typed),
            identity: [
                field("ip", "Address", "By which clients and REST know it: an IP address or a host name").required(),
                field("hostname", "Name", "For people. Empty: what labels say, or the address"),
            ],
            place: [
                field("country_code", "Country", "Two letters of ISO 3166-1, for example DE"),
                field("region", "Region", ""),
                field("city", "City", ""),
                field("coordinates", "Coordinates", "Degrees north and east: 50.11, 8.68"),
            ],
            more: [
                field("tags", "Tags", "Words between blanks: a-z, 0-9 and . _ : -"),
                field("capacity", "Uplink", "Mbit/s. Empty: what the host says of its link"),
            ],
            notes: field("notes", "Notes", "For operators. Clients never see them"),
            checks: [
                check("gaming", "Gaming", "offered for games", &typed.gaming),
                check("streaming", "Streaming", "offered for video streaming", &typed.streaming),
                check("paid", "Paid", "for paying clients only", &typed.paid),
                check("static", "Static", "never forgotten for its silence", &typed.is_static),
            ],
        }
    }
}

/// What may be typed for the way in which a target is reached.
pub(crate) const ACCESS: &str =
    "Name of an [[access]] of the collector’s configuration: TLS and credentials. Empty: the usual way";

/// What may be typed for further endpoints.
pub(crate) const ENDPOINTS: &str = "Pages of other exporters on the same host, between blanks: :9586 :9550/scrape";

/// Whether the key may travel in the clear.
pub(crate) fn insecure(typed: &Typed) -> Check {
    Check {
        name: "insecure_credentials",
        label: "Show it credentials over plain HTTP",
        hint: "only where the network between is private or a tunnel; over loopback they are always shown",
        on: typed.insecure_credentials.is_some(),
    }
}

/// `GET /servers/{id}/edit`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let view = app.fleet.view().by_id(server_id(id)?).cloned().ok_or(Error::NoSuchServer)?;
    let (server, typed) = (&view.server, Typed::of(&view.server));
    page(StatusCode::OK, &EditPage::new(&identity, server, view.is_configured(), &typed, &Problems::new()))
}

/// `POST /servers/{id}/edit`.
pub(crate) async fn submit(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
    FormBody(mut typed): FormBody<Typed>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
    let (server, known) = (&view.server, Typed::of(&view.server));
    if view.is_configured() {
        // The form does not ask for it.
        typed.address.clone_from(&known.address);
        typed.access.clone_from(&known.access);
        typed.endpoints.clone_from(&known.endpoints);
        typed.insecure_credentials.clone_from(&known.insecure_credentials);
    }
    let shown = |typed: &Typed, status, problem: Option<String>, problems: &Problems| {
        let template = EditPage::new(&identity, server, view.is_configured(), typed, problems);
        page(status, &EditPage { problem, ..template })
    };
    // Of which server the form was made decides what in it is new.
    if typed.revision != known.revision {
        let problem =
            "The server was changed meanwhile. What you typed is still here; send it again to keep it.".to_owned();
        typed.revision.clone_from(&known.revision);
        return shown(&typed, StatusCode::CONFLICT, Some(problem), &Problems::new());
    }
    let body = match typed.body(&known, &app.settings.target_policy) {
        Ok(body) => body,
        Err(problems) => return shown(&typed, StatusCode::UNPROCESSABLE_ENTITY, None, &problems),
    };
    let patch = body::patch_of(body, &app.settings.target_policy)?;
    if patch.is_empty() {
        return Ok(Redirect::to(&Done::Unchanged.on(id)).into_response());
    }
    match change(&app, id, ServerPatch { revision: Some(server.revision), ..patch }).await {
        Ok(change) => Ok((Extension(change), Redirect::to(&Done::Saved.on(id))).into_response()),
        Err(error @ Error::Conflict(_)) => {
            let problems = Problems::from([("ip", error.to_string())]);
            shown(&typed, StatusCode::CONFLICT, None, &problems)
        }
        Err(error @ Error::Outdated { .. }) => shown(&typed, error.status(), Some(error.to_string()), &Problems::new()),
        Err(error) => Err(error),
    }
}
