//! `GET /api/v1/loads`: what changes of the list from minute to minute, and nothing else.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use mect_fleet::reading::percent;
use mect_fleet::{FleetView, ServerView};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};

use crate::app::Shared;
use crate::error::Error;
use crate::rest::list::Question;
use crate::rest::params::Params;
use crate::rest::server_json;

/// By what a client knows servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Naming {
    /// By `server_id`.
    #[default]
    Id,
    /// By `ip`.
    Ip,
}

/// Query of `GET /api/v1/loads`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the description alone")]
pub(crate) struct LoadsParams {
    /// What names a server: its id, unless said otherwise.
    #[param(inline)]
    by: Option<Naming>,
}

/// Load and score of the servers for clients, best first.
#[utoipa::path(
    get, path = "/api/v1/loads", tag = "servers", operation_id = "list_loads",
    params(LoadsParams),
    responses(
        (status = 200, description = "The loads", body = Loads<'_>, headers(
            ("ETag" = String, description = "Strong"),
            ("X-Data-Age-Seconds" = u64, description = "Since the newest heartbeat of a server for clients"),
        )),
        (status = 304, description = "`If-None-Match` names the loads as they still are"),
        (status = 414, description = "The query is longer than 4096 bytes"),
    )
)]
pub(crate) async fn show(State(app): State<Shared>, uri: Uri, headers: HeaderMap) -> Result<Response, Error> {
    let mut params = Params::of(&uri)?;
    let naming = params.take_as("by", "id or ip", |text| match text {
        "id" => Some(Naming::Id),
        "ip" => Some(Naming::Ip),
        _ => None,
    })?;
    params.finish()?;
    let answer = app.lists.answer(&app.fleet, Question::Loads(naming.unwrap_or_default())).await?;
    answer.body.respond(&headers, answer.view.data_at()).await
}

/// The loads of the servers for clients, best first.
pub(crate) fn render(view: &FleetView, naming: Naming) -> Result<Vec<u8>, serde_json::Error> {
    let data_at = view.data_at().map(|at| at.to_string());
    serde_json::to_vec(&Loads { data_at, loads: Ranked { view, naming } })
}

/// What changes from minute to minute.
#[derive(Serialize, ToSchema)]
pub(crate) struct Loads<'a> {
    /// When the newest of them was measured; null when there is no server for clients.
    #[schema(format = DateTime)]
    data_at: Option<String>,
    /// By id or address.
    #[schema(value_type = std::collections::BTreeMap<String, Load>)]
    loads: Ranked<'a>,
}

struct Ranked<'a> {
    view: &'a FleetView,
    naming: Naming,
}

/// Of one server.
#[derive(Serialize, ToSchema)]
#[schema(as = LoadAndScore)]
struct Load {
    /// Of the bottleneck, in percent; null when unknown.
    load: Option<f64>,
    /// Rank, lower is better.
    score: f64,
}

impl Load {
    fn of(view: &ServerView) -> Self {
        Self { load: view.load().map(percent), score: server_json::score(view) }
    }
}

impl Serialize for Ranked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ranked = self.view.ranked();
        let mut map = serializer.serialize_map(Some(ranked.len()))?;
        for one in ranked {
            match self.naming {
                Naming::Id => map.serialize_entry(&one.server.id, &Load::of(one))?,
                Naming::Ip => map.serialize_entry(&one.server.ip, &Load::of(one))?,
            }
        }
        map.end()
    }
}
