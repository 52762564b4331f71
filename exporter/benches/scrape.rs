//! CPU per scrape and memory of the exporter, against Debian's node_exporter with the same collectors.
//!
//! Run it alone with `cargo bench -p mect-exporter --bench scrape`; `BENCH_SCRAPES` sets the number of scrapes.
//! Scrapes lie further apart than the exporter's cache of one second, so that each collects anew.

#![allow(clippy::unwrap_used, reason = "a failed step ends the bench")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than the exporter keeps a page.
const APART: Duration = Duration::from_millis(1050);
const WARM_UP: u32 = 5;
/// Goals: at most this share of node_exporter's processor time, and this much memory.
const CPU_GOAL: f64 = 0.2;
const MEMORY_GOAL_KIB: u64 = 5 * 1024;

/// node_exporter's flags for what our samplers read.
const SAME_SAMPLERS: [&str; 12] = [
    "--collector.disable-defaults",
    "--collector.cpu",
    "--collector.meminfo",
    "--collector.loadavg",
    "--collector.netdev",
    "--collector.netclass",
    "--collector.filesystem",
    "--collector.uname",
    "--collector.os",
    "--collector.stat",
    "--collector.time",
    "--web.disable-exporter-metrics",
];

struct Program {
    child: Child,
    address: SocketAddr,
}

struct Usage {
    cpu: Duration,
    resident_kib: u64,
}

fn main() {
    let scrapes = std::env::var("BENCH_SCRAPES").map_or(30, |text| text.parse().unwrap());
    println!("scrape: {scrapes} scrapes each, {APART:?} apart");
    let ours = measure(
        "mect-exporter",
        scrapes,
        &Program::start(env!("CARGO_BIN_EXE_mect-exporter"), "cargo build", |command, address| {
            command.args(["--listen", &address.to_string()]);
        }),
    );
    let theirs = measure(
        "node_exporter",
        scrapes,
        &Program::start("prometheus-node-exporter", "apt-get install prometheus-node-exporter", |command, address| {
            command.args(SAME_SAMPLERS).arg(format!("--web.listen-address={address}"));
        }),
    );
    let cpu = ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64();
    println!("mect-exporter / node_exporter: CPU {cpu:.3} (goal ≤ {CPU_GOAL})");
    println!("mect-exporter: {} KiB RSS (goal ≤ {MEMORY_GOAL_KIB})", ours.resident_kib);
}

fn measure(name: &str, scrapes: u32, program: &Program) -> Usage {
    let mut connection = TcpStream::connect(program.address).unwrap();
    let mut page = Vec::new();
    for _ in 0..WARM_UP {
        page = fetch(&mut connection);
    }
    let before = program.usage();
    for _ in 0..scrapes {
        std::thread::sleep(APART);
        page = fetch(&mut connection);
    }
    let after = program.usage();
    let cpu = (after.cpu - before.cpu) / scrapes;
    let series = page.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    println!(
        "{name:<14} {:>8.1} µs CPU per scrape {:>7} KiB RSS {series:>5} series {:>6} bytes",
        cpu.as_secs_f64() * 1e6,
        after.resident_kib,
        page.len()
    );
    Usage { cpu, resident_kib: after.resident_kib }
}

/// Fetches one page over the kept connection.
fn fetch(connection: &mut TcpStream) -> Vec<u8> {
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\naccept: text/plain\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let read = connection.read(&mut piece).unwrap();
        assert!(read > 0, "the exporter closed the connection");
        answer.extend_from_slice(&piece[..read]);
        if let Some(body) = whole_body(&answer) {
            return body;
        }
    }
}

/// The body of a complete answer, with its length announced or in chunks.
fn whole_body(answer: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => (body.len() >= length.parse().unwrap()).then(|| body.as_bytes().to_vec()),
        None => body.ends_with("0\r\n\r\n").then(|| body.as_bytes().to_vec()),
    }
}

impl Program {
    fn start(program: &str, install: &str, configure: impl FnOnce(&mut Command, SocketAddr)) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        configure(&mut command, address);
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; install it: {install}"));
        let program = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    /// Processor time of all threads in the scheduler's nanoseconds, and resident memory.
    fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id());
        let nanos: u64 = fs::read_dir(format!("{process}/task"))
            .unwrap()
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Usage { cpu: Duration::from_nanos(nanos), resident_kib: resident.unwrap().parse().unwrap() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
