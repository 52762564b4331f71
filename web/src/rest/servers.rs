//! `GET /servers`, its signature, and `PATCH /server/{ip}/config`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderName, HeaderValue, Uri, header};
use mect_fleet::{FlagsPatch, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::Shared;
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::patience;
use crate::rest::lenient::{self, Lenient};
use crate::rest::list::described::{FilterParams, ListParams, ListedServers};
use crate::rest::list::query::ListQuery;
use crate::rest::list::{Answer, Question};

/// Tells keys apart when the operator changes them.
const KEY_ID: HeaderName = HeaderName::from_static("x-list-key-id");

/// The servers for clients, best first; with `all_servers=true` every server, by host name. Filtered,
/// sorted and cut by the query; parameters that mean nothing here are left alone, as they always were.
#[utoipa::path(
    get, path = "/servers", tag = "servers", operation_id = "list_servers", params(ListParams, FilterParams),
    responses(
        (status = 200, description = "The servers", body = ListedServers, headers(
            ("ETag" = String, description = "Strong"),
            ("X-Data-Age-Seconds" = u64, description = "Since the newest heartbeat of a server for clients"),
            ("X-List-Signature" = String, description = "Ed25519, of the list before it is packed; base64"),
        )),
        (status = 304, description = "`If-None-Match` names the list as it still is"),
        (status = 414, description = "The query is longer than 4096 bytes"),
    )
)]
pub(crate) async fn list(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    let has_token = request.extensions().get::<Identity>().is_some();
    let answer = answer(&app, has_token, request.uri()).await?;
    answer.body.respond(request.headers(), answer.view.data_at()).await
}

/// The signature of what `GET /servers` answers to the same query at this moment.
///
/// Ed25519, 64 bytes, of the list before it is packed. The `ETag` is that of the plain list which it belongs to.
#[utoipa::path(
    get, path = "/servers.sig", tag = "servers", operation_id = "list_signature", params(ListParams, FilterParams),
    responses(
        (status = 200, description = "The signature", body = Vec<u8>, content_type = "application/octet-stream",
            headers(("ETag" = String), ("X-List-Key-Id" = String))),
        (status = 404, description = "The list is not signed"),
        (status = 414, description = "The query is longer than 4096 bytes"),
    )
)]
pub(crate) async fn signature(
    State(app): State<Shared>,
    identity: Option<Extension<Identity>>,
    uri: Uri,
) -> Result<Response, Error> {
    let key = app.settings.list_key.as_ref().ok_or(Error::NotSigned)?;
    let answer = answer(&app, identity.is_some(), &uri).await?;
    let signature = answer.body.signature().ok_or(Error::NotSigned)?.to_vec();
    let mut response = ([(header::CONTENT_TYPE, "application/octet-stream")], signature).into_response();
    let headers = response.headers_mut();
    headers.extend(answer.body.etag().map(|etag| (header::ETAG, etag.clone())));
    headers.insert(KEY_ID, HeaderValue::from_str(key.id()).map_err(|error| Error::Internal(Box::new(error)))?);
    Ok(response)
}

/// The public key that verifies signatures of the list.
#[utoipa::path(
    get, path = "/servers.pub", tag = "servers", operation_id = "list_key",
    responses(
        (status = 200, description = "PEM", body = String, content_type = "application/x-pem-file"),
        (status = 404, description = "The list is not signed"),
    )
)]
pub(crate) async fn public_key(State(app): State<Shared>) -> Result<Response, Error> {
    let key = app.settings.list_key.as_ref().ok_or(Error::NotSigned)?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], key.public_pem().to_owned()).into_response())
}

async fn answer(app: &Shared, has_token: bool, uri: &Uri) -> Result<Answer, Error> {
    let query = ListQuery::of(uri)?;
    if query.all && !has_token {
        return Err(Error::NotAuthenticated);
    }
    let question = if has_token { Question::List(query) } else { Question::PublicList(query) };
    app.lists.answer(&app.fleet, question).await
}

/// Body of `PATCH /server/{ip}/config`: flags as the clients of the old API write them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"paid": true}))]
pub(crate) struct ConfigPatch {
    /// Offered for games.
    #[serde(default, deserialize_with = "lenient::optional")]
    #[schema(value_type = Option<Lenient>)]
    gaming: Option<bool>,
    /// Offered for video streaming.
    #[serde(default, deserialize_with = "lenient::optional")]
    #[schema(value_type = Option<Lenient>)]
    streaming: Option<bool>,
    /// For paying clients only.
    #[serde(default, deserialize_with = "lenient::optional")]
    #[schema(value_type = Option<Lenient>)]
    paid: Option<bool>,
    /// Listed to clients.
    #[serde(default, deserialize_with = "lenient::optional")]
    #[schema(value_type = Option<Lenient>)]
    enabled: Option<bool>,
}

/// What a change answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Updated {
    /// Always `updated`.
    status: &'static str,
    /// The flags that were set.
    #[schema(value_type = std::collections::HashMap<String, bool>)]
    updated_fields: FlagsPatch,
}

/// Sets flags of a server; every reader sees them once the answer is sent.
#[utoipa::path(
    patch, path = "/server/{ip}/config", tag = "servers", operation_id = "configure_server", request_body = ConfigPatch,
    params(("ip" = String, Path, description = "Address of the server")),
    responses(
        (status = 200, description = "The flags are set", body = Updated),
        (status = 400, description = "No flag is named, or the request cannot be read"),
        (status = 404, description = "No server has that address"),
    )
)]
pub(crate) async fn configure(
    State(app): State<Shared>,
    ip: Result<Path<String>, PathRejection>,
    JsonBody(patch): JsonBody<ConfigPatch>,
) -> Result<(Extension<Change>, Json<Updated>), Error> {
    let Path(ip) = ip?;
    let ConfigPatch { gaming, streaming, paid, enabled } = patch;
    let patch = FlagsPatch { gaming, streaming, paid, enabled };
    if patch.is_empty() {
        return Err(Error::NothingToUpdate);
    }
    let view = app.fleet.view();
    let before = view.by_ip(&ip).map(|view| &*view.server);
    let after = patience::long(app.fleet.set_flags(&ip, patch, Timestamp::now())).await?.ok_or(Error::NoSuchServer)?;
    let change = Change::of_server("server.edit", before, Some(&after));
    Ok((Extension(change), Json(Updated { status: "updated", updated_fields: patch })))
}
