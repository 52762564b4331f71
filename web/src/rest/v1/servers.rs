//! `/api/v1/servers`: the fleet for scripts, with everything that operators may say of a server.
//!
//! | module | holds |
//! |---|---|
//! | `shape` | a server as it is shown |
//! | `body` | what may be said of a server: its creation and its changes, checked |
//! | `filter` | which servers are meant, in a query and in a body |
//! | `sort` | the orders of a list, and the places in them |
//! | `intent` | what the operator wants of a server for now |
//! | `bulk` | one change of many servers |

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{FlagsPatch, Server, ServerId, ServerPatch, Timestamp};
use tokio::task::spawn_blocking;

use crate::app::{App, Shared};
use crate::audit;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};

pub(crate) mod body;
pub(crate) mod bulk;
pub(crate) mod filter;
pub(crate) mod intent;
pub(crate) mod shape;
mod sort;

use body::{Change, NewServer};
use filter::{Filter, FilterParams};
use shape::ServerView1;
use sort::{Place, Sort, SortParams};

/// Servers that match, in pages.
#[utoipa::path(
    get, path = "/api/v1/servers", tag = "servers", operation_id = "list_servers_v1",
    params(FilterParams, SortParams, WindowParams),
    responses((status = 200, description = "One page of servers", body = Page<ServerView1>))
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<Page<ServerView1>>, Error> {
    let mut params = Params::of(&uri)?;
    let (filter, sort) = (Filter::take(&mut params)?, Sort::take(&mut params)?);
    let window: Window<Place> = Window::take(&mut params)?;
    params.finish()?;
    let view = app.fleet.view();
    // A pass over 50,000 servers is not for a thread that serves others.
    let page = spawn_blocking(move || {
        let mut found: Vec<_> = view.servers().iter().filter(|view| filter.admits(view)).collect();
        let page = sort.page(&mut found, &window)?;
        Ok(page.map(|view| ServerView1::of(view)))
    });
    page.await.map_err(|error| Error::Internal(Box::new(error)))?.map(Json)
}

/// One server.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "get_server",
    params(("id" = String, Path, description = "Identity of the server, `srv-` and eight characters")),
    responses(
        (status = 200, description = "The server", body = ServerView1, headers(("ETag" = String, description = "Its revision"))),
        (status = 404, description = "No server has that identity"),
    )
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    shown(&app, StatusCode::OK, server_id(id)?)
}

/// Adds a server. The same request again answers the same server.
#[utoipa::path(
    post, path = "/api/v1/servers", tag = "servers", operation_id = "create_server", request_body = NewServer,
    responses(
        (status = 201, description = "The server is added", body = ServerView1, headers(("ETag" = String), ("Location" = String))),
        (status = 200, description = "This very server was added before", body = ServerView1, headers(("ETag" = String), ("Location" = String))),
        (status = 409, description = "Another server has that address"),
    )
)]
pub(crate) async fn create(State(app): State<Shared>, JsonBody(new): JsonBody<NewServer>) -> Result<Response, Error> {
    let (id, created) = add(&app, new.registration(&app.settings.target_policy)?).await?;
    let status = if created.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = shown(&app, status, id)?;
    let location = HeaderValue::from_str(&format!("/api/v1/servers/{id}"));
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    if let Some(created) = created {
        response.extensions_mut().insert(created);
    }
    Ok(response)
}

/// Adds a server; `None` for the change when this very server was added before.
pub(crate) async fn add(app: &App, registration: Registration) -> Result<(ServerId, Option<audit::Change>), Error> {
    let now = Timestamp::now();
    match patience::attempt(app.fleet.create(registration.clone(), now)).await? {
        Ok(server) => Ok((server.id, Some(audit::Change::of_server("server.create", None, Some(&server))))),
        Err(StoreError::Conflict(taken)) => {
            // Changes nothing: gives the server as the store has it, which the view may not know yet.
            let known = patience::long(app.fleet.set_flags(&registration.ip, FlagsPatch::default(), now)).await?;
            let same = |known: &Server| body::is_made_by(known, &registration);
            Ok((known.filter(same).ok_or(Error::Conflict(taken))?.id, None))
        }
        Err(error) => Err(error.into()),
    }
}

/// Changes what the body names and nothing else.
#[utoipa::path(
    patch, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "edit_server", request_body = Change,
    params(
        ("id" = String, Path, description = "Identity of the server"),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the server: only if nobody changed it since"),
    ),
    responses(
        (status = 200, description = "The server as it is now", body = ServerView1, headers(("ETag" = String))),
        (status = 400, description = "No field is named, or the request cannot be read"),
        (status = 404, description = "No server has that identity"),
        (status = 409, description = "Another server has that address"),
        (status = 412, description = "The server was changed since it had that `ETag`"),
    )
)]
pub(crate) async fn edit(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(change): JsonBody<Change>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    let mut patch = change.patch(&app.settings.target_policy)?;
    if patch.is_empty() {
        return Err(Error::NothingToUpdate);
    }
    patch.revision = revision(&headers)?;
    change_one(&app, id, patch).await
}

/// Forgets a server. Its history stays until it is too old.
#[utoipa::path(
    delete, path = "/api/v1/servers/{id}", tag = "servers", operation_id = "delete_server",
    params(("id" = String, Path, description = "Identity of the server")),
    responses(
        (status = 204, description = "The server is forgotten"),
        (status = 404, description = "No server has that identity"),
        (status = 409, description = "A target in the configuration names the server: it would come back at once"),
    )
)]
pub(crate) async fn delete(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Extension<audit::Change>), Error> {
    let change = forget(&app, server_id(id)?).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Forgets a server, unless a target in the configuration would bring it back at once.
pub(crate) async fn forget(app: &App, id: ServerId) -> Result<audit::Change, Error> {
    let known = app.fleet.view().by_id(id).cloned();
    if known.as_ref().is_some_and(|view| view.is_configured()) {
        let reason = "A target in the configuration names this server; take it out there, then delete it";
        return Err(Error::Conflict(reason.to_owned()));
    }
    if patience::long(app.fleet.delete(id, Timestamp::now())).await? {
        // One that was added a moment ago may not be in the view yet.
        Ok(match &known {
            Some(known) => audit::Change::of_server("server.delete", Some(&known.server), None),
            None => audit::Change::new("server.delete", id.to_string()),
        })
    } else {
        Err(Error::NoSuchServer)
    }
}

/// Changes a server and answers it as it is then.
async fn change_one(app: &App, id: ServerId, patch: ServerPatch) -> Result<Response, Error> {
    let change = change(app, id, patch).await?;
    let mut response = shown(app, StatusCode::OK, id)?;
    response.extensions_mut().insert(change);
    Ok(response)
}

/// Changes a server.
pub(crate) async fn change(app: &App, id: ServerId, patch: ServerPatch) -> Result<audit::Change, Error> {
    let before = app.fleet.view().by_id(id).cloned();
    let changed = patience::attempt(app.fleet.edit(id, patch, Timestamp::now())).await?;
    let changed = changed.map_err(|error| match error {
        StoreError::Conflict(taken) => Error::Conflict(taken),
        error => error.into(),
    });
    let after = changed?.ok_or(Error::NoSuchServer)?;
    let before = before.as_ref().map(|view| &*view.server);
    Ok(audit::Change::of_server("server.edit", before, Some(&after)))
}

/// A server as the view shows it, which holds every edit once its call has returned.
fn shown(app: &App, status: StatusCode, id: ServerId) -> Result<Response, Error> {
    let view = app.fleet.view();
    let server = view.by_id(id).ok_or(Error::NoSuchServer)?;
    let mut response = (status, Json(ServerView1::of(server))).into_response();
    let etag = HeaderValue::from_str(&format!("\"{}\"", server.server.revision));
    response.headers_mut().extend(etag.ok().map(|etag| (header::ETAG, etag)));
    Ok(response)
}

/// What is no identity of a server is nobody's.
pub(crate) fn server_id(path: Result<Path<String>, PathRejection>) -> Result<ServerId, Error> {
    path?.0.parse().map_err(|_| Error::NoSuchServer)
}

/// The revision that `If-Match` asks for; none where it is missing or takes any.
fn revision(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let number = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    let expected = "If-Match: give the ETag of the server, for example \"3\", or *";
    number.map(Some).ok_or_else(|| Error::Malformed(expected.to_owned()))
}
