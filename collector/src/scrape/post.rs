//! Sends bytes in the way in which targets are reached: the same resolver, TLS and credentials, a bound on time, and no
//! redirects. Knows nothing of what the bytes say, nor of what an answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use mect_fleet::{Endpoint, Failure, FailureReason, TargetPolicy};
use tokio::time::{Instant, timeout_at};

use super::access::Access;
use super::budget::Budget;
use super::connection::Lost;
use super::fetch::host;
use super::resolve::Resolver;
use super::{Accesses, Connection, NAME, Stage, Way};

/// So much of an answer is read: enough for a sentence that says what is wrong.
const MAX_ANSWER_BYTES: usize = 4 * 1024;
/// So much may come in all: heads, interim answers, and what is read ahead.
const MAX_WIRE_BYTES: usize = 64 * 1024;

/// Where something is sent.
pub struct Destination {
    /// Host, port and path.
    pub endpoint: Endpoint,
    /// The access by which it is reached; without one nothing is shown.
    pub access: Option<String>,
    /// Credentials may travel unencrypted to it.
    pub insecure_credentials: bool,
    /// Bound of one exchange, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// There were credentials for this receiver, which were not shown to it.
    pub is_withheld: bool,
}

/// Sends to one receiver, one request at a time, over a connection that is kept.
pub struct Poster {
    to: Destination,
    accesses: Arc<Accesses>,
    policy: TargetPolicy,
    resolver: Resolver,
    kept: Option<Connection>,
}

impl Poster {
    /// Connects to nobody yet.
    pub fn new(mut to: Destination, accesses: Arc<Accesses>) -> Self {
        to.headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        // A checked host is always a header.
        if let Ok(host) = HeaderValue::try_from(host(&to.endpoint)) {
            to.headers.insert(HOST, host);
        }
        let (policy, resolver) = (TargetPolicy::for_operators(), Resolver::default());
        Self { to, accesses, policy, resolver, kept: None }
    }

    /// Sends `body` with `headers` beside the usual ones.
    ///
    /// # Errors
    /// There was no answer. Whether anything arrived is not known.
    pub async fn post(&mut self, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let (deadline, stage) = (Instant::now() + self.to.timeout, Stage::default());
        let kept = self.kept.take();
        let exchanged = timeout_at(deadline, self.exchange(kept, headers, body, deadline, &stage)).await;
        match exchanged {
            Ok(Ok((answer, kept))) => {
                self.kept = kept;
                Ok(answer)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_elapsed) => Err(Failure::new(stage.reason(), format!("after {} s", self.to.timeout.as_secs_f64()))),
        }
    }

    async fn exchange(
        &self,
        kept: Option<Connection>,
        headers: &HeaderMap,
        body: Bytes,
        deadline: Instant,
        stage: &Stage,
    ) -> Result<(Answer, Option<Connection>), Failure> {
        let access = self.accesses.find(self.to.access.as_deref())?;
        if let Some(connection) = kept.filter(|kept| kept.is_by(&access) && kept.is_alive()) {
            match self.ask(&access, connection, headers, body.clone(), stage).await {
                // Looks like the receiver's idle timeout, which is no fault; a fresh connection will tell.
                Err(lost) if lost.before_first_byte => {}
                asked => return asked.map_err(|lost| lost.failure),
            }
        }
        let way = Way { resolver: &self.resolver, policy: &self.policy, access: &access };
        let connection = way.connect(&self.to.endpoint, self.to.timeout, deadline, stage).await?;
        self.ask(&access, connection, headers, body, stage).await.map_err(|lost| lost.failure)
    }

    async fn ask(
        &self,
        access: &Access,
        connection: Connection,
        headers: &HeaderMap,
        body: Bytes,
        stage: &Stage,
    ) -> Result<(Answer, Option<Connection>), Lost> {
        stage.enter(FailureReason::HeadTimeout);
        let (request, is_withheld) = self.request(access, &connection, headers, body);
        let budget = Budget::new(MAX_WIRE_BYTES);
        let read = async |response: http::Response<Incoming>| {
            stage.enter(FailureReason::TotalTimeout);
            let (head, body) = response.into_parts();
            let (body, is_whole) = beginning(body).await;
            Ok::<_, Failure>((Answer { status: head.status, headers: head.headers, body, is_withheld }, is_whole))
        };
        let ((answer, is_whole), connection) = connection.exchange(request, &budget, read).await?;
        Ok((answer, connection.filter(|_| is_whole).map(Connection::stay_alive)))
    }

    /// The request, and whether credentials are left out of it.
    fn request(
        &self,
        access: &Access,
        connection: &Connection,
        headers: &HeaderMap,
        body: Bytes,
    ) -> (http::Request<Full<Bytes>>, bool) {
        let length = body.len();
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        // An endpoint's path holds visible ASCII only, which every URI may; `/` stands in where it says otherwise.
        *request.uri_mut() = self.to.endpoint.path().parse().unwrap_or_default();
        request.headers_mut().extend(self.to.headers.clone());
        request.headers_mut().extend(headers.clone());
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        let Some((name, value)) = access.credentials.as_ref().filter(|_| self.to.access.is_some()) else {
            return (request, false);
        };
        let is_shown = connection.is_private() || self.to.insecure_credentials;
        if is_shown {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        (request, !is_shown)
    }
}

/// The beginning of a body, and whether that is all of it. The head alone says what came of the request, so that a body
/// which breaks off is none that matters.
async fn beginning(mut body: Incoming) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (bytes, false) };
        let Some(data) = frame.data_ref() else { continue };
        let room = MAX_ANSWER_BYTES - bytes.len();
        bytes.extend_from_slice(data.get(..room).unwrap_or(data));
        if data.len() > room {
            return (bytes, false);
        }
    }
    (bytes, true)
}
