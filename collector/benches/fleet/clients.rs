//! What clients feel of the collector's other work: how long `GET /servers` with 1,000 servers takes, at a steady rate,
//! while a few and while 50,000 targets are scraped, and while many people sign in at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contenders::{self, TARGETS, config};
use super::process::Running;
use super::{Plan, setting};

/// Servers in the list; the rest is scraped, but not offered to clients.
const LISTED: usize = 1_000;
/// Requests per second in all, and connections that they come over.
const RATE: u32 = 400;
const CONNECTIONS: u32 = 4;
const LOGINS: usize = 50;
const FIRST_PASSWORD: &str = "the first password";
const PASSWORD: &str = "a password to measure with";

/// Goals: the slowest hundredth of the answers while many targets are scraped, against few; and while many sign in,
/// against nobody. All run on the same cores, the simulated fleet too.
const FLEET_GOAL: f64 = 4.0;
const LOGINS_GOAL: f64 = 10.0;

/// Measures both fleets, one after the other; true when the goals were reached.
pub fn measure() -> bool {
    let (mut is_reached, mut few) = (true, None);
    let largest = setting("BENCH_LARGEST_TARGETS", 50_000);
    println!("clients: GET /servers with {LISTED} servers, Brotli, {RATE} requests per second");
    for targets in [LISTED as u32, largest] {
        let interval = setting("BENCH_LARGEST_INTERVAL", 120);
        let plan =
            Plan { profile: "load", targets, interval, samples: 100, seconds: setting("BENCH_CLIENTS_SECONDS", 30) };
        let directory = tempfile::tempdir().unwrap();
        let _simulation = contenders::simulate(&plan, directory.path());
        hide_all_but(LISTED, &directory.path().join(TARGETS));
        let (_running, address) = start(&plan, directory.path());
        let token = sign_in_first(&address);
        wait_for_the_list(&address, &token);
        let length = Duration::from_secs(u64::from(plan.seconds));
        let calm = run(&address, &token, || std::thread::sleep(length));
        println!("{targets} targets: {calm}");
        let mut outcomes = Vec::new();
        let busy = run(&address, &token, || outcomes = sign_in_all(&address));
        println!("{targets} targets, {LOGINS} logins: {busy}");
        let (fleet, logins) = (calm.p99 / *few.get_or_insert(calm.p99), busy.p99 / calm.p99);
        println!(
            "    p99 {fleet:.1} of that of few targets (goal ≤ {FLEET_GOAL}), {logins:.1} with logins (goal ≤ {LOGINS_GOAL})"
        );
        is_reached &= fleet <= FLEET_GOAL && logins <= LOGINS_GOAL;
        let right = outcomes.iter().filter(|status| **status == 200).count();
        println!("    of the logins {right} were answered at once, {} told to come back", LOGINS - right);
    }
    is_reached
}

/// How long answers took, in milliseconds.
struct Times {
    answers: usize,
    p50: f64,
    p99: f64,
    largest: f64,
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, p50, p99, largest } = self;
        write!(f, "{answers} answers, p50 {p50:.2} ms, p99 {p99:.2} ms, largest {largest:.1} ms")
    }
}

/// Leaves `listed` servers enabled.
fn hide_all_but(listed: usize, path: &Path) {
    let mut groups: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for group in groups.iter_mut().skip(listed) {
        group["labels"]["enabled"] = json!("false");
    }
    std::fs::write(path, serde_json::to_vec(&groups).unwrap()).unwrap();
}

fn start(plan: &Plan, directory: &Path) -> (Running, String) {
    let (path, password) = (directory.join("collector.toml"), directory.join("password"));
    std::fs::write(&path, format!("[web]\nlisten = \"127.0.0.1:0\"\n{}", config(plan, "", directory))).unwrap();
    std::fs::write(&password, FIRST_PASSWORD).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("serve").arg("--config").arg(path).env("MECT_ADMIN_PASSWORD_FILE", password).stdout(Stdio::piped());
    let mut running = Running::start("cargo build", &mut command);
    let lines = BufReader::new(running.output.take().unwrap()).lines();
    let ready = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("ready at http://").map(|(_, address)| address.to_owned()));
    (running, ready.expect("the collector ended before it was ready"))
}

fn token(address: &str, password: &str) -> ureq::http::Response<ureq::Body> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.post(format!("http://{address}/token")).send_form([("username", "admin"), ("password", password)]).unwrap()
}

fn access_token(address: &str, password: &str) -> String {
    let answer: Value = token(address, password).body_mut().read_json().unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn sign_in_first(address: &str) -> String {
    let first = access_token(address, FIRST_PASSWORD);
    ureq::post(format!("http://{address}/users/change-password"))
        .header("authorization", format!("Bearer {first}"))
        .send_json(json!({"current_password": FIRST_PASSWORD, "new_password": PASSWORD}))
        .unwrap();
    access_token(address, PASSWORD)
}

/// Everybody at once; the statuses.
fn sign_in_all(address: &str) -> Vec<u16> {
    std::thread::scope(|scope| {
        let logins: Vec<_> = (0..LOGINS).map(|_| scope.spawn(|| token(address, PASSWORD).status().as_u16())).collect();
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    })
}

fn wait_for_the_list(address: &str, token: &str) {
    loop {
        let mut answer = ureq::get(format!("http://{address}/servers"))
            .header("authorization", format!("Bearer {token}"))
            .call()
            .unwrap();
        let list: Vec<Value> = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        if list.len() >= LISTED {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Asks at a steady rate for as long as `work` takes. Times count from when a request was due, so that a slow answer
/// does not hide those that wait behind it.
fn run(address: &str, token: &str, work: impl FnOnce()) -> Times {
    let (stop, started) = (std::sync::atomic::AtomicBool::new(false), Instant::now());
    let mut latencies = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let stop = &stop;
                scope.spawn(move || ask_steadily(address, token, started, client, stop))
            })
            .collect();
        work();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Times { answers: latencies.len(), p50: at(0.5), p99: at(0.99), largest: at(1.0) }
}

fn ask_steadily(
    address: &str,
    token: &str,
    started: Instant,
    client: u32,
    stop: &std::sync::atomic::AtomicBool,
) -> Vec<Duration> {
    let request =
        format!("GET /servers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\naccept-encoding: br\r\n\r\n");
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::with_capacity(1 << 16, stream.try_clone().unwrap());
    let mut stream = stream;
    let mut latencies = Vec::new();
    for number in 0u32.. {
        let due = started + Duration::from_secs_f64(f64::from(number * CONNECTIONS + client) / f64::from(RATE));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
        stream.write_all(request.as_bytes()).unwrap();
        swallow(&mut answers);
        latencies.push(due.elapsed());
    }
    latencies
}

/// Reads one answer.
fn swallow(answers: &mut BufReader<TcpStream>) {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        assert!(answers.read_line(&mut line).unwrap() > 0, "closed early");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        assert!(!line.starts_with("http/1.1") || line.starts_with("http/1.1 200"), "{line}");
        if line.is_empty() {
            break;
        }
    }
    std::io::copy(&mut answers.by_ref().take(length), &mut std::io::sink()).unwrap();
}
