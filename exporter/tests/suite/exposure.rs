//! Peers that mean no good: slow ones, many of them, and those who may not connect at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::{Program, exchange};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

fn start(settings: &str) -> (Program, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exporter.toml");
    std::fs::write(&path, settings).unwrap();
    (Program::start(&["--config", path.to_str().unwrap()], &[]), dir)
}

/// Whether the other side closes within `patience`.
fn is_closed(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    let read = stream.read(&mut [0]);
    matches!(read, Ok(0)) || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[test]
fn only_addresses_of_the_list_may_connect() {
    let (program, _dir) = start("allow = [\"127.0.0.0/30\"]\n");
    program.metrics();
    let (program, _dir) = start("allow = [\"192.0.2.0/24\", \"::1\"]\n");
    let mut stream = program.connect();
    let _ = stream.write_all(GET.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn one_address_cannot_take_all_connections() {
    let program = Program::start(&[], &[]);
    let mut kept: Vec<TcpStream> = (0..4).map(|_| program.connect()).collect();
    kept.iter_mut().for_each(|stream| drop(exchange(stream, GET)));
    // Far sooner than a peer that only says nothing.
    assert!(is_closed(&mut program.connect(), Duration::from_secs(3)), "a fifth one");
    // From another address of this host there is room.
    let from = |address: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from((address, 0)).into()).unwrap();
        let to: std::net::SocketAddr = program.address.parse().unwrap();
        socket.connect(&to.into()).unwrap();
        TcpStream::from(socket)
    };
    exchange(&mut from([127, 0, 0, 2]), GET);
    kept.pop();
    let started = Instant::now();
    loop {
        let mut stream = program.connect();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut byte = [0];
        if stream.write_all(GET.as_bytes()).is_ok() && matches!(stream.read(&mut byte), Ok(1)) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "the place is not given back");
    }
}

#[test]
fn whoever_sends_no_whole_request_is_cut_off() {
    let program = Program::start(&[], &[]);
    let started = Instant::now();
    let mut silent = program.connect();
    let mut slow = program.connect();
    slow.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    // A header now and then buys no time.
    let mut byte = [0];
    while slow.write_all(b"X: y\r\n").is_ok() {
        match slow.read(&mut byte) {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(started.elapsed() < Duration::from_secs(20), "still connected");
    }
    let elapsed = started.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&elapsed), "{elapsed:?}");
    assert!(is_closed(&mut silent, Duration::from_secs(10)));
    program.metrics();
}

#[test]
fn an_endless_request_line_ends_the_connection_only() {
    let program = Program::start(&[], &[]);
    let mut stream = program.connect();
    let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100 * 1024)).as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    program.metrics();
}

#[test]
fn refusals_are_all_the_same_and_name_no_version() {
    let program = Program::start(&[], &[("AGENT_API_KEY", "s3cret")]);
    let refused = |header: &str| {
        let response = program.request(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n"));
        let head: Vec<String> =
            response.head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
        (head, response.body)
    };
    let without = refused("");
    assert_eq!(without.1, "unauthorized\n");
    for header in ["Authorization: Bearer s3cre\r\n", "X-API-Key: x\r\n", "Authorization: Basic czNjcmV0\r\n"] {
        assert_eq!(refused(header), without);
    }
    for path in ["/", "/metrics", "/healthz", "/nope"] {
        let response = program.request(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let all = response.head + &response.body;
        assert!(!all.contains(env!("CARGO_PKG_VERSION")) && !all.contains("server:"), "{all}");
    }
}
