//! Targets that are no exporters: each fails with its reason on the page, and costs the others nothing.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use support::collector::{Home, PASSWORD};
use support::{eventually, http};

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";

/// Serves every connection to `ip` with `behave`, each on a thread, until the test ends; returns the port.
fn host(ip: Ipv4Addr, behave: fn(&mut TcpStream) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut socket = socket?;
                let mut request = [0; 4096];
                let _read = socket.read(&mut request)?;
                behave(&mut socket)
            });
        }
    });
    port
}

fn answer(socket: &mut TcpStream, head: &str, body: &str) -> std::io::Result<()> {
    write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn each_fails_with_its_reason_and_a_good_one_is_not_affected() {
    type Behaviour = fn(&mut TcpStream) -> std::io::Result<()>;
    let strangers: [(Behaviour, &str, &str); 9] = [
        (
            |socket| answer(socket, "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", "<p>Welcome to nginx!</p>"),
            "content_type",
            "the answer is not a metrics page: content type text/html",
        ),
        (
            |socket| answer(socket, "HTTP/1.1 401 Unauthorized\r\n", ""),
            "auth",
            "the exporter refused our credentials: HTTP 401",
        ),
        (|socket| answer(socket, PAGE, ""), "no_metrics", "the page tells nothing of a host: 0 samples"),
        (
            |socket| answer(socket, PAGE, "go_goroutines 7\n"),
            "no_metrics",
            "the page tells nothing of a host: 1 samples",
        ),
        (|socket| answer(socket, PAGE, "up 1\nthis is no metric\n"), "parse", "line 2"),
        (|socket| answer(socket, PAGE, &"# ten megabytes\n".repeat(650_000)), "too_large", "the page is too large"),
        (|socket| socket.read_to_end(&mut Vec::new()).map(drop), "head_timeout", "connected, but no answer in time"),
        (|_| Ok(()), "reset", "connection reset by the host"),
        (|socket| socket.write_all(b"\x00\xff\x13\x37 garbage\r\n\r\n"), "proto", "the answer is not HTTP"),
    ];
    let mut config = String::from("[scrape]\ninterval_seconds = 1\ntimeout_seconds = 0.5\nrecheck_seconds = 0.2\n");
    let good = Ipv4Addr::new(127, 0, 0, 50);
    let port = host(good, |socket| answer(socket, PAGE, "node_memory_MemTotal_bytes 1\n"));
    config += &format!("[[targets]]\naddress = \"{good}:{port}\"\n");
    let addresses: Vec<_> = (51..).map(|last| Ipv4Addr::new(127, 0, 0, last)).take(strangers.len()).collect();
    for (ip, (behave, ..)) in addresses.iter().zip(strangers) {
        config += &format!("[[targets]]\naddress = \"{ip}:{}\"\n", host(*ip, behave));
    }
    let home = Home::new(&config);
    let collector = home.start();
    for (ip, (_, reason, _)) in addresses.iter().zip(strangers) {
        let ip = ip.to_string();
        let down = collector.server_when(reason, &ip, |server| server["status"] == "down");
        assert_eq!(down["failure"], reason, "{down}");
    }
    let good = collector.server_when("the good one", &good.to_string(), |_| true);
    assert_eq!((&good["status"], &good["failure"]), (&"active".into(), &serde_json::Value::Null), "{good}");

    // The page says the same in words.
    let form = [("username", "admin"), ("password", PASSWORD)];
    let signed_in = http::post_form(&format!("{}/login", collector.url), &form, &[]).unwrap();
    let cookie = signed_in.cookie.unwrap_or_else(|| panic!("no session: {} {}", signed_in.status, signed_in.body));
    let cookie = cookie.split(';').next().unwrap();
    for (_, reason, sentence) in strangers {
        eventually(&format!("{reason} on the page: {sentence}"), || {
            let page = http::get(&format!("{}/", collector.url), &[("cookie", cookie)])?;
            page.body.contains(sentence).then_some(())
        });
    }
}

#[test]
fn both_formats_are_read_and_a_page_that_does_not_name_its_own_only_where_the_operator_does() {
    const OPEN: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    const SILENT: &str = "HTTP/1.1 200 OK\r\n";
    const TEXT_PAGE: &str = "node_memory_MemTotal_bytes  1\n";
    const OPEN_PAGE: &str = "# TYPE node_memory_MemTotal_bytes gauge\nnode_memory_MemTotal_bytes 1\n# EOF\n";
    type Behaviour = fn(&mut TcpStream) -> std::io::Result<()>;
    let targets: [(Behaviour, &str, Option<&str>); 7] = [
        (|socket| answer(socket, OPEN, OPEN_PAGE), "", None),
        (|socket| answer(socket, OPEN, TEXT_PAGE), "", Some("parse")),
        (|socket| answer(socket, OPEN, "node_memory_MemTotal_bytes 1\n"), "", Some("truncated")),
        (|socket| answer(socket, SILENT, OPEN_PAGE), "", Some("content_type")),
        (|socket| answer(socket, SILENT, OPEN_PAGE), "fallback_format = \"openmetrics\"\n", None),
        (|socket| answer(socket, SILENT, TEXT_PAGE), "fallback_format = \"text\"\n", None),
        (|socket| answer(socket, SILENT, TEXT_PAGE), "fallback_format = \"openmetrics\"\n", Some("parse")),
    ];
    let mut config = String::from("[scrape]\ninterval_seconds = 1\ntimeout_seconds = 0.5\nrecheck_seconds = 0.2\n");
    let addresses: Vec<_> = (70..).map(|last| Ipv4Addr::new(127, 0, 0, last)).take(targets.len()).collect();
    for (ip, (behave, setting, _)) in addresses.iter().zip(targets) {
        config += &format!("[[targets]]\naddress = \"{ip}:{}\"\n{setting}", host(*ip, behave));
    }
    let home = Home::new(&config);
    let collector = home.start();
    for (ip, (.., failure)) in addresses.iter().zip(targets) {
        let status = if failure.is_some() { "down" } else { "active" };
        let server = collector.server_when(status, &ip.to_string(), |server| server["status"] == status);
        assert_eq!(server["failure"].as_str(), failure, "{server}");
    }
}
