//! The latest page of a server, as its exporter gave it, for who wants to see it.

use mect_fleet::collecting::LatestScrape;
use mect_fleet::{EndpointReading, ServerView};
use tokio::task::spawn_blocking;

use crate::app::App;
use crate::error::Error;

/// What the latest scrape of a server found, at its main endpoint or at the one at the URL `endpoint`; `None` when that is
/// not kept. Unpacked on a thread that may block: a page may have megabytes.
///
/// # Errors
/// The server has no such endpoint.
pub(crate) async fn scrape(
    app: &App,
    view: &ServerView,
    endpoint: Option<&str>,
) -> Result<Option<LatestScrape>, Error> {
    let further = endpoint.map(|url| further(app, view, url)).transpose()?.flatten();
    let Some(pages) = app.collecting.pages.clone() else { return Ok(None) };
    let (id, at) = (view.server.id, view.standing.last_heartbeat);
    let unpacked = spawn_blocking(move || {
        let Some(told) = further else { return pages.latest(id) };
        if let Some((at, mut page)) = pages.further_page(id, &told.url) {
            page.samples = told.samples;
            return Some(LatestScrape { at, duration_ms: told.duration_ms, outcome: Ok(page) });
        }
        match told.failure {
            Some(failure) => Some(LatestScrape { at: at?, duration_ms: told.duration_ms, outcome: Err(failure) }),
            // Once the main endpoint fails, the others are given up.
            None => pages.latest(id).filter(|latest| latest.outcome.is_err()),
        }
    });
    unpacked.await.map_err(|error| Error::Internal(Box::new(error)))
}

/// The further endpoint at `url`; `None` for the main one.
fn further(app: &App, view: &ServerView, url: &str) -> Result<Option<EndpointReading>, Error> {
    let mut told = view.standing.reading.iter().flat_map(|reading| &reading.endpoints);
    if let Some(told) = told.find(|told| *told.url == *url) {
        return Ok(Some(told.clone()));
    }
    let targets = app.collecting.targets.as_ref().map(|targets| targets.snapshot()).unwrap_or_default();
    let target = targets.active.into_iter().find(|target| target.server == view.server.id);
    match target {
        Some(target) if target.url.as_deref() == Some(url) => Ok(None),
        // It is new: nobody has asked it yet.
        Some(target) if target.further.iter().any(|known| known == url) => Err(Error::NoPage),
        _ => Err(Error::Invalid("endpoint: the server has no endpoint at this URL".to_owned())),
    }
}
