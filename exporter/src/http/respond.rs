//! Requests to responses.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::Mutex;

use super::{auth, negotiate};
use crate::collect::{Collector, ITSELF};
use crate::config::Token;
use crate::exposition::{Exposition, Format, to_open_metrics};
use crate::log;

/// Most variants of a page kept: formats, plain and compressed, in parts. Who asks for more pays each time.
const MAX_VARIANTS: usize = 8;

const PLAIN: &str = "text/plain; charset=utf-8";

const LANDING: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>mect-exporter</title>\n\
    <h1>mect-exporter</h1>\n<p>Prometheus exporter of Mect VPN Monitor.</p>\n\
    <ul>\n<li><a href=\"/metrics\">Metrics</a></li>\n<li><a href=\"/healthz\">Health</a></li>\n</ul>\n</html>\n";

/// Answers requests.
#[derive(Debug)]
pub struct Responder {
    token: Option<Token>,
    page_lifetime: Duration,
    /// The lock is what makes it one collection at a time; whoever waits for it finds a fresh page.
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    collector: Collector,
    latest: Option<Latest>,
}

#[derive(Debug)]
struct Latest {
    made: Instant,
    page: Exposition,
    /// What was made of it.
    variants: BTreeMap<Variant, Bytes>,
}

/// What a scraper wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Variant {
    format: Format,
    gzip: bool,
    /// Samplers; empty means all.
    wanted: Vec<&'static str>,
}

impl Responder {
    /// Answers with pages of `collector`, to everyone or to whoever knows the token. A page is given again
    /// for `page_lifetime`.
    pub fn new(collector: Collector, token: Option<Token>, page_lifetime: Duration) -> Self {
        Self { token, page_lifetime, pages: Mutex::new(Pages { collector, latest: None }) }
    }

    /// Answers one request. Its body, if any, is never read.
    pub async fn respond(&self, request: &Parts) -> Response<Full<Bytes>> {
        let path = request.uri.path();
        if !matches!(path, "/" | "/healthz" | "/metrics") {
            return short(StatusCode::NOT_FOUND, PLAIN, "not found\n");
        }
        // hyper itself leaves the body out of an answer to HEAD.
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = short(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "method not allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/" => short(StatusCode::OK, "text/html; charset=utf-8", LANDING),
            "/healthz" => short(StatusCode::OK, PLAIN, "ok\n"),
            _ if auth::is_allowed(&request.headers, self.token.as_ref()) => self.metrics(request).await,
            _ => {
                let mut response = short(StatusCode::UNAUTHORIZED, PLAIN, "unauthorized\n");
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
        }
    }

    async fn metrics(&self, request: &Parts) -> Response<Full<Bytes>> {
        let wanted = match negotiate::wanted(request.uri.query()) {
            Ok(wanted) => wanted,
            Err(error) => return short(StatusCode::BAD_REQUEST, PLAIN, format!("{error}\n")),
        };
        let format = negotiate::format(&request.headers);
        let gzip = negotiate::accepts_gzip(&request.headers);
        let body = self.page(Variant { format, gzip, wanted }, negotiate::budget(&request.headers)).await;
        let mut response = response(StatusCode::OK, format.content_type(), body);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn page(&self, variant: Variant, budget: Duration) -> Bytes {
        let mut pages = self.pages.lock().await;
        let Pages { collector, latest } = &mut *pages;
        let latest = match latest {
            Some(latest) if latest.made.elapsed() < self.page_lifetime => latest,
            stale => {
                let collected = collector.collect(budget).await;
                collected.notices.iter().for_each(log::line);
                stale.insert(Latest { made: Instant::now(), page: collected.page, variants: BTreeMap::new() })
            }
        };
        if let Some(body) = latest.variants.get(&variant) {
            return body.clone();
        }
        let body = variant.make(&latest.page);
        if latest.variants.len() < MAX_VARIANTS {
            latest.variants.insert(variant, body.clone());
        }
        body
    }
}

impl Variant {
    fn make(&self, page: &Exposition) -> Bytes {
        let selected = if self.wanted.is_empty() {
            page.text().to_owned()
        } else {
            page.select(|part| part == ITSELF || self.wanted.contains(&part))
        };
        let text = match self.format {
            Format::Text => selected,
            Format::OpenMetrics => to_open_metrics(&selected),
        };
        if self.gzip { compress(text.as_bytes()).into() } else { text.into() }
    }
}

/// The fastest level: a page shrinks to a sixth already, and more effort would cost more than collecting it.
fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// An answer that ends the connection: only a scraper with a right to metrics may hold one open.
fn short(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = response(status, content_type, body.into());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
