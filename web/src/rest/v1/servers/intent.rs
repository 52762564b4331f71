//! What the operator wants of a server: whether clients are sent there, and if not, for how long.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use mect_fleet::{FlagsPatch, Period, Server, ServerPatch, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::rest::v1::servers::shape::ServerView1;
use crate::rest::v1::servers::{change_one, revision, server_id};

/// All that an operator wants. It stands for itself: a drain or a maintenance that is not named ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true, "draining": {"until": "2031-05-01T12:00:00Z"}}))]
pub(crate) struct Intent {
    /// Listed to clients.
    pub(crate) enabled: bool,
    /// New clients go elsewhere.
    #[serde(default)]
    pub(crate) draining: Option<PeriodBody>,
    /// Being worked on: clients go elsewhere, and whoever looks at its health knows why.
    #[serde(default)]
    pub(crate) maintenance: Option<PeriodBody>,
}

/// How long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeriodBody {
    /// RFC 3339; over by itself then. Without one until it is ended.
    #[serde(default)]
    pub(crate) until: Option<String>,
}

/// Says whether clients are sent to a server.
#[utoipa::path(
    put, path = "/api/v1/servers/{id}/intent", tag = "servers", operation_id = "set_intent", request_body = Intent,
    params(
        ("id" = String, Path, description = "Identity of the server"),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the server: only if nobody changed it since"),
    ),
    responses(
        (status = 200, description = "The server as it is now", body = ServerView1, headers(("ETag" = String))),
        (status = 404, description = "No server has that identity"),
        (status = 412, description = "The server was changed since it had that `ETag`"),
    )
)]
pub(crate) async fn set(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(intent): JsonBody<Intent>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    let known = app.fleet.view().by_id(id).map(|view| view.server.clone()).ok_or(Error::NoSuchServer)?;
    let mut patch = intent.patch(Some(&known), Timestamp::now())?;
    patch.revision = revision(&headers)?;
    change_one(&app, id, patch).await
}

impl Intent {
    /// What is wanted of `server` at `now`.
    pub(crate) fn of(server: &Server, now: Timestamp) -> Self {
        let goes_on = |period: Option<Period>| {
            let period = period.filter(|period| period.lasts_at(now));
            period.map(|period| PeriodBody { until: period.until.map(|until| until.to_string()) })
        };
        Self { enabled: server.enabled, draining: goes_on(server.draining), maintenance: goes_on(server.maintenance) }
    }

    /// What the inventory is told. A period that goes on keeps its beginning.
    pub(crate) fn patch(self, known: Option<&Server>, now: Timestamp) -> Result<ServerPatch, Error> {
        let draining = period("draining", self.draining, known.and_then(|server| server.draining), now)?;
        let maintenance = period("maintenance", self.maintenance, known.and_then(|server| server.maintenance), now)?;
        Ok(ServerPatch {
            flags: FlagsPatch { enabled: Some(self.enabled), ..FlagsPatch::default() },
            draining: Some(draining),
            maintenance: Some(maintenance),
            ..ServerPatch::default()
        })
    }
}

fn period(
    field: &str,
    said: Option<PeriodBody>,
    known: Option<Period>,
    now: Timestamp,
) -> Result<Option<Period>, Error> {
    let Some(said) = said else { return Ok(None) };
    let until = match said.until {
        Some(text) => {
            let until: Timestamp = text.parse().map_err(|error| Error::Invalid(format!("{field}.until: {error}")))?;
            if until <= now {
                return Err(Error::Invalid(format!("{field}.until: lies in the past")));
            }
            Some(until)
        }
        None => None,
    };
    let since = known.filter(|known| known.lasts_at(now)).map_or(now, |known| known.since);
    Ok(Some(Period { since, until }))
}
