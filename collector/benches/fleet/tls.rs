//! The same over TLS: what a kept connection, a resumed session and a whole handshake cost the collector.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mect_collector::simulate::{Options, Profile, Simulation};
use mect_fleet::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::contenders::{Connections, TARGETS, config};
use super::largest::{Page, start};
use super::pki::Authority;
use super::process::Usage;
use super::{Plan, setting};

/// Goal: a whole handshake for each scrape, at the longest usual interval, 120 s, and the largest fleet, 50,000, takes so
/// much of a core, so that no connection needs to be kept there.
const CORES_GOAL: f64 = 0.5;
const LARGEST_PER_SECOND: f64 = 50_000.0 / 120.0;
/// Name in the certificate of every server.
const NAME: &str = "fleet.example";

/// Measures the three ways; true when the goal was reached.
pub fn measure() -> bool {
    let plan = Plan {
        profile: "load",
        targets: setting("BENCH_TLS_TARGETS", 2_000),
        interval: 10,
        samples: 100,
        seconds: setting("BENCH_TLS_SECONDS", 30),
    };
    println!("over TLS: {} targets every {} s", plan.targets, plan.interval);
    let kept = one(&plan, "kept connections", Connections::Kept, 0);
    let resumed = one(&plan, "resumed sessions", Connections::Fresh, 2);
    let whole = one(&plan, "whole handshakes", Connections::Fresh, 0);
    let (resumed, of_kept) = (resumed / kept, whole / kept);
    let cores = whole * LARGEST_PER_SECOND / 1e6;
    println!("    a resumed session takes {resumed:.1} of a kept connection's CPU, a whole handshake {of_kept:.1}");
    println!("    whole handshakes with 50,000 targets every 120 s: {cores:.2} cores (goal ≤ {CORES_GOAL})");
    cores <= CORES_GOAL
}

/// Microseconds of CPU for a scrape.
fn one(plan: &Plan, name: &str, connections: Connections, tickets: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority(directory.path());
    authority.root("ca");
    authority.issue("server", "ca", &format!("DNS:{NAME}"), 30);
    let fleet = Fleet::start(directory.path(), plan, tickets);
    let access = format!("[[access]]\nname = \"fleet\"\nca = \"ca.pem\"\nserver_name = \"{NAME}\"\n");
    let config = config(plan, connections.setting(), directory.path());
    let (running, url) = start(&format!("{config}{access}"), directory.path());
    std::thread::sleep(Duration::from_secs(u64::from(2 * plan.interval)));
    let scrapes = || Page::of(&url).value("mect_scrapes_total{result=\"success\"}");
    let (usage_before, before, handshakes) = (running.usage(), scrapes(), fleet.handshakes());
    std::thread::sleep(Duration::from_secs(u64::from(plan.seconds)));
    let (usage, scrapes, after) = (running.usage(), scrapes() - before, fleet.handshakes());
    let micros = Usage::cpu_between(&usage_before, &usage).as_secs_f64() * 1e6 / scrapes;
    println!(
        "    {name}: {micros:.1} µs CPU per scrape, {:.1} KiB RSS per target ({scrapes} scrapes, {} whole handshakes, {} \
         resumed)",
        usage.resident_kib as f64 / f64::from(plan.targets),
        after.0 - handshakes.0,
        after.1 - handshakes.1,
    );
    micros
}

/// Every address of loopback answers with the same page.
struct Fleet {
    counts: Arc<(AtomicU64, AtomicU64)>,
    _runtime: Runtime,
}

impl Fleet {
    /// Serves, and writes the target file.
    fn start(directory: &Path, plan: &Plan, tickets: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (page, listener) = runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            let samples = usize::try_from(plan.samples).ok();
            let options = Options { servers: 1, port: 0, samples, profile: Profile::Load, seed: 1 };
            (Simulation::bind(options).unwrap().page(0, Timestamp::now()), listener)
        });
        let targets: Vec<String> = (0..plan.targets)
            .map(|number| Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 64, 0, 1)) + number))
            .map(|ip| format!("https://{ip}:{}/metrics", listener.local_addr().unwrap().port()))
            .collect();
        let groups = json!([{"targets": targets, "labels": {"access": "fleet"}}]);
        std::fs::write(directory.join(TARGETS), groups.to_string()).unwrap();
        let (counts, acceptor) = (Arc::<(AtomicU64, AtomicU64)>::default(), acceptor(directory, tickets));
        let (counting, page) = (Arc::clone(&counts), Bytes::from(page));
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone(), Arc::clone(&counting), page.clone()));
            }
        });
        Self { counts, _runtime: runtime }
    }

    /// Whole ones and resumed ones so far.
    fn handshakes(&self) -> (u64, u64) {
        (self.counts.0.load(Ordering::Relaxed), self.counts.1.load(Ordering::Relaxed))
    }
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor, counts: Arc<(AtomicU64, AtomicU64)>, page: Bytes) {
    // Whoever hangs up shows as a missing scrape.
    let Ok(stream) = acceptor.accept(socket).await else { return };
    let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    (if is_resumed { &counts.1 } else { &counts.0 }).fetch_add(1, Ordering::Relaxed);
    let service = service_fn(move |_: http::Request<hyper::body::Incoming>| {
        let mut response = http::Response::new(Full::<Bytes>::from(page.clone()));
        let plain = http::HeaderValue::from_static("text/plain; version=0.0.4");
        response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
        async { Ok::<_, Infallible>(response) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn acceptor(directory: &Path, tickets: usize) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(directory.join("server.pem")).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.send_tls13_tickets = tickets;
    TlsAcceptor::from(Arc::new(config))
}
