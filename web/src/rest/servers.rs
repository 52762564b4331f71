//! `GET /servers` and `PATCH /server/{ip}/config`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::HeaderMap;
use mect_fleet::{FlagsPatch, Timestamp};
use serde::{Deserialize, Serialize};

use crate::app::Shared;
use crate::error::Error;
use crate::extract::JsonBody;

/// Query of `GET /servers`.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    /// Also those that are down, pending or disabled.
    #[serde(default)]
    all_servers: bool,
}

/// `GET /servers`: the servers for clients, best first; with `all_servers=true` every server, by host name.
pub(crate) async fn list(
    State(app): State<Shared>,
    query: Result<Query<ListQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Query(query) = query?;
    let view = app.fleet.view();
    let body = if query.all_servers { app.lists.all(&view).await? } else { app.lists.clients(&view).await? };
    Ok(body.respond(&headers))
}

/// What a change answers.
#[derive(Serialize)]
pub(crate) struct Updated {
    status: &'static str,
    updated_fields: FlagsPatch,
}

/// `PATCH /server/{ip}/config`: sets the named flags; every reader sees them once the answer is sent.
pub(crate) async fn configure(
    State(app): State<Shared>,
    ip: Result<Path<String>, PathRejection>,
    JsonBody(patch): JsonBody<FlagsPatch>,
) -> Result<Json<Updated>, Error> {
    let Path(ip) = ip?;
    if patch.is_empty() {
        return Err(Error::NothingToUpdate);
    }
    app.fleet.set_flags(&ip, patch, Timestamp::now()).await?.ok_or(Error::NoSuchServer)?;
    Ok(Json(Updated { status: "updated", updated_fields: patch }))
}
