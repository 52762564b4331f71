//! `GET /federate`: series for another Prometheus, by selectors, as Prometheus' own federation gives them.
//!
//! | module | holds |
//! |---|---|
//! | `selector`, `matcher` | what `match[]` says |
//! | `narrowed` | which selectors a series can still match |
//! | `origin` | the labels that tell where a series comes from |
//! | `derived` | what we say of each server |
//! | `aggregates` | the fleet and its countries in sums |
//! | `raw` | what the servers say themselves |
//! | `sink` | where series go |
//! | `families`, `text` | the answer in the making, and how it is written |
//! | `body` | the answer on its way out |
//! | `teller` | the same series for whoever sends them on by himself |
//!
//! An answer is made aside, on a thread that may block: unpacking the pages of 1,000 servers takes tens of milliseconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Uri, header};
use mect_fleet::collecting::Pages;
use mect_fleet::{EndpointReading, FleetView, ServerId, ServerView, Timestamp, instance};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::Shared;
use crate::error::Error;
use crate::pages::strips::Flips;
use crate::rest::coding::Coding;
use crate::rest::params::{self, Params};
use crate::settings::Federation;

mod aggregates;
mod body;
mod derived;
mod families;
mod matcher;
mod narrowed;
mod origin;
mod raw;
mod selector;
mod sink;
mod teller;
mod text;

use derived::Derived;
use families::{Families, Family, TooMany};
use narrowed::Narrowed;
use origin::Origin;
use raw::Raw;
use selector::Selector;
pub use sink::Kind;
pub use teller::{SampleSink, Teller, Uptimes};

/// Answers at once, each of up to a hundred megabytes while it is made and sent; further ones are told to come again.
pub(crate) const MAX_AT_ONCE: usize = 4;
/// What is older is no longer so: Prometheus looks back as far.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);
/// Longest query: less than the longest head, so that who asks too much hears why.
const MAX_QUERY_BYTES: usize = 7 * 1024;
/// Selectors of one question: each series is held against them all.
const MAX_SELECTORS: usize = 32;
/// Matchers of one question. Each may be a regular expression, which takes memory and time of its own.
const MAX_MATCHERS: usize = 64;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const DAY: Duration = Duration::from_secs(86_400);
/// The one that needs to know the past.
const UPTIME: &str = "vpn_server_uptime_ratio";

/// Which series are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct Match {
    /// A selector of series in PromQL, such as `{__name__=~"vpn_server_.*",country_code="DE"}`. May be given several
    /// times: series that match any of them are told.
    #[serde(rename = "match[]")]
    #[param(example = json!(["vpn_fleet_servers"]))]
    matches: Vec<String>,
}

/// Series for another Prometheus.
#[utoipa::path(
    get, path = "/federate", tag = "machinery", params(Match),
    responses(
        (status = 200, description = "The series, with the times at which they were scraped", body = String,
         content_type = "text/plain"),
        (status = 400, description = "A selector is wrong; the detail says which and where"),
        (status = 422, description = "Too many series; the detail says how many"),
    )
)]
pub(crate) async fn federate(State(app): State<Shared>, uri: Uri, headers: HeaderMap) -> Result<Response, Error> {
    // First of all: selectors cost work, too.
    let turn = Arc::clone(&app.federation).try_acquire_owned().map_err(|_| Error::TooManyAnswers)?;
    let mut params = Params::within(&uri, MAX_QUERY_BYTES)?;
    let selectors = selectors(&params.take_all("match[]"))?;
    params.finish()?;
    let wants_past = selectors.iter().any(|selector| selector.of_name().all(|matcher| matcher.test.accepts(UPTIME)));
    let targets = app.collecting.targets.as_ref().map(|targets| targets.snapshot()).unwrap_or_default();
    let instances = targets
        .active
        .into_iter()
        .filter_map(|target| Some((target.server, instance::address(&target.url?).to_owned())));
    let question = Question {
        selectors,
        view: app.fleet.view(),
        instances: instances.collect(),
        pages: app.collecting.pages.clone(),
        flips: if wants_past { app.strips.flips(&app.history).await } else { None },
        settings: app.settings.federation.clone(),
        now: Timestamp::now(),
    };
    let most = question.settings.max_series;
    // The turn goes with the work, which goes on when nobody waits for it any more.
    let found = tokio::task::spawn_blocking(move || question.answer().map(|families| (families, turn))).await;
    let found = found.map_err(|error| Error::Internal(Box::new(error)))?;
    let (families, turn) = found.map_err(|many| refused(&many, most))?;
    let is_gzip = Coding::is_gzip_taken(&headers);
    let mut response = body::of(families, is_gzip, turn).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn selectors(texts: &[String]) -> Result<Vec<Selector>, Error> {
    if texts.is_empty() {
        let example = "match[]={__name__=~\"vpn_fleet_.*\"}";
        return Err(Error::Malformed(format!("match[] is missing: say which series you want, for example {example}")));
    }
    if texts.len() > MAX_SELECTORS {
        return Err(Error::Malformed(format!(
            "match[] is given {} times; give it at most {MAX_SELECTORS} times",
            texts.len()
        )));
    }
    let selectors = texts.iter().zip(1..).map(|(text, number)| {
        Selector::parse(text).map_err(|fault| {
            let (character, expected, text) = (fault.character, fault.expected, params::echo(text));
            let place = format!("match[] number {number}, `{text}`, character {character}");
            Error::Malformed(format!("{place}: expected {expected}"))
        })
    });
    let selectors: Vec<_> = selectors.collect::<Result<_, _>>()?;
    let matchers: usize =
        selectors.iter().map(|selector| selector.of_name().count() + selector.of_labels().count()).sum();
    if matchers > MAX_MATCHERS {
        return Err(Error::Malformed(format!("match[] has {matchers} matchers in all; give at most {MAX_MATCHERS}")));
    }
    Ok(selectors)
}

fn refused(many: &TooMany, most: usize) -> Error {
    let (found, least) = (many.found, if many.is_least { "at least " } else { "" });
    Error::Invalid(format!(
        "match[] selects {least}{found} series, or very long ones; one answer gives at most {most} \
         (`federation.max_series`). Narrow it by `__name__`, `country_code` or `server_id`, in several jobs if need be; \
         {{__name__=~\"vpn_fleet_.*|vpn_country_.*\"}} stays small in every fleet"
    ))
}

/// All that an answer needs.
struct Question {
    selectors: Vec<Selector>,
    view: Arc<FleetView>,
    /// `host:port` of each server's page.
    instances: HashMap<ServerId, String>,
    pages: Option<Arc<dyn Pages>>,
    flips: Option<Arc<Flips>>,
    settings: Federation,
    now: Timestamp,
}

impl Question {
    fn answer(&self) -> Result<Vec<(Box<str>, Family)>, TooMany> {
        let Self { selectors, view, settings, now, .. } = self;
        let mut families = Families::new(settings.max_series, &settings.external_labels);
        aggregates::tell(&mut families, selectors, view, &settings.job, *now);
        // To unpack a page takes longer than all else.
        let wants_pages = !selectors.iter().all(Selector::is_of_ours);
        for server in view.servers() {
            let id = server.server.id;
            // A server that an agent reports has no page.
            let instance = self.instances.get(&id).unwrap_or(&server.server.ip);
            let origin = Origin::of_server(server, instance, &settings.job);
            let pages = self.pages.as_ref();
            self.tell_further((server, instance), wants_pages, &mut families);
            let mut narrowed = Narrowed::to(selectors, &origin);
            if narrowed.is_empty() {
                continue;
            }
            let samples = pages.and_then(|pages| pages.samples(id));
            let mut derived = Derived { sink: &mut families, narrowed: &mut narrowed, origin: &origin, now: *now };
            derived.tell(server, samples, self.flips.as_deref());
            if let Some(pages) = pages.filter(|_| wants_pages && samples.is_some() && server.monitored) {
                pages.visit(id, &mut Raw::new(&mut families, &mut narrowed, &origin, *now));
            }
            if families.is_hopeless() {
                break;
            }
        }
        families.finish()
    }

    /// The further endpoints of a server, each with an `instance` of its own.
    fn tell_further(&self, (server, main): (&ServerView, &str), wants_pages: bool, families: &mut Families) {
        let mut endpoints = further_endpoints(server, main).peekable();
        let pages = self.pages.as_ref().filter(|_| wants_pages && endpoints.peek().is_some());
        let kept = pages.map(|pages| pages.further(server.server.id)).unwrap_or_default();
        for (endpoint, instance) in endpoints {
            let origin = Origin::of_server(server, instance, &self.settings.job);
            let mut narrowed = Narrowed::to(&self.selectors, &origin);
            if narrowed.is_empty() {
                continue;
            }
            Derived { sink: families, narrowed: &mut narrowed, origin: &origin, now: self.now }
                .endpoint(server, endpoint);
            if let Some(pages) = pages.filter(|_| kept.iter().any(|url| **url == *endpoint.url)) {
                let mut raw = Raw::new(families, &mut narrowed, &origin, self.now);
                pages.visit_further(server.server.id, &endpoint.url, &mut raw);
            }
        }
    }
}

/// The further endpoints of a server whose main page is at `main`, each with the label `instance` of its series.
fn further_endpoints<'a>(
    server: &'a ServerView,
    main: &'a str,
) -> impl Iterator<Item = (&'a EndpointReading, &'a str)> {
    let reading = server.standing.reading.as_ref().filter(|_| server.monitored);
    let endpoints = reading.map_or(&[][..], |reading| &reading.endpoints);
    endpoints.iter().enumerate().map(move |(place, endpoint)| {
        let earlier = endpoints.iter().take(place).map(|endpoint| &*endpoint.url);
        (endpoint, instance::of(&endpoint.url, earlier.chain([main])))
    })
}
