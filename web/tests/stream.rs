//! The stream of changes, read by real clients over TCP.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PASSWORD, Site, registration, settings};
use http::header;
use mect_fleet::reading::Reading;
use mect_fleet::store::{Event, EventKind, story};
use mect_fleet::{Failure, FailureReason, FlagsPatch, Outcome, Server, Timestamp};
use mect_web::{ServeLimits, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing that a test waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    site: Site,
    address: SocketAddr,
    shutdown: CancellationToken,
    done: JoinHandle<()>,
}

async fn served(site: Site) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let done = tokio::spawn(serve(listener, site.router.clone(), ServeLimits::default(), shutdown.clone()));
    Served { site, address, shutdown, done }
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    id: String,
    name: String,
    data: Value,
}

struct Client {
    stream: TcpStream,
    head: String,
    buffer: String,
}

impl Client {
    async fn open(address: SocketAddr, credentials: &str, last_event_id: Option<&str>) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap(), credentials, last_event_id).await
    }

    /// HTTP/1.0, so that the body comes without chunks.
    async fn on(mut stream: TcpStream, credentials: &str, last_event_id: Option<&str>) -> Self {
        let resume = last_event_id.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /api/v1/stream HTTP/1.0\r\nhost: localhost\r\n{credentials}\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut client = Self { stream, head: String::new(), buffer: String::new() };
        client.head = client.until("\r\n\r\n").await.expect("a head");
        client
    }

    /// The text before `end`; none when the connection ends before.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.find(end) {
                let text = self.buffer[..at].to_owned();
                self.buffer.drain(..at + end.len());
                return Some(text);
            }
            let mut bytes = vec![0; 1 << 16];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("in time");
            match read {
                Ok(count) if count > 0 => self.buffer.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
                _ => return None,
            }
        }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let block = self.until("\n\n").await?;
            let field = |name: &str| {
                let lines = block.lines();
                lines.into_iter().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
            };
            if let Some(data) = field("data:") {
                let (id, name) = (field("id:").unwrap(), field("event:").unwrap());
                return Some(Told { id, name, data: serde_json::from_str(&data).unwrap() });
            }
        }
    }

    async fn event(&mut self) -> Told {
        self.next().await.expect("an event")
    }

    /// All events up to the view of that version.
    async fn until_view(&mut self, version: u64) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let event = self.event().await;
            let is_last = event.name == "view" && event.data["version"].as_u64().unwrap() >= version;
            told.push(event);
            if is_last {
                return told;
            }
        }
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// Shows a scrape of each server, as the recorder does once it is durable.
fn show(site: &Site, servers: &[Server], outcome: &Outcome) -> u64 {
    let at = Timestamp::now();
    let records: Vec<_> = servers
        .iter()
        .map(|server| {
            let mut standing = site.fleet.standing(server.id).unwrap();
            story::observe(&mut standing, server.id, at, outcome.clone())
        })
        .collect();
    site.fleet.apply(&Arc::new(records));
    site.fleet.publish(at);
    site.fleet.view().version()
}

fn up(cpu: f32) -> Outcome {
    Outcome::Up(Reading { cpu: Some(cpu), ram: Some(0.5), ..Reading::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_as_they_happen() {
    let served = served(Site::new().await).await;
    let site = &served.site;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let mut client = Client::open(served.address, &bearer(&site.token("viewer").await), None).await;
    assert!(client.head.starts_with("HTTP/1.0 200"), "{}", client.head);
    assert!(client.head.to_lowercase().contains("content-type: text/event-stream"), "{}", client.head);
    let first = client.event().await;
    assert_eq!((first.name.as_str(), &first.data["servers"]), ("view", &json!(2)));

    // Only the first one changes.
    let version = show(site, &servers[..1], &up(0.5));
    let told = client.until_view(version).await;
    assert_eq!(told.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["server", "event", "view"]);
    assert_eq!((&told[0].data["id"], &told[0].data["health"]), (&json!(servers[0].id), &json!("active")));
    assert_eq!((&told[1].data["from"], &told[1].data["to"]), (&json!("pending"), &json!("active")));
    let number = |event: &Told| event.id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    assert!(told.iter().is_sorted_by(|before, after| number(before) + 1 == number(after)), "{told:?}");

    let failed = Outcome::Failed(Failure::new(FailureReason::ConnTimeout, ""));
    (0..2).for_each(|_| _ = show(site, &servers[..1], &failed));
    let version = show(site, &servers[..1], &failed);
    let told = client.until_view(version).await;
    let fall = told.iter().find(|event| event.name == "event").unwrap();
    assert_eq!((&fall.data["to"], &fall.data["reason"]), (&json!("down"), &json!("conn_timeout")));

    let paid = FlagsPatch { paid: Some(true), ..FlagsPatch::default() };
    site.fleet.set_flags("192.0.2.2", paid, Timestamp::now()).await.unwrap();
    let changed = client.event().await;
    assert_eq!((changed.name.as_str(), &changed.data["paid"]), ("server", &json!(true)));
    site.fleet.delete(servers[1].id, Timestamp::now()).await.unwrap();
    let told = client.until_view(site.fleet.view().version()).await;
    let gone = told.iter().find(|event| event.name == "removed").unwrap();
    assert_eq!(gone.data, json!({"id": servers[1].id, "ip": "192.0.2.2"}));

    let event = Event { at: Timestamp::now(), kind: EventKind::StoreBack, server: None, detail: "told".into() };
    site.store.journal.append_events(vec![event]).await.unwrap();
    let told = client.event().await;
    assert_eq!(
        (told.name.as_str(), &told.data["kind"], &told.data["detail"]),
        ("event", &json!("store_back"), &json!("told"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_gets_exactly_what_was_missed() {
    let served = served(Site::new().await).await;
    let site = &served.site;
    let registrations = (0..20).map(|n| registration(&format!("192.0.2.{n}"), &format!("de{n}"))).collect();
    let servers = site.register(registrations).await;
    let credentials = bearer(&site.token("viewer").await);
    let mut steady = Client::open(served.address, &credentials, None).await;
    let mut cut = Client::open(served.address, &credentials, None).await;
    steady.event().await;
    cut.event().await;
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for round in 1..6_usize {
        let version = show(site, &servers[..round * 4], &up(0.1 * round as f32));
        all.extend(steady.until_view(version).await);
        // In the middle of a batch.
        for _ in 0..round * 2 {
            seen.push(cut.event().await);
        }
        drop(cut);
        let last = seen.last().unwrap().id.clone();
        let version = show(site, &servers[round..], &up(0.05 * round as f32));
        all.extend(steady.until_view(version).await);
        cut = Client::open(served.address, &credentials, Some(&last)).await;
        seen.extend(cut.until_view(version).await);
        assert_eq!(seen, all, "after cut {round}");
    }

    let instance = all[0].id.split_once('-').unwrap().0.to_owned();
    for (id, reason) in
        [("00000000-1", "unknown"), ("nonsense", "unknown"), (&*format!("{instance}-99999999"), "unknown")]
    {
        let mut lost = Client::open(served.address, &credentials, Some(id)).await;
        let reset = lost.event().await;
        assert_eq!((reset.name.as_str(), &reset.data["reason"]), ("reset", &json!(reason)), "{id}");
        assert_eq!(reset.id, all.last().unwrap().id, "it goes on from now");
        assert!(reset.data["detail"].as_str().unwrap().contains("/api/v1/servers"));
        let version = show(site, &servers[..1], &up(0.9));
        all.extend(steady.until_view(version).await);
        assert_eq!(lost.event().await.name, "server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_is_cut_off_and_nobody_waits() {
    let served = served(Site::new().await).await;
    let site = &served.site;
    let registrations =
        (0..1000).map(|n| registration(&format!("10.0.{}.{}", n >> 8, n & 255), &format!("de{n}"))).collect();
    let servers = site.register(registrations).await;
    let credentials = bearer(&site.token("viewer").await);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = Client::on(socket.connect(served.address).await.unwrap(), &credentials, None).await;
    let first = slow.event().await;
    let mut quick = Client::open(served.address, &credentials, None).await;
    let mut bytes = 0;
    // More than the memory of the stream and the kernel's buffers together.
    for round in 0.. {
        let version = show(site, &servers, &up(0.001 * (round % 1000) as f32));
        bytes += quick.until_view(version).await.iter().map(|event| event.data.to_string().len()).sum::<usize>();
        if bytes > 32 * 1024 * 1024 {
            break;
        }
    }
    let mut last = slow.event().await;
    while let Some(next) = slow.next().await {
        last = next;
    }
    assert_eq!((last.name.as_str(), &last.data["reason"]), ("reset", &json!("too_slow")));
    // What it read first is forgotten by now.
    let mut late = Client::open(served.address, &credentials, Some(&first.id)).await;
    let reset = late.event().await;
    assert_eq!((reset.name.as_str(), &reset.data["reason"]), ("reset", &json!("too_old")));
}

/// Until the stream ends, with whatever comes before.
async fn ends(client: &mut Client) -> Duration {
    let started = Instant::now();
    while client.next().await.is_some() {}
    started.elapsed()
}

/// Five seconds are promised; the rest is for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_token_or_the_session() {
    let mut short = settings();
    short.token_lifetime = Duration::from_secs(3);
    let served = served(Site::with(short).await).await;
    let site = &served.site;
    let mut expiring = Client::open(served.address, &bearer(&site.token("viewer").await), None).await;
    expiring.event().await;
    assert!(ends(&mut expiring).await < SOON);

    let cookie = site.session("viewer").await;
    let mut session = Client::open(served.address, &format!("cookie: {cookie}"), None).await;
    assert!(session.head.starts_with("HTTP/1.0 200"), "{}", session.head);
    session.event().await;
    site.submit(&cookie, "/logout", "").await;
    assert!(ends(&mut session).await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_the_password_changes() {
    let served = served(Site::new().await).await;
    let site = &served.site;
    let token = site.token("viewer").await;
    let mut client = Client::open(served.address, &bearer(&token), None).await;
    client.event().await;
    let body = json!({"current_password": PASSWORD, "new_password": "another fine phrase"}).to_string();
    let changed = site.json_as(&token, "POST", "/users/change-password", &body).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.text());
    assert!(ends(&mut client).await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_it() {
    let served = served(Site::new().await).await;
    let mut client = Client::open(served.address, &bearer(&served.site.token("viewer").await), None).await;
    client.event().await;
    served.shutdown.cancel();
    assert!(ends(&mut client).await < SOON);
    // Well within the ten seconds after which running requests would be cut.
    tokio::time::timeout(Duration::from_secs(8), served.done).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_counted() {
    let served = served(Site::new().await).await;
    let credentials = bearer(&served.site.token("viewer").await);
    let mut open = Vec::new();
    let refused = loop {
        let client = Client::open(served.address, &credentials, None).await;
        if !client.head.starts_with("HTTP/1.0 200") {
            break client;
        }
        open.push(client);
        assert!(open.len() < 1000, "no limit");
    };
    assert!(refused.head.starts_with("HTTP/1.0 503"), "{}", refused.head);
    assert!(refused.head.to_lowercase().contains("retry-after"), "{}", refused.head);
    // Somebody else still finds a place.
    let other = bearer(&served.site.token("admin").await);
    assert!(Client::open(served.address, &other, None).await.head.starts_with("HTTP/1.0 200"));
    // Who leaves makes room.
    drop(open);
    let started = Instant::now();
    while !Client::open(served.address, &credentials, None).await.head.starts_with("HTTP/1.0 200") {
        assert!(started.elapsed() < PATIENCE, "no place became free");
        show(&served.site, &[], &up(0.1));
    }
}

#[tokio::test]
async fn only_who_may_read_the_fleet_gets_it() {
    let site = Site::new().await;
    site.get("/api/v1/stream").await.is_problem(401, "Not authenticated");
    let fresh = site.token("fresh").await;
    site.get_as(&fresh, "/api/v1/stream").await.is_problem(403, "Password must be changed first");
    assert_eq!(site.json_as(&fresh, "POST", "/api/v1/stream", "{}").await.header(header::ALLOW), "GET");
}
