//! `POST /api/v1/enrol`: an exporter announces itself.
//!
//! Whoever knows the agent key can add servers, and no more: the address is the one that the request came from, so that
//! nobody announces somebody else.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{Denied, Endpoint, FlagsPatch, ScrapeTarget, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::Shared;
use crate::audit::Change;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::patience;
use crate::rest::v1::text;
use crate::settings::Enrolment;

/// What an exporter says of itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"port": 9776, "hostname": "de-fra-1"}))]
pub(crate) struct Announcement {
    /// Where it listens, at the address that the request comes from.
    #[schema(minimum = 1)]
    port: u16,
    /// Path of its page; `/metrics` by default.
    path: Option<String>,
    /// It speaks TLS.
    #[serde(default)]
    tls: bool,
    /// Name for people.
    #[serde(default)]
    hostname: String,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Announced {
    /// Identity of the server.
    id: String,
    /// Address under which it is known.
    ip: String,
    /// `waiting` until an operator lets it in, else `accepted`.
    status: &'static str,
}

/// Announces the exporter that sends the request. The same again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/enrol", tag = "servers", operation_id = "enrol", request_body = Announcement,
    responses(
        (status = 201, description = "The server is added", body = Announced),
        (status = 200, description = "The server was known before", body = Announced),
        (status = 401, description = "No agent key, or a wrong one"),
        (status = 404, description = "Exporters may not announce themselves, see `web.enrolment`"),
    )
)]
pub(crate) async fn announce(
    State(app): State<Shared>,
    ClientAddress(address): ClientAddress,
    JsonBody(announcement): JsonBody<Announcement>,
) -> Result<Response, Error> {
    let Enrolment::On { needs_approval, insecure_credentials } = app.settings.enrolment else {
        return Err(Error::NotFound);
    };
    let untold = || Error::Invalid("The address of the exporter cannot be told".to_owned());
    let address = address.ok_or_else(untold)?;
    if announcement.port == 0 {
        return Err(Error::Invalid("port: 0 is not allowed; give 1 to 65535".to_owned()));
    }
    let mut endpoint = Endpoint::of(address, announcement.port);
    if let Some(path) = &announcement.path {
        endpoint = endpoint.with_path(path).map_err(|error| Error::Invalid(format!("path: {error}")))?;
    }
    if announcement.tls {
        endpoint = endpoint.over_tls();
    }
    app.settings.target_policy.check_endpoint(&endpoint).map_err(|denied| match denied {
        Denied::Nobody => untold(),
        denied => Error::Invalid(format!("The exporter is at {address}: {denied}")),
    })?;
    let registration = Registration {
        ip: address.to_string(),
        hostname: text::line("hostname", &announcement.hostname, text::HOSTNAME_CHARS)?,
        target: Some(ScrapeTarget { insecure_credentials, ..ScrapeTarget::at(endpoint) }),
        awaits_approval: needs_approval,
        ..Registration::default()
    };
    let (ip, now) = (registration.ip.clone(), Timestamp::now());
    let (status, server) = match patience::attempt(app.fleet.create(registration, now)).await? {
        Ok(server) => {
            tracing::info!(server = %server.id, ip, needs_approval, "an exporter announced itself");
            (StatusCode::CREATED, server)
        }
        Err(StoreError::Conflict(taken)) => {
            // Changes nothing: gives the server as the store has it.
            let known = patience::long(app.fleet.set_flags(&ip, FlagsPatch::default(), now)).await?;
            (StatusCode::OK, known.ok_or(Error::Conflict(taken))?)
        }
        Err(error) => return Err(error.into()),
    };
    let created = (status == StatusCode::CREATED).then(|| Change::of_server("server.enrol", None, Some(&server)));
    let word = if server.awaits_approval { "waiting" } else { "accepted" };
    let announced = Announced { id: server.id.to_string(), ip: server.ip, status: word };
    let mut response = (status, Json(announced)).into_response();
    if let Some(created) = created {
        response.extensions_mut().insert(created);
    }
    Ok(response)
}
