//! What the public may know: `GET /status`. Countries and services, their state and uptime; no server, no address, no
//! count. Off unless the operator turned it on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use mect_fleet::{Timestamp, Transition};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::app::{App, Shared};
use crate::error::Error;
use crate::pages::{Who, assets, format};
use crate::patience;
use summary::{Line, Past, State as Condition, Summary};

mod summary;

/// Browsers and proxies may show it again for so long.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=15");
/// Flips of health that uptime is computed from at most: of a fleet that flips more often, only the newest count.
const MAX_FLIPS: usize = 50_000;
/// The past is read again after so long.
const PAST_KEPT: Duration = Duration::from_secs(60);

/// The page as it was rendered last, and the past that it tells.
#[derive(Default)]
pub(crate) struct Kept {
    /// With the version of the view.
    page: Mutex<Option<(u64, Bytes)>>,
    /// Held while rendering: the first request works, the others wait for its result.
    past: tokio::sync::Mutex<Option<(Instant, Known)>>,
}

/// `None` while the store has not told it yet.
type Known = Option<Arc<Past>>;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    who: Option<Who>,
    overall: Condition,
    countries: Vec<Line>,
    services: Vec<Line>,
    /// Since when uptime is known, where that is less than the longest span.
    known_since: Option<String>,
    at: String,
}

/// `GET /status`.
pub(crate) async fn show(State(app): State<Shared>) -> Result<Response, Error> {
    if !app.settings.status_page {
        return Err(Error::NotFound);
    }
    let page = match app.status.of(app.fleet.view().version()) {
        Some(page) => page,
        None => render(&app).await?,
    };
    Ok((
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CACHE_CONTROL, CACHING),
        ],
        page,
    )
        .into_response())
}

impl Kept {
    fn of(&self, version: u64) -> Option<Bytes> {
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        page.as_ref().filter(|(rendered, _)| *rendered == version).map(|(_, page)| page.clone())
    }
}

async fn render(app: &Shared) -> Result<Bytes, Error> {
    let mut past = app.status.past.lock().await;
    let view = app.fleet.view();
    if let Some(page) = app.status.of(view.version()) {
        return Ok(page);
    }
    let known = match past.as_ref().filter(|(read, _)| read.elapsed() < PAST_KEPT) {
        Some((_, known)) => known.clone(),
        None => {
            // Without the store the page goes on with what it knows.
            let known = match flips(app).await {
                Ok(flips) => Some(Arc::new(Past::new(flips, MAX_FLIPS))),
                Err(error) if error.is_outage() => past.as_ref().and_then(|(_, known)| known.clone()),
                Err(error) => return Err(error),
            };
            *past = Some((Instant::now(), known.clone()));
            known
        }
    };
    let version = view.version();
    // A pass over 50,000 servers is not for a thread that serves others.
    let rendered = spawn_blocking(move || {
        let now = Timestamp::now();
        let Summary { overall, countries, services } = Summary::of(&view, known.as_deref(), now);
        let since = known.as_ref().and_then(|known| known.since());
        let known_since = since.filter(|since| now.since(*since) < summary::LONGEST).map(format::utc);
        let at = format::utc(view.published_at());
        StatusPage { who: None, overall, countries, services, known_since, at }.render()
    });
    let page = Bytes::from(rendered.await.map_err(|error| Error::Internal(Box::new(error)))??);
    *app.status.page.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, page.clone()));
    Ok(page)
}

async fn flips(app: &App) -> Result<Vec<Transition>, Error> {
    if app.fleet.store_state().is_lost() {
        return Err(Error::StoreLost);
    }
    patience::long(app.history.transitions_before(None, Timestamp::MAX, MAX_FLIPS)).await
}
