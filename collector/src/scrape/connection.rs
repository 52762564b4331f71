//! A connection to one exporter, on hyper.
//!
//! A scraper has at most one request in flight per target, so a pool would add nothing. Between two scrapes only the bare
//! socket is kept: hyper's buffers, tens of KiB a connection, live no longer than the exchange that needs them.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mect_fleet::{Failure, FailureReason, TargetPolicy};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::access::Access;
use super::budget::{Budget, Metered};
use super::framing;
use super::socket::Socket;

/// Bytes of a response head; also the largest piece of body that is read at once.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Headers of a response. An exporter sends about five.
const MAX_HEADERS: usize = 64;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// A kept connection on which nothing was said for so long is asked whether the peer is there: Go's clients do so, and
/// routers on the way know it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of a scrape's request.
pub(super) type NoBody = http_body_util::Empty<Bytes>;

/// An open connection on which nothing is under way.
pub struct Connection {
    socket: Socket,
    peer: SocketAddr,
    /// By which way the peer was found to be who it should be.
    access: Option<Arc<Access>>,
    /// The kernel asks for the peer while nothing is said.
    stays_alive: bool,
}

/// An exchange that brought nothing.
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// The peer had said nothing yet.
    pub(super) before_first_byte: bool,
}

impl Connection {
    /// Connects to the first of `addresses` that answers before `deadline`, of those that `policy` allows; each has its
    /// share of the time. Of several failures the first is told that says something of the host.
    pub(super) async fn open(
        addresses: &[SocketAddr],
        policy: &TargetPolicy,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        // Whoever owns a name says where it leads, each time anew: not to what only we can reach. These very addresses are
        // connected to; nothing is looked up again.
        let is_allowed = |address: &&SocketAddr| policy.check(**address).is_ok();
        let allowed: Vec<_> = addresses.iter().filter(is_allowed).copied().collect();
        if let Some(refused) = addresses.first().filter(|_| allowed.is_empty()) {
            let why = policy.check(*refused).err().map(|denied| denied.to_string()).unwrap_or_default();
            return Err(Failure::new(FailureReason::Dns, format!("leads to {}: {why}", refused.ip())));
        }
        let addresses = allowed.get(..MAX_ADDRESSES).unwrap_or(&allowed);
        let mut told: Option<Failure> = None;
        for (address, left) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            // With nothing else to tell, the last one is ended by the scrape's own timeout.
            let share = if left == 1 && told.is_none() { Duration::MAX } else { share };
            let failure = match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    // Only a latency hint: a socket without it works as well.
                    let _ = socket.set_nodelay(true);
                    return Ok(Self {
                        socket: Socket::Clear(socket),
                        peer: *address,
                        access: None,
                        stays_alive: false,
                    });
                }
                Ok(Err(error)) => connect_failure(*address, &error),
                Err(_elapsed) => Failure::new(FailureReason::ConnTimeout, format!("{address}: after {share:.1?}")),
            };
            if told.as_ref().is_none_or(|told| told.reason.is_local()) {
                told = Some(failure);
            }
        }
        Err(told.unwrap_or_else(|| Failure::new(FailureReason::Dns, "no address")))
    }

    /// The same connection, made by that way.
    pub(super) fn by(self, access: &Arc<Access>) -> Self {
        Self { access: Some(Arc::clone(access)), ..self }
    }

    /// True for one that was made by this very way. Once its files were read anew it is another: who was trusted by the old
    /// ones is not shown what stands in the new ones.
    pub(super) fn is_by(&self, access: &Arc<Access>) -> bool {
        self.access.as_ref().is_some_and(|own| Arc::ptr_eq(own, access))
    }

    /// It is kept: firewalls on the way must not forget it, nor may a peer be gone without notice.
    pub(super) fn stay_alive(mut self) -> Self {
        if !std::mem::replace(&mut self.stays_alive, true) {
            let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
            // Without it, a connection that was forgotten on the way costs one scrape its time.
            let _ = SockRef::from(self.socket.tcp()).set_tcp_keepalive(&keep_alive);
        }
        self
    }

    /// The same connection, under TLS from now on.
    pub(super) async fn secured(self, access: &Access, host: &str) -> Result<Self, Failure> {
        let socket = match self.socket {
            Socket::Clear(socket) => Socket::secure(socket, access, host).await?,
            secured @ Socket::Tls(_) => secured,
        };
        Ok(Self { socket, ..self })
    }

    /// Nobody on the way can read what is sent.
    pub(super) fn is_private(&self) -> bool {
        matches!(self.socket, Socket::Tls(_)) || self.is_loopback()
    }

    fn is_loopback(&self) -> bool {
        self.peer.ip().is_loopback()
    }

    /// True while the peer has neither closed it nor said anything unasked.
    pub(super) fn is_alive(&self) -> bool {
        self.socket.is_alive()
    }

    /// Sends `request` and lets `read` take the response, of which head and body may cost `budget`. Gives the connection
    /// back when the peer leaves it open.
    pub(super) async fn exchange<T, B>(
        self,
        request: http::Request<B>,
        budget: &Budget,
        read: impl AsyncFnOnce(http::Response<Incoming>) -> Result<T, Failure>,
    ) -> Result<(T, Option<Self>), Lost>
    where
        B: Body<Data = Bytes, Error = Infallible> + Unpin + 'static,
    {
        let Self { socket, peer, access, stays_alive } = self;
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
        Ok((taken, (stays_open && is_clean).then_some(Self { socket, peer, access, stays_alive })))
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
fn connect_failure(address: SocketAddr, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let reason = match error.kind() {
        Kind::ConnectionRefused => FailureReason::ConnRefused,
        Kind::TimedOut => FailureReason::ConnTimeout,
        Kind::ConnectionReset | Kind::ConnectionAborted => FailureReason::Reset,
        Kind::HostUnreachable => FailureReason::NoRoute,
        // A router far away may have said so: the host's whole network is gone.
        Kind::NetworkUnreachable if has_route(address) => FailureReason::NoRoute,
        // No way out of this machine, no port, no descriptor, no memory, forbidden: our own trouble.
        _ => FailureReason::Local,
    };
    let says_it_all = matches!(reason, FailureReason::ConnRefused | FailureReason::Reset);
    Failure::new(reason, if says_it_all { String::new() } else { error.to_string() })
}

/// True when this machine knows a way to `address`. Sends nothing.
fn has_route(address: SocketAddr) -> bool {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    std::net::UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
}

/// Names the fault of a response that broke.
pub(super) fn response_failure(error: &hyper::Error, budget: &Budget) -> Failure {
    let cause = root_cause(error);
    let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let detail = cause.to_string();
    let reason = if budget.is_exhausted() {
        FailureReason::TooLarge
    } else if is_tls(cause) {
        // An exporter that does not like our certificate says so only now (RFC 8446, appendix E.1.2).
        FailureReason::Tls
    } else if error.is_parse_too_large() || matches!(io, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    {
        // The latter is how hyper reports chunks that are none.
        FailureReason::Framing
    } else if error.is_parse() && framing::is_refused(&detail) {
        FailureReason::Framing
    } else if error.is_parse() {
        FailureReason::Proto
    } else if budget.any_read() {
        FailureReason::Truncated
    } else {
        FailureReason::Reset
    };
    // "Connection reset by peer" would only say the reason again.
    let detail = if reason == FailureReason::Reset { String::new() } else { detail };
    Failure::new(reason, detail)
}

fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<rustls::Error>()) || cause.is::<rustls::Error>()
}

fn root_cause(error: &hyper::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}
