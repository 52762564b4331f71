//! Scrapes of real sockets that behave as strangers' hosts may.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use http::header::AUTHORIZATION;
use mect_web::Secret;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n";

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: 5\r\n\r\nup 1\n";

/// A host that serves each connection with `behave`, one after the other, until the test ends.
fn host(behave: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            // The scraper hangs up on what it does not like: that is what these tests are about.
            let _ = behave(&mut socket.unwrap());
        }
    });
    address
}

/// A host that reads a request and answers `answer` as it is.
fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    host(move |socket| {
        read_request(socket)?;
        socket.write_all(&answer)
    })
}

fn read_request(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&request).to_ascii_lowercase())
}

fn limits() -> Limits {
    Limits { timeout: Duration::from_millis(400), wire_bytes: 10_000, page_bytes: 20_000 }
}

fn target(address: SocketAddr) -> ScrapeTarget {
    ScrapeTarget::at(address.to_string().parse().unwrap())
}

fn scraper(limits: Limits, keep_connections: bool, key: Option<&str>) -> Scraper {
    let accesses = Accesses::open(&[], key.map(Secret::new).as_ref()).unwrap();
    Scraper::new(limits, keep_connections, accesses, Arc::new(TargetPolicy::for_operators()))
}

async fn scrape(address: SocketAddr) -> Result<Page, Failure> {
    let scraper = scraper(limits(), false, None);
    scraper.scrape(&target(address), None, &mut None).await
}

#[track_caller]
fn assert_failed(result: Result<Page, Failure>, reason: FailureReason, detail: &str) {
    let failure = result.expect_err("nothing of the page may be used");
    assert_eq!(failure.reason, reason, "{failure}");
    assert!(failure.detail.contains(detail), "{failure}");
}

#[tokio::test]
async fn a_page_comes_plain_chunked_or_until_the_end() {
    for answer in [
        format!("{HEAD}content-length: 5\r\n\r\nup 1\n"),
        format!("{HEAD}transfer-encoding: chunked\r\n\r\n2\r\nup\r\n3\r\n 1\n\r\n0\r\n\r\n"),
        format!("{HEAD}connection: close\r\n\r\nup 1\n"),
    ] {
        assert_eq!(scrape(answers(answer)).await.unwrap().bytes, b"up 1\n");
    }
}

#[tokio::test]
async fn gzip_is_unpacked_and_other_codings_are_refused() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"up 1\n").unwrap();
    let body = encoder.finish().unwrap();
    let head = format!("{HEAD}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    assert_eq!(scrape(answers([head.as_bytes(), &body].concat())).await.unwrap().bytes, b"up 1\n");

    let other = format!("{HEAD}content-encoding: br\r\ncontent-length: 5\r\n\r\nup 1\n");
    assert_failed(scrape(answers(other)).await, FailureReason::Encoding, "br");
}

#[tokio::test]
async fn what_is_no_page_fails_with_its_reason() {
    use FailureReason as Reason;
    let with = |status: &str, rest: &str| format!("HTTP/1.1 {status}\r\n{rest}content-length: 2\r\n\r\nno");
    for (answer, reason, detail) in [
        (with("401 Unauthorized", ""), Reason::Auth, "HTTP 401"),
        (with("403 Forbidden", ""), Reason::Auth, "HTTP 403"),
        (with("500 Internal Server Error", ""), Reason::Status, "HTTP 500"),
        (with("204 No Content", ""), Reason::Status, "HTTP 204"),
        (with("302 Found", "location: http://169.254.169.254/\r\n"), Reason::Redirect, "HTTP 302"),
        (with("200 OK", "content-type: text/html; charset=utf-8\r\n"), Reason::ContentType, "text/html"),
        (with("200 OK", ""), Reason::ContentType, "no content type"),
        ("SSH-2.0-OpenSSH_9.2\r\n".into(), Reason::Proto, ""),
        (format!("{HEAD}content-length: x\r\n\r\n"), Reason::Framing, "content-length"),
        (format!("{HEAD}content-length: 50\r\n\r\nup 1\n"), Reason::Truncated, "after 5 of 50 bytes"),
        (format!("{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n"), Reason::Framing, ""),
        (format!("{HEAD}content-length: 10001\r\n\r\n"), Reason::TooLarge, "10001 bytes"),
        (format!("{HEAD}x: {}\r\n\r\n", "y".repeat(9000)), Reason::Framing, ""),
        (String::new(), Reason::Reset, ""),
    ] {
        assert_failed(scrape(answers(answer)).await, reason, detail);
    }
}

#[tokio::test]
async fn the_format_is_what_the_head_says_or_else_the_fallback() {
    let open = "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\ncontent-length: 6\r\n\r\n# EOF\n";
    let page = scrape(answers(open)).await.unwrap();
    assert_eq!((page.format, page.wire_bytes), (Format::OpenMetrics, 6));
    assert!(page.connected_at <= page.answered_at);
    let silent = answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n");
    let scraper = scraper(limits(), false, None);
    for fallback in [Format::Text, Format::OpenMetrics] {
        let page = scraper.scrape(&target(silent), Some(fallback), &mut None).await.unwrap();
        assert_eq!(page.format, fallback);
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_its_limit() {
    let endless = host(|socket| {
        read_request(socket)?;
        socket.write_all(format!("{HEAD}connection: close\r\n\r\n").as_bytes())?;
        loop {
            socket.write_all(&[b'#'; 4096])?;
        }
    });
    assert_failed(scrape(endless).await, FailureReason::TooLarge, "");
}

#[tokio::test]
async fn endless_interim_responses_end_at_the_budget() {
    let endless = host(|socket| {
        read_request(socket)?;
        loop {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
    });
    assert_failed(scrape(endless).await, FailureReason::TooLarge, "");
}

#[tokio::test]
async fn silence_fails_by_the_stage_it_came_in() {
    let mute = host(|socket| socket.read_to_end(&mut Vec::new()).map(drop));
    assert_failed(scrape(mute).await, FailureReason::HeadTimeout, "after 0.4 s");
    let stalls = host(|socket| {
        read_request(socket)?;
        socket.write_all(format!("{HEAD}content-length: 50\r\n\r\nup 1\n").as_bytes())?;
        socket.read_to_end(&mut Vec::new()).map(drop)
    });
    assert_failed(scrape(stalls).await, FailureReason::TotalTimeout, "");
}

#[tokio::test]
async fn nobody_there_is_a_refused_connection() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_failed(scrape(closed).await, FailureReason::ConnRefused, "");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    let scraper = scraper(Limits { timeout: Duration::from_secs(20), ..limits() }, false, None);
    let endpoint = "no-such-host.invalid:9776".parse().unwrap();
    let target = ScrapeTarget { endpoint, ..target(SocketAddr::from(([127, 0, 0, 1], 1))) };
    assert_failed(scraper.scrape(&target, None, &mut None).await, FailureReason::Dns, "");
}

#[tokio::test]
async fn a_kept_connection_is_taken_up_and_a_stale_one_replaced() {
    // Serves two scrapes per connection, then closes it as an idle exporter does.
    let (connected, connections) = std::sync::mpsc::channel();
    let two_each = host(move |socket| {
        // The test may have ended.
        let _ = connected.send(());
        for _ in 0..2 {
            read_request(socket)?;
            socket.write_all(format!("{HEAD}content-length: 5\r\n\r\nup 1\n").as_bytes())?;
        }
        Ok(())
    });
    let scraper = scraper(limits(), true, None);
    let mut kept = None;
    for _ in 0..4 {
        assert_eq!(scraper.scrape(&target(two_each), None, &mut kept).await.unwrap().bytes, b"up 1\n");
    }
    assert_eq!(connections.try_iter().count(), 2);
}

/// Who was trusted by what the files said before is not shown what they say now.
#[tokio::test]
async fn a_connection_is_kept_no_longer_than_the_way_by_which_it_was_made() {
    let (seen, requests) = std::sync::mpsc::channel();
    let host = host(move |socket| {
        let (mut socket, seen) = (socket.try_clone()?, seen.clone());
        std::thread::spawn(move || {
            let mut number = 0;
            while let Ok(request) = read_request(&mut socket) {
                number += 1;
                // The test may have ended.
                let _ = seen.send((number, request));
                let _ = socket.write_all(PAGE.as_bytes());
            }
        });
        Ok(())
    });
    let scraper = scraper(limits(), true, None);
    let mut kept = None;
    for (key, number) in [("old", 1), ("old", 2), ("new", 1), ("new", 2), ("old", 1)] {
        scraper.accesses.replace(&[], Some(&Secret::new(key))).unwrap();
        scraper.scrape(&target(host), None, &mut kept).await.unwrap();
        let (of_connection, request) = requests.recv().unwrap();
        assert_eq!(of_connection, number, "of the connection with the key {key}");
        assert!(request.contains(&format!("authorization: bearer {key}")), "{request}");
    }
}

#[tokio::test]
async fn the_key_is_shown_only_where_it_may_be_seen() {
    let (seen, requests) = std::sync::mpsc::channel();
    let host = host(move |socket| {
        // The test may have ended.
        let _ = seen.send(read_request(socket)?);
        socket.write_all(format!("{HEAD}content-length: 5\r\n\r\nup 1\n").as_bytes())
    });
    let scraper = scraper(limits(), false, Some("s3cret"));
    scraper.scrape(&target(host), None, &mut None).await.unwrap();
    let request = requests.recv().unwrap();
    assert!(request.contains("authorization: bearer s3cret"), "{request}");
    assert!(request.contains("x-prometheus-scrape-timeout-seconds: 0.4"), "{request}");
    assert!(request.starts_with("get /metrics http/1.1"), "{request}");
    assert!(request.contains("accept: text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.8,"));

    // Loopback is the only network here: ask the rule itself about another one.
    let elsewhere = target(SocketAddr::from(([192, 0, 2, 1], 9776)));
    let access = scraper.accesses.find(None).unwrap();
    assert!(scraper.request(&elsewhere, &access, false).headers().get(AUTHORIZATION).is_none());
    let allowed = ScrapeTarget { insecure_credentials: true, ..elsewhere };
    assert!(scraper.request(&allowed, &access, false).headers().get(AUTHORIZATION).is_some());
}

#[tokio::test]
async fn a_name_leads_only_where_targets_may_be() {
    let addresses = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    let (open, closed) = (TargetPolicy::for_operators(), TargetPolicy::default());
    let host = answers("");
    for (denied, policy, why) in [
        (addresses(&["169.254.169.254:80", "[fe80::1]:80"]), &open, "leads to 169.254.169.254: no exporter"),
        (vec![host], &closed, "leads to 127.0.0.1: a loopback address is scraped only if `inside_networks`"),
    ] {
        let failure = Connection::open(&denied, policy, deadline).await.err().unwrap();
        assert_eq!(failure.reason, FailureReason::Dns);
        assert!(failure.detail.contains(why), "{failure}");
    }
    let mixed = [addresses(&["169.254.169.254:80"]), vec![host]].concat();
    assert!(Connection::open(&mixed, &open, deadline).await.is_ok(), "the address that is somebody's");
    open.deny_listener(host, |_| false);
    let ourselves = Connection::open(&mixed[1..], &open, deadline).await.err().unwrap();
    assert!(ourselves.detail.contains("this collector itself"), "{ourselves}");
}

/// A name whose answer changes after the first scrape: each connection is judged by the address that it goes to.
#[tokio::test]
async fn a_name_that_is_rebound_is_not_followed_inside() {
    let (good, trap) = (answers(PAGE), answers(PAGE));
    let policy = TargetPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    policy.deny_listener(trap, |_| false);
    let accesses = Accesses::open(&[], None).unwrap();
    let scraper = Scraper::new(limits(), false, accesses, Arc::new(policy));
    let named = |port: u16| ScrapeTarget::at(format!("rebound.example:{port}").parse().unwrap());
    scraper.resolver.remember("rebound.example", &[good]);
    assert_eq!(scraper.scrape(&named(good.port()), None, &mut None).await.unwrap().bytes, b"up 1\n");
    for (now, port) in [("127.0.0.1:1", trap.port()), ("169.254.169.254:1", 80), ("[::1]:1", good.port())] {
        scraper.resolver.remember("rebound.example", &[now.parse().unwrap()]);
        let denied = scraper.scrape(&named(port), None, &mut None).await;
        assert_failed(denied, FailureReason::Dns, "leads to ");
    }
}
