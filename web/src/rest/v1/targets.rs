//! `GET /api/v1/targets`: which targets there are and how their latest scrape went, in the shape of Prometheus' own
//! `/api/v1/targets`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::Uri;
use mect_fleet::collecting::{ActiveTarget, DroppedTarget, TargetsSnapshot};
use mect_fleet::instance::{self, address};
use mect_fleet::{Failure, FleetView, ServerId, ServerView, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::Shared;
use crate::endpoints::EndpointState;
use crate::error::Error;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};
use crate::twins;

/// Which targets are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct StateParam {
    /// `active`, `dropped` or `any`.
    #[param(required = false, default = "any")]
    state: String,
}

/// The answer of Prometheus, with the cursor of the next page.
#[derive(Serialize, ToSchema)]
pub(crate) struct TargetsAnswer {
    /// Always `success`.
    status: &'static str,
    data: TargetsData,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetsData {
    active_targets: Vec<Active>,
    dropped_targets: Vec<Dropped>,
    /// Endpoints in use, on all pages.
    active_count: usize,
    /// `cursor` of the next page; null on the last one.
    next: Option<String>,
}

/// A target in use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Active {
    discovered_labels: BTreeMap<&'static str, String>,
    labels: BTreeMap<&'static str, String>,
    scrape_pool: String,
    /// Empty when an agent reports the server.
    scrape_url: String,
    global_url: String,
    /// Empty when the latest scrape worked.
    last_error: String,
    /// What is odd although it works: another target is the same host, or the latest scrape could not be made here. Empty when
    /// nothing is.
    warning: String,
    /// Start of the latest scrape; the year 1 when there was none, as Prometheus says.
    last_scrape: String,
    /// Seconds.
    last_scrape_duration: f64,
    /// `up`, `down` or `unknown`: what the latest scrape that could be made says, without memory.
    health: &'static str,
    #[schema(example = "2m")]
    scrape_interval: String,
    scrape_timeout: String,
}

/// A target that is not in use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dropped {
    discovered_labels: BTreeMap<&'static str, String>,
    scrape_pool: String,
    /// Why, for a person.
    reason: String,
}

/// Targets as Prometheus shows its own, in pages.
#[utoipa::path(
    get, path = "/api/v1/targets", tag = "servers", operation_id = "list_targets", params(StateParam, WindowParams),
    responses((status = 200, description = "One page of the targets in use, and up to 500 others", body = TargetsAnswer))
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<TargetsAnswer>, Error> {
    let mut params = Params::of(&uri)?;
    let state = params.take_as("state", "active, dropped or any", |text| match text {
        "active" => Some((true, false)),
        "dropped" => Some((false, true)),
        "any" => Some((true, true)),
        _ => None,
    })?;
    let window: Window<ServerId> = Window::take(&mut params)?;
    params.finish()?;
    let (wants_active, wants_dropped) = state.unwrap_or((true, true));
    let targets = app.collecting.targets.as_ref().map(|targets| targets.snapshot()).unwrap_or_default();
    // The name that Prometheus would give all of them; `/federate` says the same.
    let (view, job) = (app.fleet.view(), app.settings.federation.job.as_str());
    let active_count = targets.active.iter().map(|target| 1 + target.further.len()).sum();
    let mut active: Vec<&ActiveTarget> = targets.active.iter().filter(|_| wants_active).collect();
    active.retain(|target| window.after.is_none_or(|after| target.server > after));
    active.sort_unstable_by_key(|target| target.server);
    active.truncate(window.limit + 1);
    let page = Page::of(active, window.limit, |target| target.server);
    let dropped = targets.dropped.iter().filter(|_| wants_dropped).take(crate::rest::v1::page::MAX_LIMIT);
    let data = TargetsData {
        active_targets: page.items.iter().flat_map(|target| shown_all(target, &view, &targets, job)).collect(),
        dropped_targets: dropped.map(|target| not_in_use(target, job)).collect(),
        active_count,
        next: page.next,
    };
    Ok(Json(TargetsAnswer { status: "success", data }))
}

/// Every endpoint of a server, the main one first.
fn shown_all(target: &ActiveTarget, view: &FleetView, targets: &TargetsSnapshot, job: &str) -> Vec<Active> {
    let known = view.by_id(target.server).map(AsRef::as_ref);
    let further = target.urls().enumerate().skip(1).map(|(place, url)| {
        let instance = instance::of(url, target.urls().take(place));
        further((url, instance), known, targets, job)
    });
    std::iter::once(shown(target, view, targets, job)).chain(further).collect()
}

/// A further endpoint: as the latest heartbeat says.
fn further((url, instance): (&str, &str), known: Option<&ServerView>, targets: &TargetsSnapshot, job: &str) -> Active {
    let told = known.map(|view| EndpointState::of(view, url)).unwrap_or_default();
    Active {
        discovered_labels: BTreeMap::from([("__address__", address(url).to_owned()), ("job", job.to_owned())]),
        labels: known.map(|view| labels(view, instance, job)).unwrap_or_default(),
        scrape_pool: job.to_owned(),
        scrape_url: url.to_owned(),
        global_url: url.to_owned(),
        last_error: told.error.unwrap_or_default(),
        warning: String::new(),
        last_scrape: instant(told.last_scrape),
        last_scrape_duration: f64::from(told.duration_ms) / 1000.0,
        health: told.health,
        scrape_interval: duration(targets.interval),
        scrape_timeout: duration(targets.timeout),
    }
}

/// As Prometheus writes an instant, and that there is none.
fn instant(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}

fn shown(target: &ActiveTarget, view: &FleetView, targets: &TargetsSnapshot, job: &str) -> Active {
    let url = target.url.clone().unwrap_or_default();
    let known = view.by_id(target.server).map(AsRef::as_ref);
    let standing = known.map(|view| &view.standing);
    let failure = standing.and_then(|standing| standing.last_failure.as_ref());
    // A fault of our own tells nothing of the server, whose health is that of the scrape before; as `up` on /federate.
    let (ours, failure) = (failure.filter(|f| f.reason.is_local()), failure.filter(|f| !f.reason.is_local()));
    let last_scrape = standing.and_then(|standing| standing.last_scrape);
    Active {
        discovered_labels: BTreeMap::from([("__address__", address(&url).to_owned()), ("job", job.to_owned())]),
        labels: known.map(|view| labels(view, address(&url), job)).unwrap_or_default(),
        scrape_pool: job.to_owned(),
        global_url: url.clone(),
        scrape_url: url,
        last_error: failure.map(ToString::to_string).unwrap_or_default(),
        warning: warning(known.and_then(|known| twins::warning(view, known)), ours),
        last_scrape: instant(last_scrape),
        last_scrape_duration: standing.map_or(0.0, |standing| f64::from(standing.last_duration_ms) / 1000.0),
        health: match (last_scrape, standing.and_then(|standing| standing.last_heartbeat)) {
            (None, _) => "unknown",
            (at, heartbeat) if at == heartbeat => "up",
            _ => "down",
        },
        scrape_interval: duration(targets.interval),
        scrape_timeout: duration(targets.timeout),
    }
}

fn warning(twins: Option<String>, ours: Option<&Failure>) -> String {
    let ours = ours.map(|failure| format!("not scraped: {failure}"));
    twins.into_iter().chain(ours).collect::<Vec<_>>().join("; ")
}

fn labels(view: &ServerView, instance: &str, job: &str) -> BTreeMap<&'static str, String> {
    let (server, place) = (&view.server, &view.server.place);
    // A server that an agent reports has no page.
    let instance = if instance.is_empty() { &server.ip } else { instance };
    let mut labels = BTreeMap::from([
        ("job", job.to_owned()),
        ("instance", instance.to_owned()),
        ("server_id", server.id.to_string()),
        ("hostname", server.hostname.clone()),
    ]);
    let place = [("country_code", &place.country_code), ("region", &place.region), ("city", &place.city)];
    labels.extend(place.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())));
    labels
}

fn not_in_use(target: &DroppedTarget, job: &str) -> Dropped {
    let discovered_labels =
        BTreeMap::from([("__address__", address(&target.address).to_owned()), ("job", job.to_owned())]);
    Dropped { discovered_labels, scrape_pool: job.to_owned(), reason: target.reason.clone() }
}

/// As Prometheus writes it: `2m`, `1m30s`, `10s`, `500ms`.
fn duration(duration: Duration) -> String {
    let (mut rest, mut text) = (duration.as_millis(), String::new());
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_prometheus_does() {
        for (millis, text) in [(120_000, "2m"), (90_000, "1m30s"), (10_000, "10s"), (500, "500ms"), (0, "0s")] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
