//! One HTTP/1.1 connection to one exporter, on hyper.
//!
//! A scraper has at most one request in flight per target, so a pool would add nothing; owning the connection gives
//! each failure its reason and lets the next scrape of the same target take it up again.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mect_fleet::{Failure, FailureReason};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::budget::{Budget, Metered};

/// Bytes of a response head; also the largest piece of body that is read at once.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Headers of a response. An exporter sends about five.
const MAX_HEADERS: usize = 64;

/// The body of a scrape's request.
pub(super) type NoBody = http_body_util::Empty<Bytes>;

/// A connection to an exporter.
pub struct Connection {
    sender: SendRequest<NoBody>,
    peer: SocketAddr,
    budget: Budget,
    driver: AbortHandle,
}

impl Drop for Connection {
    /// Closes the socket at once, also in the middle of a hostile answer.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A request that got no response.
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// The peer had said nothing yet.
    pub(super) before_first_byte: bool,
}

impl Connection {
    /// Connects to the first of `addresses` that answers.
    pub(super) async fn open(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let mut failure = Failure::new(FailureReason::Dns, "no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(socket) => return Self::start(socket, *address).await,
                Err(error) => failure = connect_failure(&error),
            }
        }
        Err(failure)
    }

    async fn start(socket: TcpStream, peer: SocketAddr) -> Result<Self, Failure> {
        // Only a latency hint: a socket without it works as well.
        let _ = socket.set_nodelay(true);
        let budget = Budget::default();
        let io = TokioIo::new(Metered { socket, budget: budget.clone() });
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(io)
            .await
            .map_err(|error| response_failure(&error, &budget))?;
        // Its errors reach the request or the body that waits for it.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, peer, budget, driver })
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.peer.ip().is_loopback()
    }

    /// True while the peer has not closed it.
    pub(super) fn is_alive(&self) -> bool {
        !self.sender.is_closed()
    }

    /// True when a response with this head leaves the connection open.
    pub(super) fn is_reusable(&self, head: &http::response::Parts) -> bool {
        head.version == http::Version::HTTP_11 && self.is_alive()
    }

    /// Ends a scrape: until the next one the peer has nothing to say.
    pub(super) fn settle(&mut self) {
        self.budget.refill(0);
    }

    pub(super) async fn send(&mut self, request: http::Request<NoBody>) -> Result<http::Response<Incoming>, Lost> {
        let sent = match self.sender.ready().await {
            Ok(()) => self.sender.send_request(request).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| Lost {
            failure: response_failure(&error, &self.budget),
            before_first_byte: !self.budget.any_read(),
        })
    }
}

/// Names the fault of a connection attempt.
fn connect_failure(error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let reason = match error.kind() {
        Kind::ConnectionRefused => FailureReason::ConnRefused,
        Kind::TimedOut => FailureReason::ConnTimeout,
        Kind::ConnectionReset | Kind::ConnectionAborted => FailureReason::Reset,
        Kind::HostUnreachable => FailureReason::NoRoute,
        // No way out of this machine, no port, no descriptor, no memory, forbidden: our own trouble.
        _ => FailureReason::Local,
    };
    let says_it_all = matches!(reason, FailureReason::ConnRefused | FailureReason::Reset);
    Failure::new(reason, if says_it_all { String::new() } else { error.to_string() })
}

/// Names the fault of a response that broke.
pub(super) fn response_failure(error: &hyper::Error, budget: &Budget) -> Failure {
    let cause = root_cause(error);
    let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let reason = if budget.is_exhausted() {
        FailureReason::TooLarge
    } else if error.is_parse_too_large() || matches!(io, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    {
        // The latter is how hyper reports chunks that are none.
        FailureReason::Framing
    } else if error.is_parse() {
        FailureReason::Proto
    } else if budget.any_read() {
        FailureReason::Truncated
    } else {
        FailureReason::Reset
    };
    // "Connection reset by peer" would only say the reason again.
    let detail = if reason == FailureReason::Reset { String::new() } else { cause.to_string() };
    Failure::new(reason, detail)
}

fn root_cause(error: &hyper::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}
