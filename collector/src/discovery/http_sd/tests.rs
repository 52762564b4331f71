//! Lists from real sockets that behave as strangers' servers may.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use mect_web::Secret;

use super::*;

/// Far more than any answer here, and little enough to send more.
const MOST: usize = 64 * 1024;
const GOOD: &str = r#"[{"targets": ["192.0.2.1:9776", "192.0.2.2:9776"], "labels": {"country_code": "de"}}]"#;

/// A server that answers each connection with `behave`; the requests that it reads come out of the channel.
fn server(
    behave: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, read) = mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let Ok(request) = read_request(&mut socket) else { continue };
            let _ = requests.send(request);
            // Whoever asks hangs up on what it does not like: that is what these tests are about.
            let _ = behave(&mut socket);
        }
    });
    (address, read)
}

fn read_request(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

fn json(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn answers(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    server(move |socket| socket.write_all(&answer)).0
}

fn config(address: SocketAddr) -> HttpSd {
    let url = format!("http://{address}/targets?secret=hidden");
    HttpSd { url, refresh_seconds: 60.0, access: None, target_access: vec!["edge".into()], insecure_credentials: false }
}

fn asker(config: &HttpSd) -> Asker {
    let accesses = Accesses::open(&[], Some(&Secret::new("the-agent-key"))).unwrap();
    Asker::with_most(config, accesses, Arc::default(), MOST).unwrap()
}

async fn problem(address: SocketAddr) -> String {
    let problem = asker(&config(address)).ask().await.err().unwrap();
    assert!(problem.starts_with(&format!("http://{address}/targets: ")), "{problem}");
    problem
}

#[tokio::test]
async fn a_list_is_asked_for_as_prometheus_does() {
    let (address, requests) = server(|socket| socket.write_all(json(GOOD).as_bytes()));
    let list = asker(&HttpSd { refresh_seconds: 30.0, ..config(address) }).ask().await.ok().unwrap();
    assert_eq!(list.candidates.len(), 2);
    assert_eq!(list.candidates[1].labels.place.country_code, "DE");
    let request = requests.recv().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /targets?secret=hidden http/1.1\r\n"), "{request}");
    for header in [
        &format!("host: {address}"),
        "accept: application/json",
        "x-prometheus-refresh-interval-seconds: 30",
        concat!("user-agent: mect-collector/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
    }
    assert!(!request.contains("the-agent-key"), "it is for exporters: {request}");
}

#[tokio::test]
async fn every_good_answer_is_the_whole_list() {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\n[]\r\n0\r\n\r\n";
    let until_closed = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{GOOD}");
    for (answer, targets) in [(json(GOOD), 2), (json("[]"), 0), (chunked.to_owned(), 0), (until_closed, 2)] {
        let list = asker(&config(answers(answer.clone()))).ask().await;
        assert_eq!(list.ok().unwrap().candidates.len(), targets, "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_list_is_refused_with_its_reason() {
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}content-length: 2\r\n\r\n[]");
    let many = json(&format!("[{}]", " ".repeat(MOST)));
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned() + &" ".repeat(3 * MOST);
    for (answer, why) in [
        (head("content-type: text/html\r\n"), "does not say that it is application/json (content type text/html)"),
        (head(""), "no content type"),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".into(), "unexpected answer (HTTP 500)"),
        ("HTTP/1.1 204 No\r\n\r\n".into(), "unexpected answer (HTTP 204)"),
        ("HTTP/1.1 401 Who\r\ncontent-length: 0\r\n\r\n".into(), "our credentials are refused (HTTP 401)"),
        ("HTTP/1.1 302 No\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".into(), "redirects are not followed"),
        (json(&GOOD[..GOOD.len() - 5]), "no list of target groups: EOF"),
        (json(GOOD)[..json(GOOD).len() - 5].into(), "the answer broke off"),
        (json(r#"{"targets": []}"#), "no list of target groups"),
        (json(r#"[{"target": []}]"#), "unknown field `target`"),
        (json(r#"[{"targets": ["nonsense"]}]"#), "none of its targets can be used; `nonsense`: needs a port"),
        (json(r#"[{"targets": ["127.0.0.1:9776"]}]"#), "`127.0.0.1:9776`: a loopback address is scraped only if"),
        (json(r#"[{"targets": ["169.254.169.254:80"]}]"#), "no exporter can be there"),
        (json(r#"[{"targets": ["a:1"], "labels": {"paid": "maybe"}}]"#), "label `paid`"),
        (many, "the list is too large"),
        (endless, "the list is too large"),
        ("SSH-2.0-x\r\n".into(), "not HTTP"),
    ] {
        let problem = problem(answers(answer)).await;
        assert!(problem.contains(why), "{problem}");
    }
    let mut latin1 = json("[   ]").into_bytes();
    let place = latin1.len() - 2;
    latin1[place] = 0xe9;
    assert!(problem(answers(latin1)).await.contains("not UTF-8"));
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert!(problem(nobody).await.contains("connection refused"));
}

/// One byte after the other, for ever: the time is bounded, not the silence.
#[tokio::test]
async fn a_list_that_drips_is_given_up() {
    let (drip, _requests) = server(|socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")?;
        loop {
            std::thread::sleep(Duration::from_millis(20));
            socket.write_all(b" ")?;
        }
    });
    let quick = HttpSd { refresh_seconds: 1.0, ..config(drip) };
    let problem = asker(&quick).ask().await.err().unwrap();
    assert!(problem.contains("in time (after 1 s)"), "{problem}");
}

#[test]
fn a_wrong_target_of_a_list_leaves_the_others_in_force() {
    let text = r#"[{"targets": ["192.0.2.1:9776", "169.254.169.254:80", "x y:1", "192.0.2.2:9776"]},
                   {"targets": ["192.0.2.3:9776"], "labels": {"paid": "maybe"}}, {"labels": {"paid": "maybe"}},
                   {"targets": ["192.0.2.4:9776"]}]"#;
    let home = tempfile::tempdir().unwrap();
    let config = config(SocketAddr::from(([192, 0, 2, 9], 80)));
    let accesses = Accesses::open(&[], None).unwrap();
    let mut source = HttpSource::new(&config, &accesses, &Arc::default(), home.path()).unwrap();
    let read = |text: &str| read(text.into(), &TargetPolicy::default(), &["edge".into()]);
    assert!(source.take(read(text)));
    let taken: Vec<_> = source.candidates().iter().map(|candidate| candidate.endpoint.authority()).collect();
    assert_eq!(taken, ["192.0.2.1:9776", "192.0.2.2:9776", "192.0.2.4:9776"]);
    let dropped: Vec<_> = source.dropped().iter().map(|target| (&*target.address, &*target.reason)).collect();
    let [metadata, nonsense, labels, nobody] = dropped[..] else { panic!("{dropped:?}") };
    assert!(metadata.0 == "169.254.169.254:80" && metadata.1.contains("no exporter can be there"), "{metadata:?}");
    assert!(nonsense.0 == "x y:1" && labels.0 == "192.0.2.3:9776" && nobody.0.is_empty(), "{dropped:?}");
    assert!(labels.1.contains("label `paid`") && nobody.1.contains("label `paid`"), "{dropped:?}");
    assert_eq!(source.problem(), None);

    assert!(!source.take(read(text)), "the same again");
    assert!(!source.take(read(r#"[{"targets": ["nonsense"]}]"#)), "a list of nothing else is a mistake");
    assert_eq!(source.candidates().len(), 3);
    assert!(source.take(read(r#"[{"targets": ["192.0.2.1:9776", "192.0.2.2:9776", "192.0.2.4:9776"]}]"#)));
    assert!(source.dropped().is_empty(), "who mended it sees that");
}

#[test]
fn a_list_chooses_credentials_only_where_the_operator_says_so() {
    let text = r#"[{"targets": ["192.0.2.1:9776"]}, {"targets": ["192.0.2.2:9776"], "labels": {"access": "edge"}},
                   {"targets": ["192.0.2.3:9776"], "labels": {"access": "core"}}]"#;
    for (allowed, taken) in [(&[][..], 1), (&["edge".to_owned()], 2), (&["edge".to_owned(), "core".to_owned()], 3)] {
        let list = read(text.into(), &TargetPolicy::default(), allowed).ok().unwrap();
        assert_eq!((list.candidates.len(), list.dropped.len()), (taken, 3 - taken), "{allowed:?}");
        let mut reasons = list.dropped.iter().map(|target| &target.reason);
        assert!(reasons.all(|reason| reason.contains("`target_access` in [[http_sd]]")), "{:?}", list.dropped);
    }
}

#[test]
fn the_last_good_list_stays_in_force_also_over_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let config = config(SocketAddr::from(([192, 0, 2, 9], 80)));
    let accesses = Accesses::open(&[], None).unwrap();
    let source = || HttpSource::new(&config, &accesses, &Arc::default(), home.path()).unwrap();
    let list = |text: &str| read(text.into(), &TargetPolicy::default(), &[]);
    let mut first = source();
    assert!(first.use_copy().is_err(), "nothing was said yet");
    assert!(first.take(list(GOOD)));
    assert!(!first.take(list(GOOD)), "the same again");
    assert!(!first.take(Err("away".into())));
    assert_eq!((first.candidates().len(), first.problem()), (2, Some("away")));

    let mut restarted = source();
    assert!(!restarted.take(Err("away".into())));
    restarted.use_copy().unwrap();
    assert_eq!(restarted.candidates(), first.candidates());
    assert!(!restarted.take(list(GOOD)), "it says what the copy said");
    assert_eq!(restarted.problem(), None);

    assert!(restarted.take(list("[]")), "none at all is an answer too");
    let mut again = source();
    again.use_copy().unwrap();
    assert!(again.candidates().is_empty());
}
