//! The exporter's page as it was scraped last, or that of a further endpoint: `GET /servers/{id}/exposition`; and scraped when somebody wants it:
//! `POST /servers/{id}/scrape`.
//!
//! Only the collector that scrapes a server has its page, and can have it scraped.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::collecting::{LatestScrape, NotScraped};
use mect_fleet::{Role, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::latest;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, format, page};
use crate::rest::v1::servers::server_id;

/// Lines shown: more than an exporter has.
const MAX_LINES: usize = 5000;
/// Bytes shown of a longer page: several pages of the largest host.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExpositionQuery {
    /// Words that must all occur in a line.
    q: String,
    /// URL of a further endpoint; the main one's page is shown without.
    endpoint: String,
}

/// What the scrape found.
struct Shown {
    at: Moment,
    duration: String,
    failure: Option<String>,
    samples: String,
    bytes: String,
    is_cut: bool,
    /// The page, or the lines that were searched for.
    text: String,
    /// Lines in it, and on the whole page.
    found: usize,
    lines: usize,
}

#[derive(Template)]
#[template(path = "exposition.html")]
struct ExpositionPage {
    who: Option<Who>,
    may_scrape: bool,
    id: String,
    hostname: String,
    /// Why there was no scrape.
    problem: Option<String>,
    shown: Option<Shown>,
    q: String,
    endpoint: String,
}

impl Shown {
    fn of(scraped: &LatestScrape, q: &str, now: Timestamp) -> Self {
        let words: Vec<String> = q.split_whitespace().map(str::to_ascii_lowercase).collect();
        let is_wanted = |line: &&str| {
            let line = line.to_ascii_lowercase();
            words.iter().all(|word| line.contains(word))
        };
        let page = scraped.outcome.as_ref().ok();
        let whole = page.map_or("", |page| page.text.as_str());
        let shown = beginning(whole);
        let lines = shown.lines().count();
        let mut text = String::new();
        let mut found = 0;
        for line in shown.lines().filter(is_wanted).take(MAX_LINES) {
            found += 1;
            text.push_str(line);
            text.push('\n');
        }
        Self {
            at: Moment::new(scraped.at, now),
            duration: format::milliseconds(f64::from(scraped.duration_ms)),
            failure: scraped.outcome.as_ref().err().map(ToString::to_string),
            samples: format::count(page.map_or(0, |page| page.samples)),
            bytes: format::count(whole.len() as u64),
            is_cut: shown.len() < whole.len() || found == MAX_LINES,
            text,
            found,
            lines,
        }
    }
}

/// As many whole lines of a page as are shown.
fn beginning(page: &str) -> &str {
    let Some(start) = page.as_bytes().get(..MAX_TEXT_BYTES) else { return page };
    let end = start.iter().rposition(|byte| *byte == b'\n').map_or(0, |line_feed| line_feed + 1);
    page.get(..end).unwrap_or_default()
}

/// `GET /servers/{id}/exposition`: what the latest scrape found.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ExpositionQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let (id, Query(query)) = (server_id(id)?, query?);
    let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
    let endpoint = Some(query.endpoint.as_str()).filter(|url| !url.is_empty());
    let scraped = match latest::scrape(&app, &view, endpoint).await {
        Err(Error::NoPage) => None,
        found => found?,
    };
    let template = ExpositionPage {
        who: Some(Who::on(Section::Elsewhere, &identity)),
        may_scrape: identity.may(Role::Admin) && app.collecting.scrapes.is_some(),
        id: id.to_string(),
        hostname: view.server.hostname.clone(),
        problem: None,
        shown: scraped.map(|scraped| Shown::of(&scraped, &query.q, Timestamp::now())),
        q: query.q,
        endpoint: query.endpoint,
    };
    page(StatusCode::OK, &template)
}

/// `POST /servers/{id}/scrape`: scrapes the server now, and shows what came of it.
pub(crate) async fn scrape(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
    let scrapes = app.collecting.scrapes.as_ref().ok_or(Error::NotFound)?;
    let refusal = match scrapes.scrape_now(id).await {
        Ok(()) => return Ok(Redirect::to(&format!("/servers/{id}/exposition")).into_response()),
        Err(refusal) => refusal,
    };
    let status = match refusal {
        NotScraped::NotHere | NotScraped::Pushed | NotScraped::Gone => StatusCode::CONFLICT,
        NotScraped::TooLong => StatusCode::GATEWAY_TIMEOUT,
        NotScraped::Busy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let template = ExpositionPage {
        who: Some(Who::on(Section::Elsewhere, &identity)),
        may_scrape: true,
        id: id.to_string(),
        hostname: view.server.hostname.clone(),
        problem: Some(refusal.to_string()),
        shown: None,
        q: String::new(),
        endpoint: String::new(),
    };
    page(status, &template)
}

#[cfg(test)]
mod tests {
    use mect_fleet::collecting::ServerPage;

    use super::*;

    fn scraped(text: String) -> LatestScrape {
        let page = ServerPage { samples: 2, is_openmetrics: false, text };
        LatestScrape { at: Timestamp::from_secs(1), duration_ms: 12, outcome: Ok(page) }
    }

    #[test]
    fn lines_are_found_by_all_words_in_any_case() {
        let scraped = scraped("# HELP node_load1 1m load\nnode_load1 0.5\nnode_load5 0.25\n".to_owned());
        let shown = |q: &str| Shown::of(&scraped, q, Timestamp::from_secs(2));
        assert_eq!((shown("").found, shown("").lines, shown("").is_cut), (3, 3, false));
        assert_eq!(shown("NODE_load 0.").text, "node_load1 0.5\nnode_load5 0.25\n");
        assert_eq!((shown("nothing").found, shown("nothing").text.as_str()), (0, ""));
    }

    #[test]
    fn a_long_page_is_cut_at_a_line() {
        let scraped = scraped("node_load1{who=\"é\"} 0.12345678901234567890\n".repeat(MAX_TEXT_BYTES / 40));
        let shown = Shown::of(&scraped, "", Timestamp::from_secs(2));
        assert!(shown.is_cut && shown.text.len() <= MAX_TEXT_BYTES && shown.text.ends_with("90\n"));
        assert!(shown.text.len() > MAX_TEXT_BYTES - 100 || shown.found == MAX_LINES);
    }
}
