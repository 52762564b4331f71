//! The accept loop: limits per connection that `axum::serve` does not have, and an orderly end.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use mect_fleet::Network;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::client::Peer;

/// After an error such as "too many open files", time for connections to end before the next attempt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A head is a few hundred bytes; a long bearer token or cookie jar fits. A longer one is answered with 431.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Leading bits of an IPv6 address that one customer has.
const IPV6_CUSTOMER_BITS: u32 = 64;

/// Cancelled when the shutdown begins; put into each request, so that answers without an end can end.
#[derive(Debug, Clone)]
pub(crate) struct Closing(pub(crate) CancellationToken);

/// Limits of the accept loop.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Connections at a time. Beyond it clients wait in the listen queue. Default 1,024.
    pub max_connections: usize,
    /// Connections at a time from one address (of IPv6: from one /64). Further ones are closed at once. Default 128.
    pub max_connections_per_address: usize,
    /// Addresses without a limit of their own: proxies, behind which everybody is. Default none.
    pub proxies: Vec<Network>,
    /// A client must send a request head within this time, and before it end the TLS handshake. Also the longest idle
    /// time of a kept connection, because the wait for the next head counts (hyper). Default 5 s.
    pub head_timeout: Duration,
    /// A client that takes nothing of its answer for this long is cut. Default 30 s.
    pub write_stall_timeout: Duration,
    /// How long running requests may take to end after the shutdown began. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: 128,
            proxies: Vec::new(),
            head_timeout: Duration::from_secs(5),
            write_stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Keys and protocol of TLS for connections from now on; others may take their place at any time.
pub type Tls = watch::Receiver<Arc<ServerConfig>>;

/// Serves `router` on `listener` until `shutdown`; then accepts no more, lets running requests end, and returns.
///
/// HTTP/1.1 only. Detecting HTTP/2 on a plain socket would wait for a client's first bytes without any time limit
/// (hyper-util's `auto`), and no browser speaks HTTP/2 without TLS; a proxy in front gives it to them.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: CancellationToken) {
    run(listener, router, limits, None, shutdown).await;
}

/// The same over TLS.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    tls: Tls,
    shutdown: CancellationToken,
) {
    run(listener, router, limits, Some(tls), shutdown).await;
}

async fn run(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let addresses = Arc::new(Addresses::default());
    let running = GracefulShutdown::new();
    // Cancelled when this function ends, however it ends: no connection outlives it.
    let cut = CancellationToken::new();
    let _cut_at_end = cut.clone().drop_guard();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(MAX_HEAD_BYTES);

    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (Ok(slot), Some((stream, peer))) = (slot, usable(accepted, &limits).await) else { continue };
        let Some(seat) = addresses.seat(peer.0, &limits) else { continue };
        let (http, watcher, router) = (http.clone(), running.watcher(), router.clone());
        let closing = Closing(shutdown.clone());
        let (cut, head_timeout) = (cut.clone(), limits.head_timeout);
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.borrow())));
        tokio::spawn(async move {
            let talk = async {
                match acceptor {
                    None => converse(&http, stream, (peer, closing), router, watcher).await,
                    // How a handshake or a connection ends is its client's affair: nothing to log.
                    Some(acceptor) => {
                        if let Ok(Ok(stream)) = tokio::time::timeout(head_timeout, acceptor.accept(stream)).await {
                            converse(&http, stream, (peer, closing), router, watcher).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = talk => {}
                () = cut.cancelled() => {}
            }
            drop((slot, seat));
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, running.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.drain_timeout.as_secs(), "requests still running were cut off");
    }
}

/// Answers the requests of one connection.
async fn converse(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    (peer, closing): (Peer, Closing),
    router: Router,
    watcher: Watcher,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(closing.clone());
        router.call(request)
    });
    let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
}

/// How many connections each address has.
#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
struct Seat {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// A seat for one more; `None` when the address has as many as it may.
    fn seat(self: &Arc<Self>, peer: IpAddr, limits: &ServeLimits) -> Option<Seat> {
        let peer = peer.to_canonical();
        let is_proxy = limits.proxies.iter().any(|proxy| proxy.contains(peer));
        let address = customer(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limits.max_connections_per_address && !is_proxy {
            return None;
        }
        *count += 1;
        Some(Seat { addresses: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What one customer has.
fn customer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> IPV6_CUSTOMER_BITS << IPV6_CUSTOMER_BITS))
        }
    }
}

/// The accepted connection, set up. Never an end to the loop: the next client may have more luck.
async fn usable(accepted: std::io::Result<(TcpStream, SocketAddr)>, limits: &ServeLimits) -> Option<(TcpStream, Peer)> {
    match accepted {
        Ok((stream, peer)) => {
            let socket = socket2::SockRef::from(&stream);
            let set = stream
                .set_nodelay(true)
                // hyper has no write timeout; the kernel ends a connection whose data nobody acknowledges or takes.
                .and_then(|()| socket.set_tcp_user_timeout(Some(limits.write_stall_timeout)));
            set.ok().map(|()| (stream, Peer(peer.ip())))
        }
        Err(error) => {
            let of_one_client = matches!(
                error.kind(),
                ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
            );
            if !of_one_client {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}
