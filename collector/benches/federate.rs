//! How long `GET /federate` takes for all series of 1,000 servers with 100 series each, beside the least that such an
//! answer costs: every page unpacked, every line copied with its labels. Both in one process, in turns:
//! `cargo bench -p mect-collector --bench federate`, with `BENCH_SERVERS` for another number.
//! Fails when it misses its goals.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use mect_collector::pages::{Packed, Pages};
use mect_collector::parse::{self, Format};
use mect_collector::scrape::Page;
use mect_fleet::collecting::{ActiveTarget, Collecting, Targets, TargetsSnapshot};
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Store, story};
use mect_fleet::{Fleet, Neighbours, Server, Standing, Timestamp};
use mect_web::{Parts, Secret, ServeLimits, Settings, ensure_first_admin};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// As the collector has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 100;
const ROUNDS: usize = 15;
/// Goals: the whole answer within this time on a usual machine, and within so many times the least on any.
const GOAL_MS: f64 = 150.0;
const GOAL_RATIO: f64 = 5.0;
const PASSWORD: &str = "a password to measure with";

#[tokio::main]
async fn main() -> ExitCode {
    let servers = std::env::var("BENCH_SERVERS").map_or(1_000, |text| text.parse().unwrap());
    let site = Site::new(servers).await;
    let bytes: usize = site.packed.iter().map(Vec::len).sum();
    println!("{servers} servers with {SERIES} series, {} bytes a page when packed", bytes / servers);
    let (mut ours, mut packed, mut least) = (Vec::new(), Vec::new(), Vec::new());
    let mut series = 0;
    for _ in 0..ROUNDS {
        let (time, text) = site.ask(false).await;
        series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(series >= servers * SERIES, "{series} series");
        ours.push(time);
        packed.push(site.ask(true).await.0);
        least.push(site.least());
    }
    let [ours, packed, least] = [ours, packed, least].map(median);
    let ratio = ours / least;
    println!(
        "{series} series: {ours:.0} ms (goal ≤ {GOAL_MS}), packed {packed:.0} ms; least {least:.0} ms, ratio {ratio:.2} (goal ≤ {GOAL_RATIO})"
    );
    if ours <= GOAL_MS && ratio <= GOAL_RATIO { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A fleet that is served.
struct Site {
    url: String,
    token: String,
    packed: Vec<Vec<u8>>,
    _data: tempfile::TempDir,
}

struct Told(Vec<ActiveTarget>);

impl Targets for Told {
    fn snapshot(&self) -> TargetsSnapshot {
        TargetsSnapshot { active: self.0.clone(), ..TargetsSnapshot::default() }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(120)
    }
}

impl Site {
    async fn new(count: usize) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
        ensure_first_admin(&*store.accounts, Some(Secret::new("the first password")), |_| Ok(())).await.unwrap();
        let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
        let servers = fleet.register((0..count).map(story::registration).collect(), Timestamp::now()).await.unwrap();
        let pages = Pages::new(true, parse::Limits::default());
        let mut packed = Vec::new();
        let mut batch = Vec::new();
        for (number, server) in (0u32..).zip(&servers) {
            let record =
                story::observe(&mut Standing::default(), server.id, Timestamp::now(), story::heartbeat(number));
            let page = page(number);
            packed.push(gzip(&page));
            pages.put(&record.report, Some(Packed::of(scraped(page, packed.last().cloned())).into()));
            batch.push(record);
        }
        fleet.apply(&batch);
        fleet.set_monitored(&servers.iter().map(|server| server.id).collect(), Timestamp::now());
        fleet.publish(Timestamp::now());
        let target = |server: &Server| ActiveTarget {
            server: server.id,
            url: Some(format!("http://{}:9776/metrics", server.ip)),
            further: Vec::new(),
        };
        let told = Told(servers.iter().map(target).collect());
        let parts = Parts {
            fleet,
            accounts: store.accounts,
            history: store.history,
            journal: store.journal,
            neighbours: Neighbours::default(),
            collecting: Collecting { targets: Some(Arc::new(told)), pages: Some(pages), ..Collecting::default() },
            registry: Arc::new(Registry::default()),
            settings: Settings::new(Secret::new("a measurement needs no secret, just 32 bytes")).unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = mect_web::router(parts);
        tokio::spawn(mect_web::serve(listener, router, ServeLimits::default(), CancellationToken::new()));
        let at = url.clone();
        let token = tokio::task::spawn_blocking(move || sign_in(&at)).await.unwrap();
        Self { url, token, packed, _data: data }
    }

    /// Milliseconds until the last byte, and the answer.
    async fn ask(&self, is_gzip: bool) -> (f64, String) {
        let (url, bearer) =
            (format!("{}/federate?match%5B%5D=%7Bjob%3D%22vpn%22%7D", self.url), format!("Bearer {}", self.token));
        let asked = move || {
            let start = Instant::now();
            let request = agent().get(&url).header("authorization", &bearer);
            let request = if is_gzip { request.header("accept-encoding", "gzip") } else { request };
            let mut response = request.call().unwrap();
            let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
            (start.elapsed().as_secs_f64() * 1e3, body)
        };
        let (time, body) = tokio::task::spawn_blocking(asked).await.unwrap();
        (time, if is_gzip { String::new() } else { String::from_utf8(body).unwrap() })
    }

    /// Milliseconds that the least of it takes.
    fn least(&self) -> f64 {
        let start = Instant::now();
        let mut answer = Vec::new();
        for packed in &self.packed {
            let mut page = String::new();
            GzDecoder::new(&**packed).read_to_string(&mut page).unwrap();
            for line in page.lines() {
                answer.extend_from_slice(line.as_bytes());
                answer.extend_from_slice(b",country_code=\"DE\",instance=\"192.0.2.1:9776\",job=\"vpn\",server_id=\"srv-aaaaaaaa\"} 1795000000000\n");
            }
        }
        assert!(answer.len() > self.packed.len());
        start.elapsed().as_secs_f64() * 1e3
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(true).build().new_agent()
}

/// A token of the admin, whose password is changed first.
fn sign_in(url: &str) -> String {
    let token = |password: &str| {
        let form = [("username", "admin"), ("password", password)];
        let answer = agent().post(format!("{url}/token")).send_form(form).unwrap().body_mut().read_json();
        let answer: serde_json::Value = answer.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let change = serde_json::json!({"current_password": "the first password", "new_password": PASSWORD});
    let bearer = format!("Bearer {}", token("the first password"));
    agent().post(format!("{url}/users/change-password")).header("authorization", &bearer).send_json(change).unwrap();
    token(PASSWORD)
}

/// As a usual host's: some names with many series, and many with one.
fn page(number: u32) -> Vec<u8> {
    let mut page = Vec::new();
    for series in 0..SERIES {
        let (name, label) = (series % 40, series / 40);
        let value = f64::from(number) * 7919.25 + series as f64;
        writeln!(page, "node_network_receive_thing_{name}_total{{device=\"eth{label}\"}} {value}").unwrap();
    }
    page
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

fn scraped(bytes: Vec<u8>, gzip: Option<Vec<u8>>) -> Page {
    let now = Instant::now();
    Page {
        wire_bytes: bytes.len(),
        bytes,
        format: Format::Text,
        gzip,
        connected_at: now,
        answered_at: now,
        content_type: None,
        date: None,
    }
}
