//! The accept loop: limits per connection that `axum::serve` does not have, and an orderly end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// After an error such as "too many open files", time for connections to end before the next attempt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A head is a few hundred bytes; a long bearer token or cookie jar fits.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Limits of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections at a time. Beyond it clients wait in the listen queue. Default 1,024.
    pub max_connections: usize,
    /// A client must send a request head within this time. Also the longest idle time of a kept connection, because
    /// the wait for the next head counts (hyper). Default 10 s: longer than pages take to refresh themselves.
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
            head_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves `router` on `listener` until `shutdown`; then accepts no more, lets running requests end, and returns.
///
/// HTTP/1.1 only. Detecting HTTP/2 on a plain socket would wait for a client's first bytes without any time limit
/// (hyper-util's `auto`), and no browser speaks HTTP/2 without TLS; a proxy in front gives it to them.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
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
        let (Ok(slot), Some(stream)) = (slot, usable(accepted, &limits).await) else { continue };
        let service = TowerToHyperService::new(router.clone());
        let connection = running.watch(http.serve_connection(TokioIo::new(stream), service));
        let cut = cut.clone();
        tokio::spawn(async move {
            // How a connection ends is its client's affair: nothing to log.
            tokio::select! {
                _ = connection => {}
                () = cut.cancelled() => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, running.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.drain_timeout.as_secs(), "requests still running were cut off");
    }
}

/// The accepted connection, set up. Never an end to the loop: the next client may have more luck.
async fn usable(
    accepted: std::io::Result<(TcpStream, std::net::SocketAddr)>,
    limits: &ServeLimits,
) -> Option<TcpStream> {
    match accepted {
        Ok((stream, _)) => {
            let socket = socket2::SockRef::from(&stream);
            let set = stream
                .set_nodelay(true)
                // hyper has no write timeout; the kernel ends a connection whose data nobody acknowledges or takes.
                .and_then(|()| socket.set_tcp_user_timeout(Some(limits.write_stall_timeout)));
            set.ok().map(|()| stream)
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
