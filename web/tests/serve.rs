//! The accept loop on real sockets.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mect_web::{ServeLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    done: JoinHandle<()>,
}

async fn start(router: Router, limits: ServeLimits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let done = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Running { address, shutdown, done }
}

fn limits() -> ServeLimits {
    ServeLimits { head_timeout: Duration::from_millis(300), ..ServeLimits::default() }
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Reads until `text` came.
async fn expect(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
}

#[tokio::test]
async fn a_client_that_dawdles_is_cut() {
    let site = start(hello(), limits()).await;
    for sent in ["", "G", "GET / HTTP/1.1\r\nhost: local", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let cut = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(cut.is_ok(), "{sent:?} holds a connection");
    }
}

#[tokio::test]
async fn a_kept_connection_serves_again_and_ends_when_idle() {
    let site = start(hello(), limits()).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(REQUEST).await.unwrap();
        expect(&mut stream, "hello").await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 16])).await;
    assert_eq!(ended.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn one_too_many_waits_its_turn() {
    let site = start(hello(), ServeLimits { max_connections: 1, ..limits() }).await;
    let mut first = TcpStream::connect(site.address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    expect(&mut first, "hello").await;
    let mut second = TcpStream::connect(site.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut [0; 1])).await;
    assert!(early.is_err(), "served beyond the limit");
    drop(first);
    expect(&mut second, "hello").await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_closes_idle_connections() {
    let (entered, go) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let handler = {
        let (entered, go) = (entered.clone(), go.clone());
        async move || {
            entered.notify_one();
            go.notified().await;
            "late"
        }
    };
    let site = start(hello().route("/slow", get(handler)), ServeLimits::default()).await;
    let mut idle = TcpStream::connect(site.address).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    expect(&mut idle, "hello").await;
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    entered.notified().await;

    site.shutdown.cancel();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
    go.notify_one();
    expect(&mut slow, "late").await;
    site.done.await.unwrap();
    assert!(TcpStream::connect(site.address).await.is_err());
}

#[tokio::test]
async fn a_request_without_end_does_not_hold_the_shutdown() {
    let router = Router::new().route("/", get(async || std::future::pending::<&str>().await));
    let site = start(router, ServeLimits { drain_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    site.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), site.done).await.unwrap().unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
}
