//! How fast `GET /servers` is, beside a static answer of the same bytes on the same server, whole, packed and when nothing
//! changed: `cargo bench -p mect-web --bench list`, with `BENCH_SERVERS` for another number than 1,000. Both run in one
//! process, in turns, over kept connections.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Record, Registration, Store, story};
use mect_fleet::{Fleet, Place, Server, Standing, Timestamp};
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
/// The largest fleet that one collector is meant for.
const LARGE: u32 = 50_000;
const ROUNDS: u32 = 7;
/// Goals: the list is served at this share at least of the rate of a fixed body of the same size, and "not modified" of
/// that of an empty one.
const LIST_GOAL: f64 = 0.8;
const NOT_MODIFIED_GOAL: f64 = 0.9;

#[tokio::main]
async fn main() -> ExitCode {
    let count = std::env::var("BENCH_SERVERS").map_or(1_000, |text| text.parse().unwrap());
    let site = Site::new(count).await;
    let (ours, token) = (site.address, &site.token);
    let list = |more: &str| format!("GET /servers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\r\n");
    let plain = ask(ours, &list("")).await;
    println!("{count} servers, {} bytes, {CONNECTIONS} connections, {PAIRS} pairs of {SLICE:?}", plain.body.len());
    let mut missed = false;
    let tag = plain.header("etag").unwrap();
    for (name, more, goal) in [
        ("plain", String::new(), LIST_GOAL),
        ("Brotli", "accept-encoding: br\r\n".into(), LIST_GOAL),
        ("not modified", format!("if-none-match: {tag}\r\n"), NOT_MODIFIED_GOAL),
    ] {
        let request = list(&more);
        let answer = ask(ours, &request).await;
        let fixed = start(fixed(&answer)).await;
        missed |= compare(name, fixed, ours, &request, answer.body.len(), goal).await < goal;
    }
    drop(site);
    time_a_large_fleet().await;
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// How long an answer takes that nobody asked for yet in this view, and one that somebody did.
async fn time_a_large_fleet() {
    let site = Site::new(LARGE).await;
    println!("{LARGE} servers; the first answer of a view, and the next ones:");
    for (path, more) in [
        ("/servers", ""),
        ("/servers", "accept-encoding: gzip\r\n"),
        ("/servers", "accept-encoding: br\r\n"),
        ("/servers?country=DE&service=wg&limit=20", ""),
        ("/servers?fields=ip,load,score", ""),
        ("/api/v1/loads", ""),
        ("/api/v1/loads", "accept-encoding: br\r\n"),
        ("/api/v1/recommendations?lat=50&lon=8", ""),
        ("/api/v1/recommendations?country=DE&service=wg", ""),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{more}\r\n", site.token);
        let (mut first, mut next, mut bytes) = (Vec::new(), Vec::new(), 0);
        for round in 0..ROUNDS {
            site.change(round);
            for times in [&mut first, &mut next] {
                let start = Instant::now();
                bytes = ask(site.address, &head).await.body.len();
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        println!("{path} {}: {bytes} bytes, {:.1} ms, {:.1} ms", more.trim_end(), median(first), median(next));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A fleet that is served.
struct Site {
    address: SocketAddr,
    token: String,
    fleet: Arc<Fleet>,
    servers: Vec<Server>,
    _data: tempfile::TempDir,
}

impl Site {
    async fn new(count: u32) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
        ensure_first_admin(&*store.accounts, Some(Secret::new("the first password")), |_| Ok(())).await.unwrap();
        let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
        let servers = fleet.register((0..count).map(registration).collect(), Timestamp::now()).await.unwrap();
        let batch: Vec<_> = (0u32..).zip(&servers).map(|(n, server)| heartbeat(server, n * 7919)).collect();
        fleet.apply(&batch);
        fleet.set_monitored(&servers.iter().map(|server| server.id).collect(), Timestamp::now());
        fleet.publish(Timestamp::now());
        let parts = Parts {
            fleet: fleet.clone(),
            accounts: store.accounts.clone(),
            history: store.history.clone(),
            journal: store.journal.clone(),
            neighbours: mect_fleet::Neighbours::default(),
            collecting: mect_fleet::collecting::Collecting::default(),
            registry: Arc::new(Registry::default()),
            settings: Settings::new(Secret::new("a measurement needs no secret, just 32 bytes")).unwrap(),
        };
        let address = start(mect_web::router(parts)).await;
        let first = token(address, "the first password").await;
        let change = format!(r#"{{"current_password":"the first password","new_password":"{PASSWORD}"}}"#);
        let head = format!("POST /users/change-password HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {first}\r\n");
        let length = change.len();
        ask(address, &format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{change}"))
            .await;
        let token = token(address, PASSWORD).await;
        Self { address, token, fleet, servers, _data: data }
    }

    /// Publishes another view.
    fn change(&self, round: u32) {
        self.fleet.apply(&[heartbeat(&self.servers[0], round)]);
        self.fleet.publish(Timestamp::now());
    }
}

fn registration(number: u32) -> Registration {
    let countries = ["DE", "NL", "US", "JP", "BR"];
    let country_code = countries[number as usize % countries.len()].to_owned();
    let place = Place { country_code, ..Place::default() };
    Registration { place, ..story::registration(number as usize) }
}

fn heartbeat(server: &Server, number: u32) -> Record {
    story::observe(&mut Standing::default(), server.id, Timestamp::now(), story::heartbeat(number))
}

/// Answers the same bytes to everybody, head included, without a look at the request.
fn fixed(answer: &Answer) -> Router {
    let status = StatusCode::from_u16(answer.status).unwrap();
    let headers: HeaderMap = answer
        .head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !["content-length", "date"].contains(name))
        .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()))
        .collect();
    let body = Bytes::from(answer.body.clone());
    let handler = async move || {
        let mut response = Response::new(Body::from(body.clone()));
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        response
    };
    Router::new().route("/servers", get(handler))
}

/// Measures both in turns and prints rates and ratio.
/// Gives the ratio of ours to the fixed body's rate.
async fn compare(name: &str, fixed: SocketAddr, ours: SocketAddr, request: &str, bytes: usize, goal: f64) -> f64 {
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let first = pair % 2 == 0;
        let (a, b) = if first { (fixed, ours) } else { (ours, fixed) };
        let (a, b) = (rate(a, request).await, rate(b, request).await);
        pairs.push(if first { (a, b) } else { (b, a) });
    }
    let ratio = median(pairs.iter().map(|pair| pair.1 / pair.0).collect());
    println!(
        "{name}, {bytes} bytes: static {:.0}/s, GET /servers {:.0}/s, ratio of a pair {ratio:.2} (goal ≥ {goal})",
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
    );
    ratio
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
    let answer = ask(address, &format!("{head}content-length: {}\r\n\r\n{form}", form.len())).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
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
                let mut seen = Vec::with_capacity(1 << 20);
                let mut answered = 0u32;
                while Instant::now() < end {
                    exchange(&mut stream, &request, &mut seen).await;
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

/// One request on a connection of its own.
async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut seen = Vec::new();
    let (status, end) = exchange(&mut TcpStream::connect(address).await.unwrap(), request, &mut seen).await;
    let body = seen.split_off(end + 4);
    Answer { status, head: String::from_utf8_lossy(&seen).to_lowercase(), body }
}

struct Answer {
    status: u16,
    /// Lower case.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One request and its whole answer in `seen`; returns its status and where its head ends. As frugal as a load generator
/// has to be: what it spends counts on both sides.
async fn exchange(stream: &mut TcpStream, request: &str, seen: &mut Vec<u8>) -> (u16, usize) {
    seen.clear();
    stream.write_all(request.as_bytes()).await.unwrap();
    loop {
        assert!(stream.read_buf(seen).await.unwrap() > 0, "closed early");
        let Some(end) = head_end(seen) else { continue };
        let head = std::str::from_utf8(&seen[..end]).unwrap();
        let status = head[9..12].parse().unwrap();
        assert!(matches!(status, 200 | 304), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let total = end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap());
        while seen.len() < total {
            assert!(stream.read_buf(seen).await.unwrap() > 0, "closed early");
        }
        return (status, end);
    }
}

fn head_end(seen: &[u8]) -> Option<usize> {
    seen.windows(4).take(4096).position(|window| window == b"\r\n\r\n")
}
