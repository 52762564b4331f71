//! The fleet, and the question before many servers are changed.

use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::store::StoreState;

use crate::common::{Site, registration};
use crate::golden::{is, shows};
use crate::scene::{HOSTILE, Scene};

#[tokio::test]
async fn empty() {
    let site = Site::new().await;
    for (name, user) in [("fleet-empty", "viewer"), ("fleet-empty-admin", "admin")] {
        let cookie = site.session(user).await;
        shows(name, 200, async || site.visit(&cookie, "/").await).await;
    }
}

#[tokio::test]
async fn servers_of_every_state() {
    let scene = Scene::full().await;
    let (viewer, admin) = (scene.site.session("viewer").await, scene.site.session("admin").await);
    for (name, cookie, path) in [
        ("fleet", &viewer, "/"),
        ("fleet-admin", &admin, "/?sort=name"),
        ("fleet-compact", &viewer, "/?sort=-load&density=compact"),
        ("fleet-filtered", &viewer, "/?q=frankfurt&state=down&country=DE&service=wg&flag=enabled"),
        ("fleet-tag", &viewer, "/?tag=eu"),
        ("fleet-none", &admin, "/?q=nowhere&tag=gone"),
        ("fleet-hostile-query", &viewer, "/?q=%22%3E%3Cimg+src%3Dx%3E&tag=%22%3E%3Cimg+src%3Dx%3E"),
        ("fleet-bulk-done", &admin, "/?state=draining&done=bulk"),
    ] {
        shows(name, 200, async || scene.visit(cookie, path).await).await;
    }
    scene.site.fleet.set_store_state(StoreState::Lost { since: Timestamp::now() });
    shows("fleet-store-lost", 200, async || scene.visit(&admin, "/?sort=name").await).await;
}

#[tokio::test]
async fn pages_of_rows() {
    let registrations = (1..=130).map(|n| registration(&format!("192.0.2.{n}"), &format!("host-{n:03}"))).collect();
    let scene = Scene::of(Site::new().await, registrations).await;
    let cookie = scene.site.session("viewer").await;
    shows("fleet-last-page", 200, async || scene.visit(&cookie, "/?sort=name&page=2").await).await;
}

#[tokio::test]
async fn nothing_new() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    let before = Timestamp::now() - Duration::from_secs(900);
    site.fleet.register(vec![registration("192.0.2.1", "de1")], before).await.unwrap();
    shows("fleet-old", 200, async || site.visit(&cookie, "/").await).await;
}

#[tokio::test]
async fn changes_of_many() {
    let scene = Scene::full().await;
    let cookie = scene.site.session("admin").await;
    let chosen = format!("id={}&id={}", scene.servers["active"].id, scene.servers[HOSTILE].id);
    for (name, status, form) in [
        ("bulk-question", 200, format!("{chosen}&action=drain&back=/%3Fsort%3Dname")),
        ("bulk-found", 200, "scope=found&action=gaming&back=/".to_owned()),
        ("bulk-nothing", 200, format!("{chosen}&action=undrain")),
        ("bulk-tag", 422, format!("{chosen}&action=tag&tag=No+%22%3E%3Cimg+src%3Dx%3E&back=/%3Fsort%3Dname")),
        ("bulk-none-chosen", 422, "action=drain".to_owned()),
    ] {
        is(name, status, &scene.site.submit(&cookie, "/servers/bulk", &form).await);
    }
}
