//! The real program: what it answers, to whom, and how it ends.

use std::io::{Read, Write};

use crate::formats::promtool;
use crate::program::{Program, exchange};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn the_page_passes_promtool_and_stays_small() {
    let program = Program::start(&[], &[]);
    let response = program.request(GET);
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let series = response.body.lines().filter(|line| !line.starts_with('#')).count();
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert!(series <= 120 + 8 * cpus.saturating_sub(2), "{series} series");
    assert!(response.body.len() <= 20 * 1024 + 1024 * cpus.saturating_sub(2), "{} bytes", response.body.len());

    assert_eq!(promtool(&response.body), [] as [String; 0]);
}

#[test]
fn without_systemd_the_page_is_still_there() {
    let program = Program::start(&[], &[("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")]);
    let page = program.metrics();
    assert!(page.contains("vpn_exporter_sampler_success{sampler=\"systemd\"} 0\n"), "{page}");
    for sampler in ["cpu", "memory", "load", "network", "netstat", "os"] {
        assert!(page.contains(&format!("vpn_exporter_sampler_success{{sampler=\"{sampler}\"}} 1\n")), "{page}");
    }
}

#[test]
fn every_path_and_method_has_its_answer() {
    let program = Program::start(&[], &[]);
    for (request, status, body) in [
        ("GET /", 200, "<a href=\"/metrics\">"),
        ("GET /healthz", 200, "ok\n"),
        ("GET /healthz?probe=1", 200, "ok\n"),
        ("HEAD /metrics", 200, ""),
        ("HEAD /healthz", 200, ""),
        ("GET /metrics/", 404, "not found\n"),
        ("GET /../etc/passwd", 404, "not found\n"),
        ("POST /nope", 404, "not found\n"),
        ("POST /metrics", 405, "method not allowed\n"),
        ("DELETE /", 405, "method not allowed\n"),
    ] {
        let response = program.request(&format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(response.status, status, "{request}");
        assert!(response.body.contains(body), "{request}: {response:?}");
        assert_eq!(response.header("allow"), (status == 405).then_some("get, head"), "{request}");
    }
    let head = program.request("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
}

#[test]
fn the_token_is_asked_for_where_metrics_are() {
    for variables in [&[("AGENT_API_KEY", "s3cret")][..], &[("AGENT_API_KEY", "s3cret\n")]] {
        let program = Program::start(&[], variables);
        let status =
            |header: &str| program.request(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n")).status;
        assert_eq!(status("Authorization: Bearer s3cret\r\n"), 200);
        assert_eq!(status("X-API-Key: s3cret\r\n"), 200);
        assert_eq!(status("Authorization: Bearer wrong\r\n"), 401);
        assert_eq!(status("X-API-Key: s3cre\r\n"), 401);

        let refused = program.request(GET);
        assert_eq!((refused.status, refused.body.as_str()), (401, "unauthorized\n"));
        assert_eq!(refused.header("www-authenticate"), Some("bearer"));
        assert_eq!(refused.header("connection"), Some("close"));
        assert_eq!(program.request("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    }
}

#[test]
fn a_connection_serves_many_scrapes_and_a_page_lives_for_a_second() {
    let program = Program::start(&[], &[]);
    let mut stream = program.connect();
    let first = exchange(&mut stream, GET).body;
    for _ in 0..20 {
        exchange(&mut stream, GET);
    }
    let time = |page: &str| page.lines().find(|line| line.starts_with("node_time_seconds")).unwrap().to_owned();
    let started = std::time::Instant::now();
    let mut pages = 0;
    while time(&exchange(&mut stream, GET).body) == time(&first) {
        pages += 1;
        assert!(started.elapsed().as_secs() < 5, "the page never gets old");
    }
    assert!(pages > 0);
}

#[test]
fn an_oversized_or_broken_head_ends_the_connection_only() {
    let program = Program::start(&[], &[]);
    for bad in [
        format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024)),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET /metrics HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        let mut stream = program.connect();
        // The far end may close before all is written.
        let _ = stream.write_all(bad.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    program.metrics();
}

#[test]
fn it_stops_cleanly_with_idle_connections_open() {
    for signal in ["TERM", "INT"] {
        let program = Program::start(&[], &[]);
        let mut idle = program.connect();
        exchange(&mut idle, GET);
        program.signal(signal);
        let mut rest = Vec::new();
        assert_eq!(idle.read_to_end(&mut rest).unwrap(), 0);
        let (status, log) = program.wait();
        assert!(status.success(), "{signal}: {status} {log}");
        assert!(log.contains("stopping"), "{log}");
    }
}
