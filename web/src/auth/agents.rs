//! Agents and exporters: machines that share one key with the collector, and may call two routes.

use http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::error::Error;
use crate::settings::Enrolment;

/// Where agents of the old system show the key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Lets a request through that shows the agent key, to a route that the operator opened to agents.
pub(crate) fn check(app: &App, path: &str, headers: &HeaderMap) -> Result<(), Error> {
    let is_open = match path {
        "/heartbeat" => app.collecting.heartbeats.is_some(),
        _ => app.settings.enrolment != Enrolment::Off,
    };
    // An operator who did not open the route is not asked for a key to it either.
    let Some(key) = app.settings.agent_key.get().filter(|_| is_open) else { return Err(Error::NotFound) };
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(shown)
    });
    let shown = headers.get(API_KEY).map(|value| value.as_bytes()).or(bearer).unwrap_or_default();
    // Of texts of different lengths it tells no more than that they differ.
    if bool::from(shown.ct_eq(key.expose().as_bytes())) { Ok(()) } else { Err(Error::WrongAgentKey) }
}
