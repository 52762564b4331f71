//! Incidents, events, targets and this installation, by pages.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Site, registration, settings};
use http::StatusCode;
use mect_fleet::collecting::{ActiveTarget, Collecting, DroppedTarget, Targets, TargetsSnapshot};
use mect_fleet::installation::{Database, Facts, Installation, Share, StoreKind};
use mect_fleet::store::{Event, EventKind, story};
use mect_fleet::{Failure, FailureReason, Outcome, Server, Timestamp};

const HOSTILE: &str = r#""><img src=x onerror=alert(1)>"#;

fn falls() -> Vec<Outcome> {
    std::iter::once(story::heartbeat(1)).chain((0..3).map(|_| story::failed())).collect()
}

#[tokio::test]
async fn incidents_are_told_from_their_beginning_to_their_end() {
    let site = Site::new().await;
    let registrations = [("192.0.2.1", "de1"), ("192.0.2.2", "de2"), ("192.0.2.3", HOSTILE)];
    let servers = site.register(registrations.map(|(ip, name)| registration(ip, name)).to_vec()).await;
    let cookie = site.session("viewer").await;
    let start = Timestamp::now() - Duration::from_secs(4000);
    let mut returns = falls();
    returns.extend((0..3).map(|_| story::heartbeat(1)));
    site.scrape(&servers[0], start, returns.clone()).await;
    site.scrape(&servers[1], start, returns).await;
    site.scrape(&servers[2], start - Duration::from_secs(2000), falls()).await;
    let events = vec![
        Event { at: start, kind: EventKind::StoreLost, server: None, detail: "no primary <b>".into() },
        Event { at: start + Duration::from_secs(90), kind: EventKind::StoreBack, server: None, detail: String::new() },
        Event {
            at: start + Duration::from_secs(100),
            kind: EventKind::Unverified,
            server: None,
            detail: "7 of 9".into(),
        },
        Event { at: start + Duration::from_secs(200), kind: EventKind::Verified, server: None, detail: String::new() },
        Event {
            at: start + Duration::from_secs(210),
            kind: EventKind::CollectorLost,
            server: None,
            detail: "two".into(),
        },
    ];
    site.store.journal.append_events(events).await.unwrap();
    let page = site.visit(&cookie, "/incidents").await.text();
    assert!(page.contains("Servers could not be verified") && page.contains("7 of 9") && page.contains("two is lost"));
    assert!(page.contains("2 incidents are open") && page.contains("2 servers were down"), "{page}");
    assert!(page.contains("The database did not answer") && page.contains("no primary &#60;b&#62;"));
    assert!(page.contains("no answer while connecting") && page.contains("back after"));
    assert!(page.contains(&format!("/servers/{}", servers[0].id)));
    assert!(!page.contains("<img src=x") && page.contains("&#34;&#62;&#60;img"));
    assert!(page.find("incident open").unwrap() < page.find("2 servers were down").unwrap(), "open ones come first");

    let count = async |query: &str| {
        let page = site.visit(&cookie, &format!("/incidents?{query}")).await.text();
        page.matches("<li class=\"card panel incident").count()
    };
    assert_eq!((count("").await, count("state=open").await, count("state=closed").await), (5, 2, 3));
    assert_eq!((count("kind=store_lost").await, count("state=closed&kind=collector_lost").await), (1, 0));
    assert_eq!(count("state=%22%3E%3Cimg%3E&page=99&kind=x").await, 5, "nonsense counts as not given");
}

#[tokio::test]
async fn events_are_filtered_by_kind_and_server() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", HOSTILE)]).await;
    let start = Timestamp::now() - Duration::from_secs(4000);
    for server in &servers {
        site.scrape(server, start, falls()).await;
    }
    let joined = Event { at: start, kind: EventKind::CollectorJoined, server: None, detail: "one".into() };
    site.store.journal.append_events(vec![joined]).await.unwrap();
    let cookie = site.session("viewer").await;
    let rows = async |query: &str| {
        let page = site.visit(&cookie, &format!("/events?{query}")).await;
        assert_eq!(page.status, StatusCode::OK);
        (page.text().matches("data-label=\"When\"").count(), page.text())
    };
    let (found, all) = rows("").await;
    assert!(found == 5 && all.contains("collector joined") && !all.contains("<img src=x"), "{all}");
    assert_eq!(rows("kind=collector_joined").await.0, 1);
    for server in ["de1".to_owned(), "192.0.2.1".into(), servers[0].id.to_string()] {
        assert_eq!(rows(&format!("server={server}")).await.0, 2, "{server}");
    }
    assert_eq!(rows("server=de1&kind=health_changed").await.0, 2);
    let (none, page) = rows("server=de9").await;
    assert!(none == 0 && page.contains("There is no server of that name") && page.contains(r#"value="de9""#));
    assert_eq!(rows("kind=%3Cimg%3E&cursor=zz").await.0, 5, "nonsense counts as not given");
}

struct Told(TargetsSnapshot);

impl Targets for Told {
    fn snapshot(&self) -> TargetsSnapshot {
        self.0.clone()
    }

    fn interval(&self) -> Duration {
        self.0.interval
    }
}

impl Installation for Told {
    fn facts(&self) -> Facts {
        Facts {
            started_at: Timestamp::now() - Duration::from_secs(7300),
            store: StoreKind::Mongo,
            retention: Duration::from_secs(30 * 86_400),
            redis: Some(false),
            share: Some(Share { collectors: vec!["one".into(), HOSTILE.into()], shards: 128 }),
            databases: vec![Database { file: "City.mmdb".into(), content: None }],
            bad_target_files: vec!["targets.yml: line 3: expected a list".into()],
            bad_target_lists: vec!["http://cmdb/: unexpected answer (HTTP 500)".into()],
            canaries: 0,
            open_files: (50, Some(1000)),
        }
    }
}

fn snapshot(servers: &[Server]) -> TargetsSnapshot {
    let url = |n: usize| Some(format!("http://192.0.2.{}:9776/metrics", n + 1));
    let target = |(n, server): (usize, &Server)| ActiveTarget { server: server.id, url: url(n), further: Vec::new() };
    let active = servers.iter().enumerate().map(target);
    TargetsSnapshot {
        active: active.collect(),
        dropped: vec![DroppedTarget { address: HOSTILE.into(), reason: "waits for approval".into() }],
        interval: Duration::from_secs(120),
        timeout: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn targets_are_searched_ordered_and_paged() {
    let site = Site::new().await;
    let mut registrations: Vec<_> =
        (0..130).map(|n| registration(&format!("192.0.2.{}", n + 1), &format!("host-{n:03}"))).collect();
    registrations[0] = registration("192.0.2.1", HOSTILE);
    let servers = site.register(registrations).await;
    let failed = || Outcome::Failed(Failure::new(FailureReason::Status, "HTTP 503 <b>"));
    site.scrape(
        &servers[7],
        Timestamp::now() - Duration::from_secs(500),
        vec![story::heartbeat(1), failed(), failed()],
    )
    .await;
    site.scrape(&servers[8], Timestamp::now(), vec![story::heartbeat(1)]).await;
    let told = Arc::new(Told(snapshot(&servers)));
    let site = site.collecting(Collecting { targets: Some(told), ..Collecting::default() });
    let cookie = site.session("viewer").await;
    let visit = async |query: &str| site.visit(&cookie, &format!("/targets?{query}")).await.text();
    let first = visit("").await;
    let rows = |page: &str| page.matches("<tr id=\"srv-").count();
    assert!(
        rows(&first) == 100
            && first.contains("1–100 of 130")
            && first.contains("130 endpoints, each scraped every 2 min")
    );
    assert!(first.find("host-007").unwrap() < first.find("host-001").unwrap(), "most failing first");
    assert!(first.contains("unexpected HTTP status: HTTP 503 &#60;b&#62;") && first.contains("waits for approval"));
    assert!(!first.contains("<img src=x") && !first.contains("HTTP 503 <b>"));
    assert_eq!(rows(&visit("page=2").await), 30);
    assert_eq!(rows(&visit("q=HOST-00+192.0.2").await), 9);
    assert_eq!((rows(&visit("state=failing").await), rows(&visit("state=up").await)), (1, 1));
    assert_eq!(rows(&visit("state=unknown&page=2").await), 28);
    let slow = visit("sort=slow").await;
    assert!(slow.find("host-008").unwrap() < slow.find("host-001").unwrap());
    let none = visit("q=%22%3E%3Cimg+src%3Dy").await;
    assert!(rows(&none) == 0 && none.contains("No target matches") && !none.contains("<img src=y"));
    let named = visit("sort=name").await;
    assert!(named.find("host-001").unwrap() < named.find("host-007").unwrap());
}

#[tokio::test]
async fn without_a_collector_there_are_no_targets_and_little_to_tell() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    assert!(site.visit(&cookie, "/targets").await.text().contains("No target yet"));
    let page = site.visit(&cookie, "/about").await.text();
    assert!(
        page.contains(env!("CARGO_PKG_VERSION"))
            && page.contains("The store answers")
            && page.contains("mect-collector doctor")
    );
    assert!(page.contains("[geolocation]"), "how to add a database");
}

#[tokio::test]
async fn the_installation_is_told_with_its_troubles() {
    let site = Site::with(settings()).await;
    let told = Arc::new(Told(snapshot(&[])));
    let site =
        site.collecting(Collecting { targets: Some(told.clone()), installation: Some(told), ..Collecting::default() });
    let cookie = site.session("viewer").await;
    let targets = site.visit(&cookie, "/targets").await.text();
    assert!(targets.contains("A target file cannot be used: targets.yml: line 3: expected a list"), "{targets}");
    assert!(targets.contains("A target list cannot be used: http://cmdb/: unexpected answer (HTTP 500)"), "{targets}");
    let page = site.visit(&cookie, "/about").await.text();
    for text in [
        "running for 2 h",
        "MongoDB, answers",
        "does not answer",
        "128 of 256",
        "Redis does not answer",
        "line 3: expected a list",
        "City.mmdb cannot be read",
        "50 of 1,000",
        "href=\"/metrics\"",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<img src=x"));
}

/// As for the fleet page: the bound is generous, because it must hold without optimisation on a busy machine.
/// `--nocapture` shows the times.
#[tokio::test]
async fn big_fleets_stay_quick() {
    let mut settings = settings();
    settings.status_page = true;
    let site = Site::with(settings).await;
    let servers = site.register((0..50_000).map(story::registration).collect()).await;
    let at = Timestamp::now() - Duration::from_secs(700);
    let mut batch = Vec::new();
    for (n, server) in (0u32..).zip(&servers) {
        let standing = &mut mect_fleet::Standing::default();
        batch.push(story::observe(standing, server.id, at, story::heartbeat(n)));
        if n.is_multiple_of(5) {
            let fall = |n: u64| story::observe(standing, server.id, at + Duration::from_secs(120 * n), story::failed());
            batch.extend((1..4).map(fall));
        }
    }
    let batch = Arc::new(batch);
    site.store.recorder.record(batch.clone()).await.unwrap();
    site.fleet.apply(&batch);
    site.fleet.publish(Timestamp::now());
    let told = Arc::new(Told(snapshot(&servers)));
    let site =
        site.collecting(Collecting { targets: Some(told.clone()), installation: Some(told), ..Collecting::default() });
    let cookie = site.session("root").await;
    for path in
        ["/incidents", "/incidents?page=2", "/events", "/targets", "/targets?sort=slow&q=host-9", "/about", "/status"]
    {
        for what in ["first", "again"] {
            let start = Instant::now();
            let page = site.visit(&cookie, path).await;
            println!("50,000 servers, {path}, {what}: {:?}, {} bytes", start.elapsed(), page.body.len());
            assert!(page.status == StatusCode::OK && page.body.len() < 200_000, "{path}: {}", page.status);
            assert!(start.elapsed() < Duration::from_secs(3), "{path}");
        }
    }
}
