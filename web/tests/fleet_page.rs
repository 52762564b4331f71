//! The fleet page: filters, orders, the map, strips of uptime, and changes of many servers.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use axum::body::Body;
use common::{Site, registration};
use http::{Request, StatusCode, header};
use mect_fleet::store::{Registration, StoreState, story};
use mect_fleet::{Failure, FailureReason, Outcome, Place, Timestamp};

/// A site whose servers, named and placed as given, were scraped once; those named `down…` do not answer any more.
async fn site(servers: &[(&str, &str, &str)]) -> Site {
    let site = Site::new().await;
    let registrations = servers.iter().zip(1..).map(|((name, code, country), n)| Registration {
        place: Place { country_code: (*code).into(), country: (*country).into(), ..Place::default() },
        ..registration(&format!("192.0.2.{n}"), name)
    });
    let servers = site.register(registrations.collect()).await;
    for (server, n) in servers.iter().zip(1..) {
        let refused = || Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""));
        let failures = if server.hostname.starts_with("down") { 3 } else { 0 };
        let outcomes = std::iter::once(story::heartbeat(n)).chain(std::iter::repeat_with(refused).take(failures));
        site.scrape(server, Timestamp::now() - Duration::from_secs(600), outcomes.collect()).await;
    }
    site
}

/// The names in the table, from top to bottom.
fn names(page: &str) -> Vec<&str> {
    let rows = page.split("class=\"name\"").skip(1);
    rows.map(|row| row.split_once('>').unwrap().1.split('<').next().unwrap()).collect()
}

#[tokio::test]
async fn filters_and_orders() {
    let site = site(&[("de1", "DE", "Germany"), ("fr1", "FR", "France"), ("de2", "DE", "Germany")]).await;
    let token = site.token("admin").await;
    let server = site.fleet.view().by_ip("192.0.2.2").unwrap().server.id;
    let edit = r#"{"gaming": true, "add_tags": ["eu-fast"], "hostname": "fr1"}"#;
    assert_eq!(site.json_as(&token, "PATCH", &format!("/api/v1/servers/{server}"), edit).await.status, 200);
    let cookie = site.session("viewer").await;
    let all = ["de1", "de2", "fr1"];
    for (query, found) in [
        ("", &all[..]),
        ("?sort=-name", &["fr1", "de2", "de1"]),
        ("?sort=place", &["fr1", "de1", "de2"]),
        ("?country=de", &["de1", "de2"]),
        ("?country=DE&sort=-name", &["de2", "de1"]),
        ("?country=XX", &[]),
        ("?flag=gaming", &["fr1"]),
        ("?flag=-gaming", &["de1", "de2"]),
        ("?flag=enabled&service=wg", &all),
        ("?service=sq", &[]),
        ("?tag=eu-fast", &["fr1"]),
        ("?tag=No+Tag", &[]),
        ("?q=EU-fast", &["fr1"]),
        ("?state=draining", &[]),
        ("?state=active&country=FR", &["fr1"]),
        ("?state=nonsense&service=ssh&flag=static&sort=size&page=x", &all),
    ] {
        let page = site.visit(&cookie, &format!("/{query}")).await.text();
        assert_eq!(names(&page), found, "{query}");
    }
    let page = site.visit(&cookie, "/?country=DE&sort=name").await.text();
    // A click on the column turns the order round, and keeps the filter.
    assert!(page.contains(r#"aria-sort="ascending"><a href="/?country=DE&#38;sort=-name">Server</a>"#), "{page}");
    assert!(page.contains(r#"<option value="DE" selected>Germany (2)</option>"#), "{page}");
    assert!(page.contains(r#"href="/?country=DE&#38;sort=name&#38;density=compact""#), "{page}");
    assert!(page.contains("eu-fast (1)"));
}

#[tokio::test]
async fn the_map_shows_the_worst_of_each_country() {
    let servers =
        [("de1", "DE", "Germany"), ("down1", "DE", "Germany"), ("sg1", "SG", "Singapore"), ("nowhere", "", "")];
    let site = site(&servers).await;
    let page = site.visit(&site.session("viewer").await, "/").await.text();
    let map = page.split("id=\"map\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(map.matches("<a ").count(), 2, "{map}");
    assert!(map.contains("href=\"/?country=DE\" aria-label=\"Germany: 2 servers, 1 down, mean load"), "{map}");
    assert!(map.contains("<use class=\"country-shape down") && map.contains("world.svg#DE"), "{map}");
    // Too small to have a shape.
    assert!(map.contains("<circle class=\"country-shape active"), "{map}");
    let asset = map.split("href=\"").map(|rest| rest.split('"').next().unwrap()).find(|url| url.ends_with("#world"));
    let world = site.get(asset.unwrap().trim_end_matches("#world")).await;
    assert_eq!((world.status, world.header(header::CONTENT_TYPE)), (StatusCode::OK, "image/svg+xml"));
}

#[tokio::test]
async fn each_row_has_thirty_days_and_none_in_an_outage() {
    let site = site(&[("de1", "DE", "Germany"), ("de2", "DE", "Germany")]).await;
    let cookie = site.session("viewer").await;
    let page = site.visit(&cookie, "/").await.text();
    assert_eq!(page.matches("aria-label=\"100 % up in 30 days\"").count(), 2, "{page}");
    site.fleet.set_store_state(StoreState::Lost { since: Timestamp::now() });
    let page = site.visit(&cookie, "/").await.text();
    assert!(!page.contains("up in 30 days") && page.contains("de1"), "{page}");
}

#[tokio::test]
async fn many_servers_are_counted_and_then_changed() {
    let site = site(&[("de1", "DE", "Germany"), ("fr1", "FR", "France"), ("de2", "DE", "Germany")]).await;
    let (cookie, view) = (site.session("admin").await, site.fleet.view());
    let id = |ip: &str| view.by_ip(ip).unwrap().server.id;
    let chosen = format!("id={}&id={}&action=drain&back=/%3Fsort%3Dname", id("192.0.2.1"), id("192.0.2.2"));
    let question = site.submit(&cookie, "/servers/bulk", &chosen).await;
    assert_eq!(question.status, StatusCode::OK);
    let text = question.text();
    assert!(text.contains("<b>2 servers</b> chosen") && text.contains("name=\"confirmed\" value=\"2\""), "{text}");
    assert!(!site.fleet.view().by_ip("192.0.2.1").unwrap().draining, "only counted");

    let done = site.submit(&cookie, "/servers/bulk", &format!("{chosen}&confirmed=2")).await;
    assert_eq!((done.status, done.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/?sort=name&done=bulk"));
    let draining = |ip: &str| site.fleet.view().by_ip(ip).unwrap().draining;
    assert_eq!(["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(draining), [true, true, false]);
    let page = site.visit(&cookie, "/?sort=name&done=bulk").await.text();
    assert!(page.contains("The servers were changed.") && page.contains("New clients go elsewhere until an operator"));
    let audit = site.store.journal.audit(None, 10).await.unwrap();
    let entry = audit.iter().map(|record| &record.entry).find(|entry| entry.action == "server.edit_many").unwrap();
    assert_eq!((entry.who.as_str(), entry.subject.as_str()), ("admin", "2 servers"));

    // All that the filter found; another number than was confirmed changes nothing.
    let found = "scope=found&action=gaming&back=/%3Fcountry%3DDE";
    let question = site.submit(&cookie, "/servers/bulk", found).await.text();
    assert!(question.contains("name=\"confirmed\" value=\"2\"") && question.contains("name=\"scope\""), "{question}");
    let stale = site.submit(&cookie, "/servers/bulk", &format!("{found}&confirmed=3")).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(!site.fleet.view().by_ip("192.0.2.3").unwrap().server.gaming);
    site.submit(&cookie, "/servers/bulk", &format!("{found}&confirmed=2")).await;
    assert!(site.fleet.view().by_ip("192.0.2.3").unwrap().server.gaming);
    assert!(!site.fleet.view().by_ip("192.0.2.2").unwrap().server.gaming);

    for (form, says) in [
        ("action=drain".to_owned(), "tick them in the table"),
        (format!("id={}&action=explode", id("192.0.2.1")), "Choose what to do"),
        (format!("id={}&action=tag&tag=No+Tag", id("192.0.2.1")), "not a tag"),
        ("id=x&action=drain".to_owned(), "id: not a server id"),
        (format!("id={}&action=drain&confirmed=many", id("192.0.2.1")), "confirmed: not a number"),
    ] {
        let refused = site.submit(&cookie, "/servers/bulk", &form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(refused.text().contains(says), "{form}: {}", refused.text());
    }
    let viewer = site.submit(&site.session("viewer").await, "/servers/bulk", &chosen).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn hostile_texts_are_only_text() {
    let name = r#""><img src=x onerror=alert(1)>"#;
    let site = site(&[(name, "DE", name)]).await;
    let cookie = site.session("admin").await;
    let id = site.fleet.view().by_ip("192.0.2.1").unwrap().server.id;
    let evil = "%22%3E%3Cimg+src%3Dx%3E";
    let fields = ["q", "state", "country", "service", "flag", "tag", "sort", "density", "page", "done"];
    let query: Vec<String> = fields.iter().map(|field| format!("{field}={evil}")).collect();
    let mut pages = vec![site.visit(&cookie, "/").await, site.visit(&cookie, &format!("/?{}", query.join("&"))).await];
    pages.push(site.submit(&cookie, "/servers/bulk", &format!("id={id}&action=drain&back={evil}&tag={evil}")).await);
    for page in pages {
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        assert!(!text.contains("<img src=x") && !text.contains(" style=") && !text.contains("onclick="), "{text}");
    }
}

#[tokio::test]
async fn what_is_old_is_said_to_be_old() {
    let site = site(&[("de1", "DE", "Germany")]).await;
    let cookie = site.session("viewer").await;
    assert!(!site.visit(&cookie, "/").await.text().contains("Nothing new since"));
    // The newest that was published, and nothing since.
    let before = Timestamp::now() - Duration::from_secs(900);
    site.fleet.register(vec![registration("192.0.2.77", "late")], before).await.unwrap();
    assert!(site.visit(&cookie, "/").await.text().contains("Nothing new since"));
}

/// Style and scripts of the page, as they travel.
const MOST_BYTES: usize = 60_000;

#[tokio::test]
async fn style_and_scripts_are_small() {
    let site = site(&[("de1", "DE", "Germany")]).await;
    let page = site.visit(&site.session("admin").await, "/").await.text();
    let urls = page.split('"').filter(|text| text.starts_with("/assets/")).filter(|url| !url.contains("svg"));
    let (mut count, mut bytes) = (0, 0);
    for url in urls {
        let packed = async |accepted: &str, coding: &str| {
            let request = Request::get(url).header(header::ACCEPT_ENCODING, accepted);
            let answer = site.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.header(header::CONTENT_ENCODING), coding, "{url}");
            assert_eq!(answer.header(header::VARY), "accept-encoding");
            answer
        };
        let answer = packed("gzip", "gzip").await;
        assert!(packed("br, gzip", "br").await.body.len() < answer.body.len(), "{url}");
        (count, bytes) = (count + 1, bytes + answer.body.len());
    }
    println!("{count} files, {bytes} bytes");
    assert!(count >= 3 && bytes <= MOST_BYTES, "{count} files, {bytes} bytes");
}
