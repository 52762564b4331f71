//! `POST /-/reload`: configuration and target files are read again, as Prometheus does it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use mect_fleet::collecting::Reloaded;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::audit::Change;
use crate::error::Error;

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reload)]
pub(crate) struct Answer {
    /// Targets in use now.
    targets: usize,
    /// Keys of the configuration that changed and hold from now on.
    taken: Vec<String>,
    /// Keys that changed and hold only after a restart.
    needs_restart: Vec<String>,
    /// Target files that cannot be used as they are; what they said before stays in force.
    problems: Vec<String>,
}

/// Reads configuration and target files again.
///
/// `[[targets]]`, `[[file_sd]]` and `[[access]]`, with all files that they name, hold from then on. Any other key that
/// changed is named, and holds after a restart. A mistake in the configuration is answered with its place, and changes
/// nothing.
#[utoipa::path(
    post, path = "/-/reload", tag = "machinery",
    responses(
        (status = 200, description = "They were read", body = Answer),
        (status = 422, description = "The configuration cannot be used; the detail says where and why"),
    )
)]
pub(crate) async fn reload(State(app): State<Shared>) -> Result<Response, Error> {
    let reload = app.collecting.reload.as_ref().ok_or(Error::NotFound)?;
    let Reloaded { targets, taken, needs_restart, problems } =
        reload.reload().await.map_err(|error| Error::Invalid(error.to_string()))?;
    let answer = Answer { targets, taken, needs_restart, problems };
    let mut response = Json(&answer).into_response();
    response.extensions_mut().insert(Change::new("configuration.reload", "collector").after(answer));
    Ok(response)
}
