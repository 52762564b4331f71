//! How long the fleet page takes until its first byte, at 1,000 and at 50,000 servers, in one run over kept connections:
//! `cargo bench -p mect-web --bench pages`. Fails when a page misses its goal.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use http::header;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Record, Registration, Store, story};
use mect_fleet::{Fleet, Place, Server, Standing, Timestamp};
use mect_web::{Parts, Secret, ServeLimits, Settings, ensure_first_admin};
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a password to measure with";
const SIZES: [u32; 2] = [1_000, 50_000];
const ROUNDS: u32 = 30;
/// Goal: the first byte comes within this time.
const GOAL_MS: f64 = 20.0;
const PAGES: [&str; 4] = ["/", "/?country=DE&sort=load&page=2", "/?q=host-9&sort=-name", "/?state=down"];

#[tokio::main]
async fn main() -> ExitCode {
    let mut misses = 0;
    let mut rows = Vec::new();
    for size in SIZES {
        let site = Site::new(size).await;
        for path in PAGES {
            let mut times = Vec::new();
            let mut bytes = 0;
            for round in 0..ROUNDS {
                // Each time another view, of which nothing is summed up yet.
                site.change(round);
                let (milliseconds, length) = site.visit(path).await;
                times.push(milliseconds);
                bytes = length;
            }
            times.sort_by(f64::total_cmp);
            let (median, worst) = (times[times.len() / 2], times[times.len() - 2]);
            println!(
                "{size} servers, {path}: first byte after {median:.1} ms, 97th percentile {worst:.1} ms, {bytes} bytes"
            );
            misses += usize::from(median > GOAL_MS);
            rows.push(median);
        }
    }
    let (small, large) = rows.split_at(PAGES.len());
    for ((path, small), large) in PAGES.iter().zip(small).zip(large) {
        println!("{path}: {:.1} times as long at {} servers", large / small, SIZES[1]);
    }
    if misses == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A fleet that is served.
struct Site {
    address: SocketAddr,
    cookie: String,
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
            settings: Settings::new(Secret::new("0123456789abcdef0123456789abcdef")).unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = mect_web::router(parts);
        tokio::spawn(mect_web::serve(listener, router, ServeLimits::default(), CancellationToken::new()));
        let mut site = Self { address, cookie: String::new(), fleet, servers, _data: data };
        site.cookie = site.submit("/login", "username=admin&password=the+first+password").await;
        let form = format!(
            "current_password=the+first+password&new_password={new}&repeat_password={new}",
            new = PASSWORD.replace(' ', "+")
        );
        site.cookie = site.submit("/password", &form).await;
        site
    }

    /// Another heartbeat of a hundredth of the fleet.
    fn change(&self, round: u32) {
        let servers = self.servers.iter().skip(round as usize % 100).step_by(100);
        let batch: Vec<_> = (round..).zip(servers).map(|(n, server)| heartbeat(server, n * 104_729)).collect();
        self.fleet.apply(&batch);
        self.fleet.publish(Timestamp::now());
    }

    /// Submits a form; gives the cookie that the answer sets.
    async fn submit(&self, path: &str, form: &str) -> String {
        let cookie = &self.cookie;
        let form = format!("{form}&form_token={}", form_token(cookie));
        let length = form.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nsec-fetch-site: same-origin\r\ncookie: {cookie}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{form}"
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let name = format!("{}: ", header::SET_COOKIE);
        let set = answer.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{answer}"));
        set.split(';').next().unwrap().to_owned()
    }

    /// Milliseconds until the first byte of a page, and its whole length.
    async fn visit(&self, path: &str) -> (f64, usize) {
        let cookie = &self.cookie;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let start = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1];
        stream.read_exact(&mut answer).await.unwrap();
        let first = start.elapsed().as_secs_f64() * 1e3;
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..answer.len().min(500)]));
        (first, answer.len())
    }
}

fn registration(n: u32) -> Registration {
    let (code, country) =
        [("DE", "Germany"), ("FR", "France"), ("US", "United States"), ("JP", "Japan")][n as usize % 4];
    let place = Place { country_code: code.into(), country: country.into(), ..Place::default() };
    Registration {
        ip: format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255),
        hostname: format!("host-{n:05}"),
        place,
        ..Registration::default()
    }
}

fn heartbeat(server: &Server, n: u32) -> Record {
    story::observe(&mut Standing::default(), server.id, Timestamp::now(), story::heartbeat(n))
}

/// What a page of that session carries in its forms.
fn form_token(cookie: &str) -> String {
    let secret = cookie.split_once('=').map_or("", |(_, secret)| secret);
    let token = Sha256::new().chain_update("mect form token").chain_update(Sha256::digest(secret)).finalize();
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}
