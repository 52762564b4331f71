//! One scrape: connect, ask, read the page within its bounds. Knows nothing of schedules, health or what the page says.
//!
//! Every way in which a stranger's host can misbehave ends in a [`Failure`] with a closed reason, in bounded time and
//! memory: one timeout over the whole exchange, one byte budget over everything that the peer sends, one limit on the
//! decompressed page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::body::Incoming;
use mect_fleet::{Endpoint, Failure, FailureReason, ScrapeTarget, TargetPolicy, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::timeout_at;

use crate::config;
use crate::parse::Format;

mod access;
mod body;
mod budget;
mod connection;
mod content_type;
mod fetch;
mod framing;
mod pin;
mod post;
mod resolve;
mod socket;

use access::Access;
pub use access::Accesses;
use budget::Budget;
pub use connection::Connection;
pub use fetch::Fetcher;
pub use post::{Answer, Destination, Poster};
use resolve::Resolver;

/// What we accept: the formats of Prometheus' own header. The text format comes first: every exporter speaks it, it is
/// read faster, and we keep nothing of what only OpenMetrics says.
const ACCEPTED: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.8,\
                        application/openmetrics-text;version=0.0.1;q=0.7,text/plain;q=0.5,*/*;q=0.1";
/// Whom servers see asking.
const NAME: &str = concat!("mect-collector/", env!("CARGO_PKG_VERSION"));
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
    /// What they are in.
    pub format: Format,
    /// Bytes of the body as they came, perhaps compressed.
    pub wire_bytes: usize,
    /// The body as it came, if that was a gzip stream.
    pub gzip: Option<Vec<u8>>,
    /// When there was a connection to ask on.
    pub connected_at: Instant,
    /// When the response head arrived: the moment nearest to the exporter's own reading of its counters.
    pub answered_at: Instant,
    /// The content type, as it came.
    pub content_type: Option<HeaderValue>,
    /// The host's date, as it came.
    pub date: Option<HeaderValue>,
}

impl Page {
    /// The time on the host that made it, by its `Date`; ours if it does not say.
    pub fn clock(&self) -> Timestamp {
        let said = self.date.as_ref().and_then(|date| date.to_str().ok()).and_then(instant);
        said.unwrap_or_else(Timestamp::now)
    }
}

/// The instant of an HTTP date.
pub(crate) fn instant(date: &str) -> Option<Timestamp> {
    OffsetDateTime::parse(date, &Rfc2822).ok().map(|at| Timestamp::from_secs(at.unix_timestamp()))
}

/// Makes scrapes. One for all targets.
pub struct Scraper {
    limits: Limits,
    keep_connections: bool,
    headers: HeaderMap,
    accesses: Arc<Accesses>,
    policy: Arc<TargetPolicy>,
    resolver: Resolver,
}

impl Scraper {
    /// A scraper with the given bounds, that reaches targets by `accesses` where `policy` allows it.
    pub fn new(limits: Limits, keep_connections: bool, accesses: Arc<Accesses>, policy: Arc<TargetPolicy>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        // A number is always a header.
        if let Ok(timeout) = HeaderValue::try_from(limits.timeout.as_secs_f64().to_string()) {
            headers.insert(TIMEOUT_HEADER, timeout);
        }
        Self { limits, keep_connections, headers, accesses, policy, resolver: Resolver::default() }
    }

    /// What a scrape may take.
    pub fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// Scrapes `target`, over the connection in `kept` if one is there and alive, and leaves one there for the next
    /// scrape if connections are kept. A page that does not say its format is in the `fallback`.
    ///
    /// # Errors
    /// Why nothing of the page can be used.
    pub async fn scrape(
        &self,
        target: &ScrapeTarget,
        fallback: Option<Format>,
        kept: &mut Option<Connection>,
    ) -> Result<Page, Failure> {
        let deadline = tokio::time::Instant::now() + self.limits.timeout;
        let stage = Stage::default();
        match timeout_at(deadline, self.exchange(target, fallback, kept, deadline, &stage)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                *kept = None;
                Err(Failure::new(stage.reason(), format!("after {} s", self.limits.timeout.as_secs_f64())))
            }
        }
    }

    async fn exchange(
        &self,
        target: &ScrapeTarget,
        fallback: Option<Format>,
        kept: &mut Option<Connection>,
        deadline: tokio::time::Instant,
        stage: &Stage,
    ) -> Result<Page, Failure> {
        let asked = Asked { target, fallback, access: self.accesses.find(target.access.as_deref())? };
        if let Some(connection) = kept.take().filter(|kept| kept.is_by(&asked.access) && kept.is_alive()) {
            match self.ask(&asked, connection, kept, stage).await {
                // Looks like an exporter's idle timeout, which is no fault; a fresh connection will tell.
                Err(lost) if lost.before_first_byte => {}
                asked => return asked.map_err(|lost| lost.failure),
            }
        }
        let way = Way { resolver: &self.resolver, policy: &self.policy, access: &asked.access };
        let connection = way.connect(&target.endpoint, self.limits.timeout, deadline, stage).await?;
        self.ask(&asked, connection, kept, stage).await.map_err(|lost| lost.failure)
    }

    /// Asks over `connection`, and leaves it in `kept` for the next scrape.
    async fn ask(
        &self,
        asked: &Asked<'_>,
        connection: Connection,
        kept: &mut Option<Connection>,
        stage: &Stage,
    ) -> Result<Page, connection::Lost> {
        stage.enter(FailureReason::HeadTimeout);
        let connected_at = Instant::now();
        let request = self.request(asked.target, &asked.access, connection.is_private());
        let budget = Budget::new(self.limits.wire_bytes);
        let read = async |response: http::Response<Incoming>| {
            let answered_at = Instant::now();
            stage.enter(FailureReason::TotalTimeout);
            let (head, body) = response.into_parts();
            judge_status(head.status)?;
            framing::judge(&head.headers)?;
            let format = content_type::judge(&head.headers, asked.fallback)?;
            let body::Fetched { bytes, wire_bytes, gzip } =
                body::read(&head.headers, body, &self.limits, &budget).await?;
            let header = |name| head.headers.get(name).cloned();
            let (content_type, date) = (header(CONTENT_TYPE), header(DATE));
            Ok(Page { bytes, format, wire_bytes, gzip, connected_at, answered_at, content_type, date })
        };
        let (page, connection) = connection.exchange(request, &budget, read).await?;
        *kept = connection.filter(|_| self.keep_connections).map(Connection::stay_alive);
        Ok(page)
    }

    fn request(&self, target: &ScrapeTarget, access: &Access, is_private: bool) -> http::Request<connection::NoBody> {
        let mut request = http::Request::new(connection::NoBody::new());
        // An endpoint's path holds visible ASCII only, which every URI may; `/` stands in where it says otherwise.
        *request.uri_mut() = target.endpoint.path().parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        if let Ok(host) = HeaderValue::try_from(target.endpoint.authority()) {
            request.headers_mut().insert(HOST, host);
        }
        // A key in the clear is the operator's decision.
        if let Some((name, value)) = &access.credentials
            && (is_private || target.insecure_credentials)
        {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        request
    }
}

/// What a connection is made with.
struct Way<'a> {
    resolver: &'a Resolver,
    policy: &'a TargetPolicy,
    access: &'a Arc<Access>,
}

impl Way<'_> {
    /// Connects to `endpoint`, for an exchange that may take `timeout` in all and ends at `deadline`.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        deadline: tokio::time::Instant,
        stage: &Stage,
    ) -> Result<Connection, Failure> {
        stage.enter(FailureReason::Dns);
        let addresses = self.resolver.resolve(endpoint, timeout).await?;
        stage.enter(FailureReason::ConnTimeout);
        let connection = Connection::open(&addresses, self.policy, deadline).await?.by(self.access);
        if !endpoint.is_tls() {
            return Ok(connection);
        }
        stage.enter(FailureReason::Tls);
        connection.secured(self.access, endpoint.host()).await
    }
}

/// What is asked for.
struct Asked<'a> {
    target: &'a ScrapeTarget,
    /// What its page is in if it does not say so.
    fallback: Option<Format>,
    access: Arc<Access>,
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

fn judge_status(status: StatusCode) -> Result<(), Failure> {
    let reason = match status {
        StatusCode::OK => return Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailureReason::Auth,
        // An answer to a condition that we never set leads nowhere else.
        StatusCode::NOT_MODIFIED => FailureReason::Status,
        status if status.is_redirection() => FailureReason::Redirect,
        _ => FailureReason::Status,
    };
    Err(Failure::new(reason, format!("HTTP {}", status.as_u16())))
}

#[cfg(test)]
mod tests;
