//! How fast `GET /servers` is, beside a static body of the same size on the same server:
//! `cargo bench -p mect-web --bench list`, with `BENCH_SERVERS` for another number than 1,000. Both run in one process, in
//! turns, over kept connections.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Store, story};
use mect_fleet::{Fleet, Standing, Timestamp};
use mect_web::{Parts, Secret, ServeLimits, Settings, ensure_first_admin};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a password to measure with";
const CONNECTIONS: usize = 8;
/// Short slices in turns: what else the machine does then hits both sides alike.
const SLICE: Duration = Duration::from_millis(100);
const PAIRS: usize = 60;

#[tokio::main]
async fn main() {
    let count = std::env::var("BENCH_SERVERS").map_or(1_000, |text| text.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
    ensure_first_admin(&*store.accounts, Some(Secret::new("the first password"))).await.unwrap();
    let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
    let servers = fleet.register((0..count).map(story::registration).collect(), Timestamp::now()).await.unwrap();
    let batch: Vec<_> = (0u32..)
        .zip(&servers)
        .map(|(n, server)| {
            story::observe(&mut Standing::default(), server.id, Timestamp::now(), story::heartbeat(n * 7919))
        })
        .collect();
    fleet.apply(&batch);
    fleet.set_monitored(&servers.iter().map(|server| server.id).collect(), Timestamp::now());
    fleet.publish(Timestamp::now());

    let parts = Parts {
        fleet,
        accounts: store.accounts.clone(),
        history: store.history.clone(),
        registry: Arc::new(Registry::default()),
        settings: Settings::new(Secret::new("a measurement needs no secret, just 32 bytes")).unwrap(),
    };
    let ours = start(mect_web::router(parts)).await;
    let token = token(ours, "the first password").await;
    let change = format!(r#"{{"current_password":"the first password","new_password":"{PASSWORD}"}}"#);
    let head = format!("POST /users/change-password HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    ask(ours, &format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{change}", change.len()))
        .await;
    let token = self::token(ours, PASSWORD).await;

    let list = format!("GET /servers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let body = Bytes::from(ask(ours, &list).await);
    println!("{count} servers, {} bytes, {CONNECTIONS} connections, {PAIRS} pairs of {SLICE:?}", body.len());
    let fixed = start(Router::new().route("/servers", get(async move || body.clone()))).await;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let first = pair % 2 == 0;
        let (a, b) = if first { (fixed, ours) } else { (ours, fixed) };
        let (a, b) = (rate(a, &list).await, rate(b, &list).await);
        pairs.push(if first { (a, b) } else { (b, a) });
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "median: static {:.0}/s, GET /servers {:.0}/s, ratio of a pair {:.2}",
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
        median(pairs.iter().map(|pair| pair.1 / pair.0).collect()),
    );
}

async fn start(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(mect_web::serve(listener, router, ServeLimits::default(), CancellationToken::new()));
    address
}

async fn token(address: SocketAddr, password: &str) -> String {
    let form = format!("username=admin&password={}", password.replace(' ', "+"));
    let head = "POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let body = ask(address, &format!("{head}content-length: {}\r\n\r\n{form}", form.len())).await;
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Requests answered per second.
async fn rate(address: SocketAddr, request: &str) -> f64 {
    let end = Instant::now() + SLICE;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let request = request.to_owned();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let mut answered = 0u32;
                while Instant::now() < end {
                    exchange(&mut stream, &request).await;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    f64::from(answered) / SLICE.as_secs_f64()
}

async fn ask(address: SocketAddr, request: &str) -> Vec<u8> {
    exchange(&mut TcpStream::connect(address).await.unwrap(), request).await
}

/// One request and its whole answer; gives the body.
async fn exchange(stream: &mut TcpStream, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::with_capacity(1 << 20);
    loop {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "closed early");
        let Some(end) = head_end(&seen) else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let total = end + 4 + length.trim().parse::<usize>().unwrap();
        while seen.len() < total {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "closed early");
        }
        return seen.split_off(end + 4);
    }
}

fn head_end(seen: &[u8]) -> Option<usize> {
    seen.windows(4).take(4096).position(|window| window == b"\r\n\r\n")
}
