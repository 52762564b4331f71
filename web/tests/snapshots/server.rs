//! One server: its page in every state, its form, and its exporter's page.

use mect_fleet::Timestamp;
use mect_fleet::store::{Registration, StoreState};

use crate::common::{Site, registration};
use crate::golden::{is, shows};
use crate::scene::{HOSTILE, Scene, added, escape};

/// Names of servers, also those of their files.
const NAMES: [&str; 10] =
    ["active", "degraded", "down", "pending", "unverified", "draining", "maintenance", "stale", "pushed", "announced"];

#[tokio::test]
async fn every_state() {
    let scene = Scene::full().await.collecting();
    let (viewer, admin) = (scene.site.session("viewer").await, scene.site.session("admin").await);
    for name in NAMES {
        let path = scene.path(name);
        shows(&format!("server-{name}"), 200, async || scene.visit(&admin, &path).await).await;
    }
    let hostile = scene.path(HOSTILE);
    shows("server-hostile", 200, async || scene.visit(&admin, &hostile).await).await;
    for (name, path) in [
        ("server-readonly", hostile.clone()),
        ("server-announced-readonly", scene.path("announced")),
        ("server-hour", format!("{}?span=1h", scene.path("active"))),
        ("server-month", format!("{hostile}?span=30d&done=%3Cimg%3E")),
    ] {
        shows(name, 200, async || scene.visit(&viewer, &path).await).await;
    }
    for done in ["added", "known", "saved", "unchanged", "intent", "approved"] {
        let path = format!("{}?done={done}", scene.path("pending"));
        shows(&format!("server-done-{done}"), 200, async || scene.visit(&viewer, &path).await).await;
    }
    let intent = format!("{hostile}/intent");
    let form = "action=drain&drain_until=2000-01-01T00%3A00";
    shows("server-drain-problem", 422, async || scene.site.submit(&admin, &intent, form).await).await;

    scene.site.fleet.set_store_state(StoreState::Lost { since: Timestamp::now() });
    shows("server-store-lost", 200, async || scene.visit(&admin, &hostile).await).await;
}

#[tokio::test]
async fn without_a_target_and_named_by_the_configuration() {
    let scene = Scene::of(Site::new().await, vec![registration("192.0.2.1", HOSTILE)]).await;
    let cookie = scene.site.session("admin").await;
    let path = scene.path(HOSTILE);
    shows("server-configured", 200, async || scene.visit(&cookie, &path).await).await;
    let edit = format!("{path}/edit");
    shows("edit-configured", 200, async || scene.visit(&cookie, &edit).await).await;
    let delete = format!("{path}/delete");
    shows("server-not-deleted", 409, async || scene.site.submit(&cookie, &delete, "").await).await;
    scene.site.fleet.set_monitored(&Default::default(), Timestamp::now());
    shows("server-without-target", 200, async || scene.visit(&cookie, &path).await).await;
}

#[tokio::test]
async fn its_form() {
    let hostile = Registration { notes: format!("</textarea><b>{HOSTILE}"), ..added("192.0.2.1", HOSTILE) };
    let scene = Scene::of(Site::new().await, vec![hostile, added("192.0.2.2", "de2")]).await;
    let cookie = scene.site.session("admin").await;
    let edit = format!("{}/edit", scene.path(HOSTILE));
    shows("edit", 200, async || scene.visit(&cookie, &edit).await).await;
    let revision = scene.servers[HOSTILE].revision;
    let same = format!("revision={revision}&hostname={}&ip=192.0.2.1&address=192.0.2.1:9776", escape(HOSTILE));
    for (name, status, form) in [
        ("edit-problems", 422, format!("{same}&country_code=XX&tags=Bad!&capacity=x&coordinates=north")),
        ("edit-taken", 409, same.replace("192.0.2.1", "192.0.2.2")),
    ] {
        is(name, status, &scene.site.submit(&cookie, &edit, &form).await);
    }
}

#[tokio::test]
async fn its_exporters_page() {
    let scene = Scene::full().await;
    let cookie = scene.site.session("viewer").await;
    let none = format!("{}/exposition", scene.path("active"));
    shows("exposition-none-readonly", 200, async || scene.visit(&cookie, &none).await).await;
    let scene = scene.collecting();
    let cookie = scene.site.session("admin").await;
    for (name, server, query) in [
        ("exposition-none", "active", ""),
        ("exposition", HOSTILE, ""),
        ("exposition-search", HOSTILE, "?q=NODE_load1"),
        ("exposition-nothing-found", HOSTILE, "?q=%22%3E%3Cimg%20src%3Dx%3E%3Cb"),
        ("exposition-failure", "down", ""),
    ] {
        let path = format!("{}/exposition{query}", scene.path(server));
        shows(name, 200, async || scene.visit(&cookie, &path).await).await;
    }
    let scrape = format!("{}/scrape", scene.path("active"));
    is("exposition-refused", 409, &scene.site.submit(&cookie, &scrape, "").await);
}
