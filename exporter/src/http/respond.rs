//! Requests to responses.

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::Mutex;

use super::auth;
use crate::collect::Collector;
use crate::config::Token;
use crate::{log, page};

/// How long a page is served again. Two scrapers at the same moment cost one collection, and nobody
/// can make the host work harder than once a second.
const PAGE_LIFETIME: Duration = Duration::from_secs(1);

const PLAIN: &str = "text/plain; charset=utf-8";

const LANDING: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>mect-exporter</title>\n\
    <h1>mect-exporter</h1>\n<p>Prometheus exporter of Mect VPN Monitor.</p>\n\
    <ul>\n<li><a href=\"/metrics\">Metrics</a></li>\n<li><a href=\"/healthz\">Health</a></li>\n</ul>\n</html>\n";

/// Answers requests.
#[derive(Debug)]
pub struct Responder {
    token: Option<Token>,
    /// The lock is what makes it one collection at a time; whoever waits for it finds a fresh page.
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    collector: Collector,
    latest: Option<(Instant, Bytes)>,
}

impl Responder {
    /// Answers with pages of `collector`, to everyone or to whoever knows the token.
    pub fn new(collector: Collector, token: Option<Token>) -> Self {
        Self { token, pages: Mutex::new(Pages { collector, latest: None }) }
    }

    /// Answers one request. Its body, if any, is never read.
    pub async fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if !matches!(path, "/" | "/healthz" | "/metrics") {
            return short(StatusCode::NOT_FOUND, PLAIN, "not found\n");
        }
        // hyper itself leaves the body out of an answer to HEAD.
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = short(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "method not allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/" => short(StatusCode::OK, "text/html; charset=utf-8", LANDING),
            "/healthz" => short(StatusCode::OK, PLAIN, "ok\n"),
            _ if auth::is_allowed(headers, self.token.as_ref()) => {
                response(StatusCode::OK, page::CONTENT_TYPE, self.page().await)
            }
            _ => {
                let mut response = short(StatusCode::UNAUTHORIZED, PLAIN, "unauthorized\n");
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
        }
    }

    async fn page(&self) -> Bytes {
        let mut pages = self.pages.lock().await;
        if let Some((made, page)) = &pages.latest
            && made.elapsed() < PAGE_LIFETIME
        {
            return page.clone();
        }
        let collected = pages.collector.collect().await;
        collected.notices.iter().for_each(log::line);
        let page = Bytes::from(collected.page);
        pages.latest = Some((Instant::now(), page.clone()));
        page
    }
}

/// An answer that ends the connection: only a scraper with a right to metrics may hold one open.
fn short(status: StatusCode, content_type: &'static str, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = response(status, content_type, Bytes::from_static(body.as_bytes()));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
