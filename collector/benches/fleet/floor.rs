//! The floor: a hyper client that fetches every page on the same schedule and throws it away.
//! Nobody who scrapes over HTTP with hyper can be cheaper.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use mect_fleet::TargetPolicy;
use tokio::net::TcpStream;

use super::contenders::Connections;

/// Variable by which the bench starts itself as the floor.
pub const REQUEST: &str = "BENCH_FLOOR";

/// What the floor is to do.
pub struct Order {
    /// Seconds.
    interval: u32,
    keeps_connections: bool,
    targets: PathBuf,
}

/// When this process is to be the floor.
pub fn requested() -> Option<Order> {
    let request = std::env::var(REQUEST).ok()?;
    let (interval, request) = request.split_once(' ')?;
    let (connections, targets) = request.split_once(' ')?;
    let keeps_connections = connections == format!("{:?}", Connections::Kept);
    Some(Order { interval: interval.parse().ok()?, keeps_connections, targets: targets.into() })
}

/// Fetches until it is killed.
pub fn run(order: &Order) {
    let candidates = mect_collector::discovery::file_sd::read(&order.targets, &TargetPolicy::for_operators()).unwrap();
    let addresses: Vec<SocketAddr> =
        candidates.iter().map(|candidate| candidate.endpoint.authority().parse().unwrap()).collect();
    let interval = Duration::from_secs(order.interval.into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let count = addresses.len() as u32;
        for (address, number) in addresses.into_iter().zip(0..) {
            let start = tokio::time::Instant::now() + interval * number / count;
            tokio::spawn(fetch_for_ever(address, start, interval, order.keeps_connections));
        }
        std::future::pending::<()>().await;
    });
}

async fn fetch_for_ever(address: SocketAddr, start: tokio::time::Instant, interval: Duration, keeps: bool) {
    let mut ticks = tokio::time::interval_at(start, interval);
    let mut kept = None;
    loop {
        ticks.tick().await;
        // A failed fetch shows as a missing page in the simulation's count.
        kept = fetch(address, kept.take()).await.filter(|_| keeps);
    }
}

async fn fetch(address: SocketAddr, kept: Option<SendRequest<Empty<Bytes>>>) -> Option<SendRequest<Empty<Bytes>>> {
    let mut sender = match kept.filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => {
            let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(address).await.ok()?)).await.ok()?;
            tokio::spawn(async move { drop(connection.await) });
            sender
        }
    };
    let request = hyper::Request::get("/metrics").header("host", address.to_string()).body(Empty::new()).ok()?;
    let mut body = sender.send_request(request).await.ok()?.into_body();
    while let Some(frame) = body.frame().await {
        drop(frame.ok()?);
    }
    Some(sender)
}
