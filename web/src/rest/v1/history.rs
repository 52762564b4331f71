//! `/api/v1/servers/{id}/history` and `…/uptime`: what the scrapes of one server said, in steps, and how long it was up.

use std::ops::Range;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Uri;
use mect_fleet::series::{self, Bucket, Spread};
use mect_fleet::uptime::uptime;
use mect_fleet::{ServerId, Standing, Timestamp, Transition};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::servers::server_id;
use crate::rest::v1::span;

const DAY: Duration = Duration::from_secs(86_400);
/// More than any retention keeps, and a bound for what one request reads.
const MAX_SPAN: Duration = Duration::from_secs(400 * 86_400);
/// Steps of one answer: more than a chart has pixels.
const MAX_STEPS: u64 = 2000;
/// Steps of an answer if the client does not say how long one is.
const USUAL_STEPS: u32 = 300;
/// The spans of uptime, and what they are called.
const WINDOWS: [(&str, u32); 3] = [("24h", 1), ("7d", 7), ("30d", 30)];
/// More flips than the health rule can make in the longest of them.
const MAX_TRANSITIONS: usize = 60_000;

/// What the scrapes of a server said.
#[derive(Serialize, ToSchema)]
#[schema(as = History)]
pub(crate) struct HistoryView {
    server_id: String,
    /// Start of the first step.
    #[schema(format = DateTime)]
    from: String,
    /// End of the last step.
    #[schema(format = DateTime)]
    to: String,
    /// Length of a step; from an hour on whole hours.
    step_seconds: f64,
    /// In order of time. Steps without a scrape are left out.
    steps: Vec<Step>,
}

/// The scrapes of one step. Null is what no scrape knew.
#[derive(Serialize, ToSchema)]
struct Step {
    /// Start of the step.
    #[schema(format = DateTime)]
    at: String,
    /// Scrapes.
    checks: u32,
    /// Of these, failed.
    failures: u32,
    /// How long scrapes took, in milliseconds.
    duration_ms: Option<SpreadView>,
    /// Percent, as the next two.
    cpu: Option<SpreadView>,
    ram: Option<SpreadView>,
    net: Option<SpreadView>,
    receive_bytes_per_second: Option<SpreadView>,
    transmit_bytes_per_second: Option<SpreadView>,
    /// Clients connected.
    sessions: Option<SpreadView>,
}

/// How the values of a step spread.
#[derive(Serialize, ToSchema)]
#[schema(as = Spread)]
struct SpreadView {
    /// Scrapes that knew the value.
    count: u32,
    min: f64,
    mean: f64,
    /// 95th percentile; of a step beyond an hour that of its worst hour.
    p95: f64,
    max: f64,
}

impl SpreadView {
    fn of(spread: Spread, factor: f64) -> Self {
        let number = |value: f64| (value * factor * 100.0).round() / 100.0;
        let Spread { count, min, mean, p95, max } = spread;
        Self { count, min: number(min), mean: number(mean), p95: number(p95), max: number(max) }
    }
}

impl Step {
    fn of(bucket: &Bucket) -> Self {
        let plain = |spread: Option<Spread>| spread.map(|spread| SpreadView::of(spread, 1.0));
        let percent = |spread: Option<Spread>| spread.map(|spread| SpreadView::of(spread, 100.0));
        Self {
            at: bucket.at.to_string(),
            checks: bucket.checks,
            failures: bucket.failures,
            duration_ms: plain(bucket.duration_ms),
            cpu: percent(bucket.cpu),
            ram: percent(bucket.ram),
            net: percent(bucket.net),
            receive_bytes_per_second: plain(bucket.receive),
            transmit_bytes_per_second: plain(bucket.transmit),
            sessions: plain(bucket.sessions),
        }
    }
}

/// What the scrapes of a server said, summed up in steps.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/history", tag = "servers", operation_id = "server_history",
    params(
        ("id" = String, Path, description = "Identity of the server"),
        ("from" = Option<String>, Query, format = DateTime, description = "Start; a day before `to` if not given"),
        ("to" = Option<String>, Query, format = DateTime, description = "End; now if not given"),
        ("step" = Option<String>, Query, pattern = "^[0-9]+[smhd]?$",
            description = "Length of a step: `90`, `5m`, `2h`, `1d`; a 300th of the span if not given. At most 2000 steps"),
    ),
    responses(
        (status = 200, description = "The steps, oldest first", body = HistoryView),
        (status = 404, description = "No server has, or had, that identity"),
    )
)]
pub(crate) async fn history(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<HistoryView>, Error> {
    let id = server_id(id)?;
    let mut params = Params::of(&uri)?;
    let span = span::take(&mut params, Timestamp::now(), DAY)?;
    let step = params.take_as("step", "a whole number of seconds, or one with s, m, h or d", span::length)?;
    params.finish()?;
    let length = span.end.since(span.start);
    if length > MAX_SPAN {
        return Err(Error::Invalid(format!(
            "from: the span is longer than {} days",
            MAX_SPAN.as_secs() / DAY.as_secs()
        )));
    }
    let step = step.unwrap_or_else(|| Duration::from_secs((length / USUAL_STEPS).as_secs().max(60)));
    let least = length.as_secs().div_ceil(MAX_STEPS).max(1);
    if step.as_secs() < least {
        let given = step.as_secs();
        return Err(Error::Invalid(format!("step: {given} s is too short for this span; give {least} s or more")));
    }
    let range = series::aligned(span.clone(), step);
    let buckets = patience::long(app.history.series(id, span, step)).await?;
    if buckets.is_empty() && app.fleet.view().by_id(id).is_none() {
        return Err(Error::NoSuchServer);
    }
    Ok(Json(HistoryView {
        server_id: id.to_string(),
        from: range.start.to_string(),
        to: range.end.to_string(),
        step_seconds: series::step_ms(step) as f64 / 1000.0,
        steps: buckets.iter().map(Step::of).collect(),
    }))
}

/// How long a server was up.
#[derive(Serialize, ToSchema)]
#[schema(as = Uptime)]
pub(crate) struct UptimeView {
    server_id: String,
    /// The last day, week and month.
    windows: Vec<Window>,
}

/// The uptime of one span that ends now.
#[derive(Serialize, ToSchema)]
#[schema(as = UptimeWindow)]
struct Window {
    /// `24h`, `7d` or `30d`.
    window: &'static str,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    /// Share, 0–1, of the judged time in which the server was not down; null when it was never judged.
    ratio: Option<f64>,
}

/// How long a server was up in the last day, week and month.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/uptime", tag = "servers", operation_id = "server_uptime",
    params(("id" = String, Path, description = "Identity of the server")),
    responses(
        (status = 200, description = "The uptime", body = UptimeView),
        (status = 404, description = "No server has that identity"),
    )
)]
pub(crate) async fn server_uptime(
    State(app): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<UptimeView>, Error> {
    let id: ServerId = server_id(id)?;
    Params::of(&uri)?.finish()?;
    let standing = app.fleet.standing(id).ok_or(Error::NoSuchServer)?;
    let flips = flips(&app, id).await?;
    let now = Timestamp::now();
    let windows = shares(&standing, &flips, now).into_iter().map(|(window, span, ratio)| {
        let ratio = ratio.map(|ratio| (ratio * 1e6).round() / 1e6);
        Window { window, from: span.start.to_string(), to: span.end.to_string(), ratio }
    });
    Ok(Json(UptimeView { server_id: id.to_string(), windows: windows.collect() }))
}

/// Every flip of a server that is kept, oldest first.
pub(crate) async fn flips(app: &App, id: ServerId) -> Result<Vec<Transition>, Error> {
    let flips = app.history.transitions_before(Some(id), Timestamp::MAX, MAX_TRANSITIONS);
    let mut flips = patience::long(flips).await?;
    flips.reverse();
    Ok(flips)
}

/// Name, span and uptime of the last day, week and month. `flips` are all of the server, oldest first.
pub(crate) fn shares(
    standing: &Standing,
    flips: &[Transition],
    now: Timestamp,
) -> [(&'static str, Range<Timestamp>, Option<f64>); 3] {
    WINDOWS.map(|(window, days)| {
        let from = now - DAY * days;
        let since = flips.partition_point(|flip| flip.at < from);
        (window, from..now, uptime(standing, flips.get(since..).unwrap_or_default(), from..now))
    })
}
