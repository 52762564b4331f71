//! Accepts connections and keeps them within bounds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::guard::{Guard, HeadArrived};
use super::respond::Responder;
use super::tls::Tls;
use crate::config::Network;
use crate::log;

/// Most connections at a time. Newcomers give way: they wait in the kernel's queue until one ends. That
/// is soon, because only scrapers that may read metrics can stay (see [`IDLE`]); all others are
/// answered and closed, or cut off after [`SLOW`].
const MAX_CONNECTIONS: u32 = 32;

/// Most connections of one address (IPv6: of one /64 network, which one host has for itself). Beyond, a new
/// one is closed at once: nobody can take all slots.
const MAX_PER_ADDRESS: u32 = 4;

/// How long a scraper may keep an unused connection. Longer than the collector's two minutes, or no
/// connection would ever be used twice.
const IDLE: Duration = Duration::from_secs(180);

/// How long a peer may take for a TLS handshake, for a request head, or for reading its answer.
const SLOW: Duration = Duration::from_secs(5);

/// How long answers may still take when the exporter stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Largest request head, and at the same time hyper's buffer per connection.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: without file descriptors left, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may connect, and how.
#[derive(Debug, Default)]
pub struct Exposure {
    /// Addresses that may connect; empty lets all. Others are closed without a word.
    pub allow: Vec<Network>,
    /// `None` speaks plain HTTP.
    pub tls: Option<Tls>,
}

/// Open connections by address.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A connection's place among those of its address; given back when dropped.
struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = counts.entry(address).or_default();
        if *count >= MAX_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// An IPv4 address itself; of an IPv6 address its /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// Serves until `stop` completes, then finishes the answers under way and returns.
pub async fn serve(listener: TcpListener, responder: Responder, exposure: Exposure, stop: impl Future<Output = ()>) {
    let responder = Arc::new(responder);
    let exposure = Arc::new(exposure);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let addresses = Addresses::default();
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, address, slot)) = accepted else { continue };
        if !exposure.allow.is_empty() && !exposure.allow.iter().any(|network| network.contains(address)) {
            continue;
        }
        let Some(place) = addresses.take(address) else { continue };
        let (responder, exposure, stopped) = (Arc::clone(&responder), Arc::clone(&exposure), stopped.clone());
        tokio::spawn(async move {
            connection(stream, responder, &exposure, stopped).await;
            drop(place);
            drop(slot);
        });
    }
    drop(listener);
    // Nobody listens when no connection is open.
    let _ = stopping.send(true);
    // All slots free means all connections closed.
    let _ = timeout(DRAIN, slots.acquire_many(MAX_CONNECTIONS)).await;
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address.ip(), slot)),
        Err(error) => {
            log::line(format_args!("cannot accept a connection: {error}"));
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, responder: Arc<Responder>, exposure: &Exposure, stopped: watch::Receiver<bool>) {
    // An answer is one write; waiting for more to send would only delay it.
    let _ = stream.set_nodelay(true);
    match &exposure.tls {
        None => {
            let (guard, head_arrived) = Guard::new(stream, SLOW);
            talk(guard, head_arrived, responder, stopped).await;
        }
        Some(tls) => {
            // A handshake that fails is the peer's affair, as below.
            if let Ok(Ok(stream)) = timeout(SLOW, tls.accept(stream)).await {
                let (guard, head_arrived) = Guard::new(stream, SLOW);
                talk(guard, head_arrived, responder, stopped).await;
            }
        }
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    head_arrived: HeadArrived,
    responder: Arc<Responder>,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        head_arrived.notify();
        let responder = Arc::clone(&responder);
        async move {
            let (head, _body) = request.into_parts();
            Ok::<_, Infallible>(responder.respond(&head).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Addresses::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut places: Vec<Place> =
            (0..MAX_PER_ADDRESS).filter_map(|_| addresses.take(address("192.0.2.1"))).collect();
        assert!(addresses.take(address("192.0.2.1")).is_none());
        assert!(addresses.take(address("::ffff:192.0.2.1")).is_none(), "the same, over a socket for both");
        assert!(addresses.take(address("192.0.2.2")).is_some());
        places.pop();
        assert!(addresses.take(address("192.0.2.1")).is_some());
        drop(places);
        assert!(addresses.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_host_with_a_whole_network_is_still_one() {
        let same = |a: &str, b: &str| network_of(a.parse().unwrap()) == network_of(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
