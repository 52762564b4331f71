//! The public page of states, and the page of a mistake.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Site, registration, settings};
use http::{StatusCode, header};
use mect_fleet::store::story;
use mect_fleet::{Outcome, Timestamp};

async fn open() -> Site {
    let mut settings = settings();
    settings.status_page = true;
    Site::with(settings).await
}

#[tokio::test]
async fn without_the_setting_there_is_none() {
    let site = Site::new().await;
    assert_eq!(site.visit("", "/status").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/status").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn it_tells_countries_and_services_and_nothing_of_servers() {
    let site = open().await;
    let mut registrations = vec![registration("192.0.2.1", "de1.example"), registration("192.0.2.2", "de2.example")];
    let mut swiss = registration("192.0.2.3", "ch1.example");
    (swiss.place.country_code, swiss.place.country) = ("CH".into(), r#""><img src=x onerror=alert(1)>"#.into());
    registrations.push(swiss);
    let servers = site.register(registrations).await;
    let start = Timestamp::now() - Duration::from_secs(1200);
    let falls = |n: usize| -> Vec<Outcome> {
        std::iter::once(story::heartbeat(1)).chain((0..n).map(|_| story::failed())).collect()
    };
    site.scrape(&servers[0], start, vec![story::heartbeat(1)]).await;
    site.scrape(&servers[1], start, falls(3)).await;
    site.scrape(&servers[2], start, falls(3)).await;

    let answer = site.get("/status").await;
    let page = answer.text();
    assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::OK, "text/html; charset=utf-8"));
    assert_eq!(answer.header(header::CACHE_CONTROL), "public, max-age=15");
    assert!(page.contains("Some servers have trouble") && page.contains("Germany"));
    assert!(page.contains("partly down") && page.contains("WireGuard"), "{page}");
    for secret in ["192.0.2", "de1.example", "srv-", "<img src=x"] {
        assert!(!page.contains(secret), "{secret}: {page}");
    }
    // WireGuard runs on all three, two of which were down for a part of the last 20 minutes.
    let services = page.split_once("id=\"services-title\"").unwrap().1;
    let uptime = services.split_once("WireGuard").unwrap().1.split_once("class=\"number\">").unwrap().1;
    let percent: f64 = uptime.split_once(" %").unwrap().0.parse().unwrap();
    assert!(percent > 50.0 && percent < 100.0, "{percent}");

    // Rendered once per view.
    assert_eq!(site.get("/status").await.body, page.as_bytes());
    site.scrape(&servers[1], start, vec![story::heartbeat(1)]).await;
    site.scrape(&servers[2], start, vec![story::heartbeat(1)]).await;
    assert!(site.get("/status").await.text().contains("Everything works"));
}

#[tokio::test]
async fn an_empty_fleet_has_nothing_to_tell() {
    let site = open().await;
    let page = site.get("/status").await.text();
    assert!(page.contains("Nothing is known yet") && page.contains("Nothing to tell yet"));
}

#[tokio::test]
async fn a_mistake_has_a_page_that_says_what_to_do() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    let missing = site.visit(&cookie, "/no/such/page").await;
    let page = missing.text();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(
        page.contains("may be mistyped") && page.contains(r#"href="/targets""#) && page.contains(">viewer <small>")
    );
    let stranger = site.visit("", "/no/such/page").await;
    assert!(stranger.status == StatusCode::NOT_FOUND && !stranger.text().contains("Sign out"));
    let posted = site.submit(&cookie, "/targets", "").await;
    assert_eq!((posted.status, posted.header(header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET"));
    assert!(posted.text().contains("use the links and buttons"));
    // Programs get what they always got.
    site.get("/no/such/page").await.is_problem(404, "Not found");
}
