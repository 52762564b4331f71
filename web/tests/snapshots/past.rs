//! Incidents, events, targets, this installation, the public page of states, and the readers of REST.

use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::store::{Event, EventKind, Registration, story};

use crate::common::{Site, registration, settings};
use crate::golden::shows;
use crate::scene::{HOSTILE, Scene, added};

/// A fleet in which two servers came back and one did not, on the settings of a public page.
async fn scene() -> Scene {
    let mut settings = settings();
    settings.status_page = true;
    let mut swiss = added("192.0.2.3", HOSTILE);
    (swiss.place.country_code, swiss.place.country) = ("CH".into(), HOSTILE.into());
    let registrations = vec![added("192.0.2.1", "de1"), added("192.0.2.2", "de2"), swiss];
    let scene = Scene::of(Site::with(settings).await, registrations).await;
    let falls = || vec![story::heartbeat(1), story::failed(), story::failed(), story::failed()];
    let returns = || [falls(), vec![story::heartbeat(1); 3]].concat();
    // Too far from each other to be one incident.
    for (name, outcomes, before) in [("de1", returns(), 100), ("de2", returns(), 3700), (HOSTILE, falls(), 130)] {
        scene.scraped(name, outcomes, None, Duration::from_secs(before)).await;
    }
    scene
}

async fn events(scene: &Scene) {
    let start = Timestamp::now() - Duration::from_secs(8000);
    let event = |seconds, kind, detail: &str| Event {
        at: start + Duration::from_secs(seconds),
        kind,
        server: None,
        detail: detail.into(),
    };
    let events = vec![
        event(0, EventKind::CollectorJoined, "one"),
        event(10, EventKind::StoreLost, "no primary <b>"),
        event(90, EventKind::StoreBack, ""),
        event(100, EventKind::Unverified, "7 of 9"),
        event(200, EventKind::Verified, ""),
        event(210, EventKind::CollectorLost, HOSTILE),
    ];
    scene.site.store.journal.append_events(events).await.unwrap();
}

#[tokio::test]
async fn incidents_and_events() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    shows("incidents-none", 200, async || site.visit(&cookie, "/incidents").await).await;
    shows("events-none", 200, async || site.visit(&cookie, "/events").await).await;
    let scene = scene().await;
    events(&scene).await;
    let cookie = scene.site.session("viewer").await;
    for (name, path) in [
        ("incidents", "/incidents"),
        ("incidents-open", "/incidents?state=open"),
        ("incidents-closed", "/incidents?state=closed&kind=store_lost"),
        ("incidents-no-match", "/incidents?state=closed&kind=collector_lost"),
        ("events", "/events"),
        ("events-of-a-server", "/events?kind=health_changed&server=de1"),
        ("events-no-match", "/events?server=%22%3E%3Cimg+src%3Dx%3E"),
    ] {
        shows(name, 200, async || scene.visit(&cookie, path).await).await;
    }
}

#[tokio::test]
async fn targets_and_this_installation() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    shows("targets-none", 200, async || site.visit(&cookie, "/targets").await).await;
    shows("about-little", 200, async || site.visit(&cookie, "/about").await).await;
    let scene = Scene::full().await.collecting();
    let (viewer, admin) = (scene.site.session("viewer").await, scene.site.session("admin").await);
    for (name, cookie, path) in [
        ("targets", &viewer, "/targets?sort=name"),
        ("targets-failing", &admin, "/targets?state=failing"),
        ("targets-no-match", &viewer, "/targets?q=%22%3E%3Cimg+src%3Dx%3E"),
        ("about", &viewer, "/about"),
        ("about-admin", &admin, "/about"),
    ] {
        shows(name, 200, async || scene.visit(cookie, path).await).await;
    }
}

#[tokio::test]
async fn the_public_page() {
    let mut settings = settings();
    settings.status_page = true;
    let site = Site::with(settings).await;
    shows("status-empty", 200, async || site.get("/status").await).await;
    let well = Scene::of(site, vec![Registration { ..registration("192.0.2.1", "de1") }]).await;
    well.scraped("de1", vec![story::heartbeat(1)], None, Duration::from_secs(100)).await;
    shows("status-well", 200, async || well.site.get("/status").await).await;
    let scene = scene().await;
    shows("status-trouble", 200, async || scene.site.get("/status").await).await;
}

#[tokio::test]
async fn readers_of_rest() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    for path in ["docs", "redoc"] {
        shows(path, 200, async || site.visit(&cookie, &format!("/{path}")).await).await;
    }
}
