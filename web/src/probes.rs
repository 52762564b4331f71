//! Endpoints for the machinery around us: liveness, readiness, our own metrics.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use mect_fleet::store::StoreState;
use prometheus_client::encoding::text::encode;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::patience;

mod text;

pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "machinery",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// A view of the fleet is published; 503 says that it is not.
///
/// The second line tells about the store, and changes nothing: the fleet is served from memory while the store is away,
/// and were every instance taken out of service for that, client applications would be left without a list for an
/// outage that need not concern them.
#[utoipa::path(
    get, path = "/readyz", tag = "machinery",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"))
)]
pub(crate) async fn readyz(State(app): State<Shared>) -> Result<String, Error> {
    is_published(&app)?;
    if let StoreState::Lost { since } = app.fleet.store_state() {
        return Ok(format!("ready\nstore: does not answer since {since}\n"));
    }
    // Any read will do: an unknown name goes all the way to the store, and never to the memory in front of it.
    let answer = patience::short(app.users.accounts().user("")).await;
    Ok(format!("ready\nstore: {}\n", if answer.is_ok() { "answers" } else { "does not answer" }))
}

/// The process lives, in the words of Prometheus.
#[utoipa::path(
    get, path = "/-/healthy", tag = "machinery",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthy() -> &'static str {
    "Mect VPN Monitor is Healthy.\n"
}

/// A view of the fleet is published, in the words of Prometheus; 503 says that it is not.
#[utoipa::path(
    get, path = "/-/ready", tag = "machinery",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"))
)]
pub(crate) async fn ready(State(app): State<Shared>) -> Result<&'static str, Error> {
    is_published(&app)?;
    Ok("Mect VPN Monitor is Ready.\n")
}

fn is_published(app: &App) -> Result<(), Error> {
    if app.fleet.view().version() == 0 {
        return Err(Error::NotReady("No view of the fleet is published yet"));
    }
    Ok(())
}

/// The collector's own metrics, as OpenMetrics for who asks for it, else in the text format 0.0.4.
#[utoipa::path(
    get, path = "/metrics", tag = "machinery",
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
pub(crate) async fn metrics(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Error> {
    let mut page = String::new();
    encode(&mut page, &app.registry).map_err(|error| Error::Internal(Box::new(error)))?;
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let takes_openmetrics = accept.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
    let (content_type, page) =
        if takes_openmetrics { (OPENMETRICS, page) } else { (TEXT, text::from_openmetrics(&page)) };
    Ok(([(header::CONTENT_TYPE, content_type), (header::VARY, "accept")], page).into_response())
}
