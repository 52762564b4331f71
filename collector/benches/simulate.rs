//! What a simulated fleet costs: one page, and each of 50,000 servers fetched once over its own connection.
//!
//! The simulation runs on a thread of its own and a plain client on this one, both on one core each if there are two.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use mect_collector::parse::{self, Limits};
use mect_collector::simulate::{Options, Profile, Simulation};
use mect_fleet::Timestamp;
use tokio_util::sync::CancellationToken;

const SERVERS: u32 = 50_000;
const PAGES: u32 = 50_000;

fn main() {
    let options = Options { servers: SERVERS, port: 0, samples: None, profile: Profile::Load, seed: 1 };
    let (tell, told) = mpsc::channel();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let before = resident_kib();
    let simulation = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let simulation = Simulation::bind(options).expect("a free port");
            render(&simulation);
            let addresses: Vec<String> = simulation.targets().map(|target| target.address).collect();
            tell.send(addresses).expect("someone listens");
            simulation.serve(stopped).await;
        });
    });
    let addresses = told.recv().expect("the simulation's addresses");

    let limits = Limits::default();
    let (mut bytes, mut samples) = (0, 0);
    let mut answer = Vec::new();
    let (mut worst, start) = (Duration::ZERO, Instant::now());
    for address in &addresses {
        let began = Instant::now();
        answer.clear();
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a sent request");
        stream.read_to_end(&mut answer).expect("an answer");
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a response head") + 4;
        samples += parse::text(&answer[body..], &limits).expect("a valid page").samples().len();
        bytes += answer.len();
        worst = worst.max(began.elapsed());
    }
    let taken = start.elapsed();
    println!(
        "{} servers fetched and parsed once, one after the other: {:.1} s, {:.0} per second, slowest {:.1} ms",
        addresses.len(),
        taken.as_secs_f64(),
        f64::from(SERVERS) / taken.as_secs_f64(),
        worst.as_secs_f64() * 1e3
    );
    println!("  {} bytes and {} samples per page", bytes / addresses.len(), samples / addresses.len());
    println!(
        "  resident memory of simulation, client and addresses: {before} KiB before, {} KiB after",
        resident_kib()
    );
    stop.cancel();
    simulation.join().expect("an orderly end");
}

/// How long a page takes to make.
fn render(simulation: &Simulation) {
    let start = Instant::now();
    for number in 0..PAGES {
        black_box(simulation.page(number % SERVERS, Timestamp::from_millis(1_795_500_000_000 + i64::from(number))));
    }
    let each = start.elapsed().as_secs_f64() / f64::from(PAGES);
    println!("one page made in {:.1} us on average", each * 1e6);
}

/// Memory of this process, from `/proc/self/status`; 0 where there is none.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
