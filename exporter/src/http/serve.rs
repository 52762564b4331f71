//! Accepts connections and keeps them within bounds.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::guard::Guard;
use super::respond::Responder;
use crate::log;

/// Most connections at a time. Newcomers give way: they wait in the kernel's queue until one ends. That
/// is soon, because only scrapers that may read metrics can stay (see [`IDLE`]); all others are
/// answered and closed, or cut off after [`SLOW`].
const MAX_CONNECTIONS: u32 = 32;

/// How long a scraper may keep an unused connection. Longer than the collector's two minutes, or no
/// connection would ever be used twice.
const IDLE: Duration = Duration::from_secs(180);

/// How long a peer may take for a request head, or for reading its answer.
const SLOW: Duration = Duration::from_secs(10);

/// How long answers may still take when the exporter stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Largest request head, and at the same time hyper's buffer per connection.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: without file descriptors left, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then finishes the answers under way and returns.
pub async fn serve(listener: TcpListener, responder: Responder, stop: impl Future<Output = ()>) {
    let responder = Arc::new(responder);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else { continue };
        let responder = Arc::clone(&responder);
        let stopped = stopped.clone();
        tokio::spawn(async move {
            connection(stream, responder, stopped).await;
            drop(slot);
        });
    }
    drop(listener);
    // Nobody listens when no connection is open.
    let _ = stopping.send(true);
    // All slots free means all connections closed.
    let _ = timeout(DRAIN, slots.acquire_many(MAX_CONNECTIONS)).await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            log::line(format_args!("cannot accept a connection: {error}"));
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, responder: Arc<Responder>, mut stopped: watch::Receiver<bool>) {
    // An answer is one write; waiting for more to send would only delay it.
    let _ = stream.set_nodelay(true);
    let (guard, head_arrived) = Guard::new(stream, SLOW);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        head_arrived.notify();
        let responder = Arc::clone(&responder);
        async move {
            let (head, _body) = request.into_parts();
            Ok::<_, Infallible>(responder.respond(&head.method, head.uri.path(), &head.headers).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(true)
        .serve_connection(TokioIo::new(guard), service);
    let mut connection = std::pin::pin!(connection);
    // Errors are the peer's: it left, was too slow or sent something else than HTTP. Logging them would
    // let anyone fill the journal.
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
