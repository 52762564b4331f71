//! The accept loop on real sockets.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mect_web::{ServeLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let site = start(hello(), ServeLimits { max_connections_per_address: 2, ..limits() }).await;
    let connect = async |from: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(site.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream
    };
    let (mut one, mut two) = (connect("127.0.0.2").await, connect("127.0.0.2").await);
    expect(&mut one, "hello").await;
    expect(&mut two, "hello").await;
    let mut third = connect("127.0.0.2").await;
    assert_eq!(third.read(&mut [0; 16]).await.unwrap_or(0), 0, "closed at once");
    expect(&mut connect("127.0.0.3").await, "hello").await;
    drop(one);
    // As soon as the end of the first one is noticed.
    let started = std::time::Instant::now();
    while connect("127.0.0.2").await.read(&mut [0; 16]).await.unwrap_or(0) == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "its place is not free again");
    }

    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let site = start(hello(), ServeLimits { max_connections_per_address: 1, proxies, ..limits() }).await;
    let mut kept = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        expect(&mut stream, "hello").await;
        kept.push(stream);
    }
}

#[tokio::test]
async fn a_head_beyond_eight_kibibytes_is_refused() {
    let site = start(hello(), limits()).await;
    for (filler, status) in [(6000, "200 OK"), (9000, "431 ")] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-filler: {}\r\n\r\n", "x".repeat(filler));
        stream.write_all(head.as_bytes()).await.unwrap();
        expect(&mut stream, status).await;
    }
}

/// A certificate of that name that nobody signed, and its key.
fn certificate(directory: &std::path::Path, name: &str) -> (Vec<u8>, Vec<u8>) {
    let (chain, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    let mut command = std::process::Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let made = command.arg("-out").arg(&chain).arg("-keyout").arg(&key).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (std::fs::read(chain).unwrap(), std::fs::read(key).unwrap())
}

/// Asks over TLS as `name`, and believes that certificate alone.
async fn ask_as(address: SocketAddr, name: &str, chain: &[u8]) -> std::io::Result<String> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(chain).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn tls_speaks_with_the_newest_certificate_and_keeps_the_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (certificate(directory.path(), "old.test"), certificate(directory.path(), "new.test"));
    let config = |(chain, key): &(Vec<u8>, Vec<u8>)| mect_web::server_config(chain, key).unwrap();
    let (current, tls) = tokio::sync::watch::channel(config(&old));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let done = tokio::spawn(mect_web::serve_tls(listener, hello(), limits(), tls, stop.clone()));
    assert!(ask_as(address, "old.test", &old.0).await.unwrap().ends_with("hello"));
    assert!(ask_as(address, "old.test", &new.0).await.is_err());
    current.send_replace(config(&new));
    assert!(ask_as(address, "new.test", &new.0).await.unwrap().ends_with("hello"));

    // Neither silence nor plain text holds a connection.
    for sent in ["", "GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let cut = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(cut.is_ok() && !rest.starts_with(b"HTTP"), "{sent:?}");
    }
    stop.cancel();
    done.await.unwrap();
}

#[test]
fn certificates_that_cannot_be_used_are_told_without_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (certificate(directory.path(), "one.test"), certificate(directory.path(), "other.test"));
    for (chain, key, says) in [
        (&b"nothing"[..], &one.1[..], "certificate"),
        (&one.0, b"nothing", "private key"),
        (&one.0, &other.1, "cannot be used"),
        (&one.1, &one.0, "certificate"),
    ] {
        let error = mect_web::server_config(chain, key).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}
