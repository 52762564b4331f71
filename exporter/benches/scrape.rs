//! CPU, time and memory of a scrape, against Debian's node_exporter with the same collectors and with its defaults,
//! in the same run; and whether memory stays flat.
//!
//! Run it alone with `cargo bench -p mect-exporter --bench scrape`; `BENCH_SCRAPES` sets the number of scrapes,
//! `BENCH_LONG` that of the long run, and `BENCH_EXPORTER` another program, such as the small one that is shipped:
//! `target/release-small/mect-exporter`. The exporter's cache is off, so that each scrape collects anew.

#![allow(clippy::unwrap_used, reason = "a failed step ends the bench")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: u32 = 20;
/// Rounds in which the programs take turns, so that other load meets all of them alike.
const ROUNDS: u32 = 10;
/// Goals: at most this share of node_exporter's processor time, this much time, memory and size, and growth.
const CPU_GOAL: f64 = 0.2;
const P99_GOAL: Duration = Duration::from_millis(2);
const MEMORY_GOAL_KIB: u64 = 5 * 1024;
const SIZE_GOAL_BYTES: u64 = 5 * 1024 * 1024;
const GROWTH_GOAL_KIB: u64 = 256;

/// node_exporter's flags for what our samplers read.
const SAME_SAMPLERS: [&str; 17] = [
    "--collector.disable-defaults",
    "--collector.cpu",
    "--collector.meminfo",
    "--collector.loadavg",
    "--collector.pressure",
    "--collector.netdev",
    "--collector.netclass",
    "--collector.conntrack",
    "--collector.sockstat",
    "--collector.netstat",
    "--collector.softnet",
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

/// A program under measurement.
struct Candidate {
    name: &'static str,
    program: Program,
    connection: TcpStream,
    cpu: Duration,
    times: Vec<Duration>,
    page: Vec<u8>,
}

fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn main() -> ExitCode {
    let (scrapes, long) = (number("BENCH_SCRAPES", 1000), number("BENCH_LONG", 100_000));
    let ours = std::env::var("BENCH_EXPORTER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mect-exporter").to_owned());
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("exporter.toml");
    fs::write(&settings, "page_seconds = 0\n[services]\n").unwrap();
    let node_exporter = |flags: &'static [&'static str]| {
        Program::start(
            "prometheus-node-exporter",
            "apt-get install prometheus-node-exporter",
            move |command, address| {
                command.args(flags).arg(format!("--web.listen-address={address}"));
            },
        )
    };
    println!("scrape: {scrapes} scrapes each, in {ROUNDS} rounds");
    let mut candidates = [
        Candidate::new(
            "mect-exporter",
            Program::start(&ours, "cargo build", |command, address| {
                command.arg("--config").arg(&settings).args(["--listen", &address.to_string()]);
            }),
        ),
        Candidate::new("same samplers", node_exporter(&SAME_SAMPLERS)),
        Candidate::new("its defaults", node_exporter(&[])),
    ];
    for _ in 0..ROUNDS {
        candidates.iter_mut().for_each(|candidate| candidate.measure(scrapes / ROUNDS));
    }
    for candidate in &mut candidates {
        candidate.report(scrapes);
    }
    let [ours_measured, same, defaults] = &candidates;
    let ratio = |other: &Candidate| ours_measured.cpu.as_secs_f64() / other.cpu.as_secs_f64();
    println!(
        "CPU: {:.3} of node_exporter with the same samplers (goal ≤ {CPU_GOAL}), {:.3} of its defaults",
        ratio(same),
        ratio(defaults)
    );
    let (cpu, p99) = (ratio(same), ours_measured.percentile(0.99));
    println!("p99: {p99:?} (goal ≤ {P99_GOAL:?})");
    let resident = ours_measured.program.usage().resident_kib;
    println!(
        "memory: {resident} KiB RSS after {scrapes} scrapes (goal ≤ {MEMORY_GOAL_KIB}), node_exporter {}",
        same.program.usage().resident_kib
    );
    let size = fs::metadata(&ours).unwrap().len();
    println!("size: {size} bytes (goal ≤ {SIZE_GOAL_BYTES}): {ours}");

    let [ours_measured, ..] = &mut candidates;
    for _ in 0..long {
        fetch(&mut ours_measured.connection);
    }
    let grown = ours_measured.program.usage().resident_kib.saturating_sub(resident);
    println!("growth: {grown} KiB over {long} more scrapes (goal ≤ {GROWTH_GOAL_KIB})");
    let is_lean = resident <= MEMORY_GOAL_KIB && size <= SIZE_GOAL_BYTES && grown <= GROWTH_GOAL_KIB;
    let is_reached = cpu <= CPU_GOAL && p99 <= P99_GOAL && is_lean;
    if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Candidate {
    fn new(name: &'static str, program: Program) -> Self {
        let mut connection = TcpStream::connect(program.address).unwrap();
        for _ in 0..WARM_UP {
            fetch(&mut connection);
        }
        Self { name, program, connection, cpu: Duration::ZERO, times: Vec::new(), page: Vec::new() }
    }

    fn measure(&mut self, scrapes: u32) {
        let before = self.program.usage().cpu;
        for _ in 0..scrapes {
            let started = Instant::now();
            self.page = fetch(&mut self.connection);
            self.times.push(started.elapsed());
        }
        self.cpu += self.program.usage().cpu - before;
    }

    fn percentile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize]
    }

    fn report(&self, scrapes: u32) {
        let series = self.page.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
        println!(
            "{:<14} {:>8.1} µs CPU per scrape, p50 {:>9.1?}, p99 {:>9.1?}, {:>6} KiB RSS, {series:>4} series, {:>6} bytes",
            self.name,
            self.cpu.as_secs_f64() * 1e6 / f64::from(scrapes),
            self.percentile(0.5),
            self.percentile(0.99),
            self.program.usage().resident_kib,
            self.page.len()
        );
    }
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
