//! One scrape: connect, ask, read the page within its bounds. Knows nothing of schedules, health or what the page says.
//!
//! Every way in which a stranger's host can misbehave ends in a [`Failure`] with a closed reason, in bounded time and
//! memory: one timeout over the whole exchange, one byte budget over everything that the peer sends, one limit on the
//! decompressed page.

use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::body::Incoming;
use mect_fleet::{Failure, FailureReason};
use mect_web::Secret;
use tokio::time::timeout_at;

use crate::config;
use crate::discovery::Target;

mod body;
mod budget;
mod connection;
mod resolve;

use budget::Budget;
pub use connection::Connection;
use resolve::Resolver;

/// What we accept: the text format, 0.0.4 first.
const ACCEPTED: &str = "text/plain;version=0.0.4;q=1,text/plain;q=0.5,*/*;q=0.1";
/// Tells the exporter how long we wait.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Bounds of one scrape.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// Page bytes on the wire.
    pub wire_bytes: usize,
    /// Page bytes after decompression.
    pub page_bytes: usize,
}

impl From<&config::Scrape> for Limits {
    fn from(scrape: &config::Scrape) -> Self {
        Self { timeout: scrape.timeout(), wire_bytes: scrape.max_wire_bytes, page_bytes: scrape.max_page_bytes }
    }
}

/// A page as it came, decompressed.
#[derive(Debug)]
pub struct Page {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// When the response head arrived: the moment nearest to the exporter's own reading of its counters.
    pub answered_at: Instant,
}

/// Makes scrapes. One for all targets.
pub struct Scraper {
    limits: Limits,
    keep_connections: bool,
    headers: HeaderMap,
    credentials: Option<HeaderValue>,
    resolver: Resolver,
}

impl Scraper {
    /// A scraper with the given bounds, that shows `agent_key` to targets which may see it.
    ///
    /// # Errors
    /// The key holds characters that no HTTP header may have.
    pub fn new(
        limits: Limits,
        keep_connections: bool,
        agent_key: Option<&Secret>,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mect-collector/", env!("CARGO_PKG_VERSION"))));
        headers.insert(TIMEOUT_HEADER, HeaderValue::try_from(limits.timeout.as_secs_f64().to_string())?);
        let credentials = agent_key
            .map(|key| {
                let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()?;
        Ok(Self { limits, keep_connections, headers, credentials, resolver: Resolver::default() })
    }

    /// Scrapes `target`, over the connection in `kept` if one is there and alive, and leaves one there for the next
    /// scrape if connections are kept.
    ///
    /// # Errors
    /// Why nothing of the page can be used.
    pub async fn scrape(&self, target: &Target, kept: &mut Option<Connection>) -> Result<Page, Failure> {
        let deadline = tokio::time::Instant::now() + self.limits.timeout;
        let stage = Stage::default();
        match timeout_at(deadline, self.exchange(target, kept, &stage)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                *kept = None;
                Err(Failure::new(stage.reason(), format!("after {} s", self.limits.timeout.as_secs_f64())))
            }
        }
    }

    async fn exchange(&self, target: &Target, kept: &mut Option<Connection>, stage: &Stage) -> Result<Page, Failure> {
        if let Some(connection) = kept.take().filter(Connection::is_alive) {
            match self.ask(target, connection, kept, stage).await {
                // Looks like an exporter's idle timeout, which is no fault; a fresh connection will tell.
                Err(lost) if lost.before_first_byte => {}
                asked => return asked.map_err(|lost| lost.failure),
            }
        }
        stage.enter(FailureReason::Dns);
        let addresses = self.resolver.resolve(&target.endpoint).await?;
        stage.enter(FailureReason::ConnTimeout);
        let connection = Connection::open(&addresses).await?;
        self.ask(target, connection, kept, stage).await.map_err(|lost| lost.failure)
    }

    /// Asks over `connection`, and leaves it in `kept` for the next scrape.
    async fn ask(
        &self,
        target: &Target,
        connection: Connection,
        kept: &mut Option<Connection>,
        stage: &Stage,
    ) -> Result<Page, connection::Lost> {
        stage.enter(FailureReason::HeadTimeout);
        let request = self.request(target, connection.is_loopback());
        let budget = Budget::new(self.limits.wire_bytes);
        let read = async |response: http::Response<Incoming>| {
            let answered_at = Instant::now();
            stage.enter(FailureReason::TotalTimeout);
            let (head, body) = response.into_parts();
            judge_head(head.status, &head.headers)?;
            let bytes = body::read(&head.headers, body, &self.limits, &budget).await?;
            Ok(Page { bytes, answered_at })
        };
        let (page, connection) = connection.exchange(request, &budget, read).await?;
        *kept = connection.filter(|_| self.keep_connections);
        Ok(page)
    }

    fn request(&self, target: &Target, is_loopback: bool) -> http::Request<connection::NoBody> {
        let mut request = http::Request::new(connection::NoBody::new());
        // An endpoint's path holds visible ASCII only, which every URI may; `/` stands in where it says otherwise.
        *request.uri_mut() = target.endpoint.path().parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        if let Ok(host) = HeaderValue::try_from(target.endpoint.authority()) {
            request.headers_mut().insert(HOST, host);
        }
        // Loopback never leaves the machine; anywhere else a key in the clear is the operator's decision.
        if let Some(credentials) = &self.credentials
            && (is_loopback || target.insecure_credentials)
        {
            request.headers_mut().insert(AUTHORIZATION, credentials.clone());
        }
        request
    }
}

/// What a timeout at this moment would mean.
struct Stage(std::sync::atomic::AtomicU8);

impl Default for Stage {
    fn default() -> Self {
        Self(FailureReason::ConnTimeout.code().into())
    }
}

impl Stage {
    fn enter(&self, reason: FailureReason) {
        self.0.store(reason.code(), std::sync::atomic::Ordering::Relaxed);
    }

    fn reason(&self) -> FailureReason {
        let code = self.0.load(std::sync::atomic::Ordering::Relaxed);
        FailureReason::from_code(code).unwrap_or(FailureReason::TotalTimeout)
    }
}

fn judge_head(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    let saw = || format!("HTTP {}", status.as_u16());
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::new(FailureReason::Auth, saw())),
        status if status.is_redirection() => return Err(Failure::new(FailureReason::Redirect, saw())),
        _ => return Err(Failure::new(FailureReason::Status, saw())),
    }
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(b"text/plain") {
        return Ok(());
    }
    let saw = if media_type.is_empty() {
        "no content type".to_owned()
    } else {
        format!("content type {}", String::from_utf8_lossy(media_type).escape_debug())
    };
    Err(Failure::new(FailureReason::ContentType, saw))
}

#[cfg(test)]
mod tests;
