//! A connection to one exporter, on hyper.
//!
//! A scraper has at most one request in flight per target, so a pool would add nothing. Between two scrapes only the bare
//! socket is kept: hyper's buffers, tens of KiB a connection, live no longer than the exchange that needs them.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mect_fleet::{Failure, FailureReason};
use tokio::net::TcpStream;

use super::budget::{Budget, Metered};

/// Bytes of a response head; also the largest piece of body that is read at once.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Headers of a response. An exporter sends about five.
const MAX_HEADERS: usize = 64;

/// The body of a scrape's request.
pub(super) type NoBody = http_body_util::Empty<Bytes>;

/// An open connection on which nothing is under way.
pub struct Connection {
    socket: TcpStream,
    peer: SocketAddr,
}

/// An exchange that brought nothing.
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
                Ok(socket) => {
                    // Only a latency hint: a socket without it works as well.
                    let _ = socket.set_nodelay(true);
                    return Ok(Self { socket, peer: *address });
                }
                Err(error) => failure = connect_failure(&error),
            }
        }
        Err(failure)
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.peer.ip().is_loopback()
    }

    /// True while the peer has neither closed it nor said anything unasked.
    pub(super) fn is_alive(&self) -> bool {
        let read = self.socket.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends `request` and lets `read` take the response, of which head and body may cost `budget`. Gives the connection
    /// back when the peer leaves it open.
    pub(super) async fn exchange<T>(
        self,
        request: http::Request<NoBody>,
        budget: &Budget,
        read: impl AsyncFnOnce(http::Response<Incoming>) -> Result<T, Failure>,
    ) -> Result<(T, Option<Self>), Lost> {
        let Self { socket, peer } = self;
        let lost = |error: &hyper::Error| Lost {
            failure: response_failure(error, budget),
            before_first_byte: !budget.any_read(),
        };
        let (mut sender, mut driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(Metered { socket, budget: budget.clone() }))
            .await
            .map_err(|error| lost(&error))?;
        let mut talk = pin!(async {
            let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
            let stays_open = stays_open(&response);
            let taken = read(response).await.map_err(|failure| Lost { failure, before_first_byte: false })?;
            Ok((taken, stays_open))
        });
        let mut is_driven = true;
        // Both in one task: a driver of its own would wake ours and be woken by it for every piece that comes.
        let (taken, stays_open) = poll_fn(|cx| {
            if let Poll::Ready(ended) = talk.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            // What ends the driver reaches the talk through hyper's channels.
            is_driven = is_driven && driver.poll_without_shutdown(cx).is_pending();
            talk.as_mut().poll(cx)
        })
        .await?;
        let parts = driver.into_parts();
        // Bytes beyond the response belong to no exchange of ours.
        let is_clean = is_driven && parts.read_buf.is_empty();
        let socket = parts.io.into_inner().socket;
        Ok((taken, (stays_open && is_clean).then_some(Self { socket, peer })))
    }
}

/// True when the peer means to leave the connection open after this response (RFC 9112, section 9.3), and the response
/// says itself where it ends.
fn stays_open(response: &http::Response<Incoming>) -> bool {
    let closes =
        |value: &http::HeaderValue| value.as_bytes().to_ascii_lowercase().windows(5).any(|word| word == b"close");
    let has_end = response.body().size_hint().exact().is_some() || response.headers().contains_key(TRANSFER_ENCODING);
    response.version() == http::Version::HTTP_11
        && has_end
        && !response.headers().get_all(CONNECTION).iter().any(closes)
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
