//! Endpoints for the machinery around us: liveness, readiness, our own metrics.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use prometheus_client::encoding::text::encode;

use crate::app::Shared;
use crate::error::Error;

/// A store that takes longer is not ready; shorter than the timeout of usual probes.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /healthz`: the process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: a view is published and the store answers; 503 says which one is missing.
pub(crate) async fn readyz(State(app): State<Shared>) -> Result<&'static str, Error> {
    if app.fleet.view().version() == 0 {
        return Err(Error::NotReady("No view of the fleet is published yet"));
    }
    // Any read will do: an unknown name goes all the way to the store, and never to the memory in front of it.
    match tokio::time::timeout(STORE_PATIENCE, app.users.accounts().user("")).await {
        Ok(answer) => answer.map(|_| "ready\n").map_err(Error::from),
        Err(_) => Err(Error::NotReady("The store does not answer in time")),
    }
}

/// `GET /metrics`: the process's own metrics as OpenMetrics text.
pub(crate) async fn metrics(State(app): State<Shared>) -> Result<Response, Error> {
    let mut page = String::new();
    encode(&mut page, &app.registry).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response())
}
