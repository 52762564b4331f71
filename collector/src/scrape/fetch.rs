//! Fetches a JSON document in the way in which targets are reached: the same resolver, TLS and credentials, the same
//! bounds on time and bytes, and no redirects. Knows nothing of what the document says.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::body::Incoming;
use mect_fleet::{Endpoint, Failure, FailureReason, ScrapeTarget, TargetPolicy};
use tokio::time::{Instant, timeout_at};

use super::access::Access;
use super::budget::Budget;
use super::resolve::Resolver;
use super::{Accesses, Connection, Limits, NAME, Stage, Way, body, connection, framing, judge_status};

/// Tells the server how often we ask, as Prometheus does.
const REFRESH_HEADER: &str = "x-prometheus-refresh-interval-seconds";
const JSON: &str = "application/json";
/// Ports that a `Host` header leaves out (RFC 9110, section 7.2), plain and over TLS.
const USUAL_PORTS: (u16, u16) = (80, 443);

/// Fetches one document again and again.
pub struct Fetcher {
    source: ScrapeTarget,
    limits: Limits,
    headers: HeaderMap,
    accesses: Arc<Accesses>,
    policy: TargetPolicy,
    resolver: Resolver,
}

impl Fetcher {
    /// A fetcher of `source` with the given bounds, which asks every `refresh`. Credentials are shown only where the source
    /// names an access: the agent key is for exporters.
    pub fn new(source: ScrapeTarget, limits: Limits, refresh: Duration, accesses: Arc<Accesses>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        // Numbers and checked hosts are always headers.
        if let Ok(refresh) = HeaderValue::try_from(refresh.as_secs_f64().to_string()) {
            headers.insert(REFRESH_HEADER, refresh);
        }
        if let Ok(host) = HeaderValue::try_from(host(&source.endpoint)) {
            headers.insert(HOST, host);
        }
        let (policy, resolver) = (TargetPolicy::for_operators(), Resolver::default());
        Self { source, limits, headers, accesses, policy, resolver }
    }

    /// Fetches the document once; decompressed.
    ///
    /// # Errors
    /// Why nothing of it can be used.
    pub async fn fetch(&self) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + self.limits.timeout;
        let stage = Stage::default();
        match timeout_at(deadline, self.exchange(deadline, &stage)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                Err(Failure::new(stage.reason(), format!("after {} s", self.limits.timeout.as_secs_f64())))
            }
        }
    }

    async fn exchange(&self, deadline: Instant, stage: &Stage) -> Result<Vec<u8>, Failure> {
        let access = self.accesses.find(self.source.access.as_deref())?;
        let way = Way { resolver: &self.resolver, policy: &self.policy, access: &access };
        let connection = way.connect(&self.source.endpoint, self.limits.timeout, deadline, stage).await?;
        stage.enter(FailureReason::HeadTimeout);
        let request = self.request(&access, &connection);
        let is_withheld = self.source.access.is_some()
            && access.credentials.as_ref().is_some_and(|(name, _)| !request.headers().contains_key(name));
        let budget = Budget::new(self.limits.wire_bytes);
        let read = async |response: http::Response<Incoming>| {
            stage.enter(FailureReason::TotalTimeout);
            let (head, body) = response.into_parts();
            judge_status(head.status)?;
            framing::judge(&head.headers)?;
            judge_type(&head.headers)?;
            body::read(&head.headers, body, &self.limits, &budget).await
        };
        match connection.exchange(request, &budget, read).await {
            Ok((fetched, _)) => Ok(fetched.bytes),
            Err(lost) if lost.failure.reason == FailureReason::Auth && is_withheld => {
                let hint = "credentials are not shown over plain http, see `insecure_credentials`";
                Err(Failure::new(FailureReason::Auth, format!("{}; {hint}", lost.failure.detail)))
            }
            Err(lost) => Err(lost.failure),
        }
    }

    fn request(&self, access: &Access, connection: &Connection) -> http::Request<connection::NoBody> {
        let mut request = http::Request::new(connection::NoBody::new());
        // An endpoint's path holds visible ASCII only, which every URI may; `/` stands in where it says otherwise.
        *request.uri_mut() = self.source.endpoint.path().parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        if let Some((name, value)) = access.credentials.as_ref().filter(|_| self.source.access.is_some())
            && (connection.is_private() || self.source.insecure_credentials)
        {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        request
    }
}

/// The `Host` header for an endpoint.
pub(super) fn host(endpoint: &Endpoint) -> String {
    let usual = if endpoint.is_tls() { USUAL_PORTS.1 } else { USUAL_PORTS.0 };
    let authority = endpoint.authority();
    let host = authority.rsplit_once(':').filter(|_| endpoint.port() == usual).map(|(host, _)| host.to_owned());
    host.unwrap_or(authority)
}

/// Only JSON in UTF-8 is a list, and only if it says so, as Prometheus has it: a sign-in page with status 200 is none.
fn judge_type(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(Failure::new(FailureReason::ContentType, "no content type"));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(JSON));
    let is_utf8 = parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(Failure::new(FailureReason::ContentType, format!("content type {}", text.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_is_as_browsers_send_it() {
        for (url, sent) in [
            ("https://a:443/x", "a"),
            ("http://a:80/x", "a"),
            ("http://a:443/x", "a:443"),
            ("http://[2001:db8::1]:80/", "[2001:db8::1]"),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(host(&url.parse().unwrap()), sent);
        }
    }

    #[test]
    fn a_list_says_that_it_is_json() {
        let judge = |kind: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
            judge_type(&headers).is_ok()
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert!(judge(good), "{good}");
        }
        for bad in ["text/html", "text/json", "application/json; charset=latin1", "application/jsonl", ""] {
            assert!(!judge(bad), "{bad}");
        }
        assert!(judge_type(&HeaderMap::new()).is_err());
    }
}
