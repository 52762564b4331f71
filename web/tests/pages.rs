//! The pages that people see.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{PASSWORD, Site, plus, registration};
use http::{StatusCode, header};
use mect_fleet::store::story;
use mect_fleet::{Failure, FailureReason, Outcome, Timestamp};

#[tokio::test]
async fn signing_in_by_the_page() {
    let site = Site::new().await;
    let form = site.get("/login?next=/%3Fstate%3Ddown").await;
    assert!(form.text().contains(r#"name="next" value="/?state=down""#), "{}", form.text());

    let wrong = site.submit("", "/login", "username=<b>&password=wrong&next=/").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.text().contains("Incorrect username or password"));
    assert!(wrong.text().contains(r#"value="&#60;b&#62;""#), "{}", wrong.text());
    assert_eq!(wrong.header(header::SET_COOKIE), "");

    for (next, target) in [("/?state=down", "/?state=down"), ("https://evil.example", "/"), ("//evil.example", "/")] {
        let form = format!("username=viewer&password={}&next={next}", plus(PASSWORD));
        let right = site.submit("", "/login", &form).await;
        assert_eq!((right.status, right.header(header::LOCATION)), (StatusCode::SEE_OTHER, target));
    }
}

#[tokio::test]
async fn an_empty_fleet_says_what_to_do() {
    let site = Site::new().await;
    let page = site.visit(&site.session("viewer").await, "/").await.text();
    assert!(page.contains("No servers yet") && page.contains("collector.toml") && page.contains("targets.yml"));
}

#[tokio::test]
async fn hostile_names_are_only_text() {
    let site = Site::new().await;
    let name = r#""><img src=x onerror=alert(1)>"#;
    let servers = site.register(vec![registration("192.0.2.1", name)]).await;
    let failure = Failure::new(FailureReason::Status, "<script>alert(2)</script>");
    let outcomes = vec![story::heartbeat(1), Outcome::Failed(failure)];
    site.scrape(&servers[0], Timestamp::now() - Duration::from_secs(200), outcomes).await;
    let cookie = site.session("admin").await;
    for path in ["/", "/?q=%22%3E%3Cimg+src%3Dx%3E", "/?state=%22%3E%3Cimg%3E&sort=%22%3E%3Cimg%3E"] {
        let page = site.visit(&cookie, path).await.text();
        assert!(!page.contains("<img src=x") && !page.contains("\"><img>"), "{path}");
        assert!(!page.contains("<script>alert"), "{path}");
        // The policy forbids them, so nothing may need them.
        assert!(!page.contains(" style=") && !page.contains("onclick="), "{path}");
    }
    assert!(site.visit(&cookie, "/").await.text().contains("&#34;&#62;&#60;img src=x onerror=alert(1)&#62;"));
}

#[tokio::test]
async fn troubles_are_told_in_words() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let refused = || Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""));
    let start = Timestamp::now() - Duration::from_secs(600);
    site.scrape(&servers[0], start, vec![story::heartbeat(1), refused(), refused()]).await;
    site.scrape(&servers[1], start, vec![story::heartbeat(1), refused(), refused(), refused()]).await;
    let page = site.visit(&site.session("viewer").await, "/").await.text();
    assert!(page.contains("connection refused (2 of 3 checks)"));
    assert!(page.contains("connection refused, down for 4 min"));
    // Trouble comes first, and the flip is among the latest changes.
    assert!(page.find("de2").unwrap() < page.find("de1").unwrap());
    assert!(page.contains(">de2</a></b> is <span class=\"word down\">down</span>: connection refused"));
    // A viewer sees flags, and no buttons to change them.
    assert!(!page.contains("/flags\""));
}

#[tokio::test]
async fn the_query_filters_sorts_and_pages() {
    let site = Site::new().await;
    let servers: Vec<_> = (0..250).map(|n| registration(&format!("10.0.0.{n}"), &format!("host-{n:03}"))).collect();
    let servers = site.register(servers).await;
    site.scrape(&servers[7], Timestamp::now(), vec![story::heartbeat(1)]).await;
    let cookie = site.session("viewer").await;
    let rows = async |path: &str| {
        let page = site.visit(&cookie, path).await.text();
        (page.matches("<tr id=").count(), page)
    };
    let (count, first) = rows("/").await;
    assert!(count == 100 && first.contains("1–100 of 250 servers") && first.contains("Page 1 of 3"));
    assert!(first.contains(r#"href="/?page=2""#));
    let (count, last) = rows("/?page=99&sort=name").await;
    assert!(count == 50 && last.contains("201–250 of 250 servers") && last.contains("host-249"));
    let (count, found) = rows("/?q=HOST-00+frankfurt").await;
    assert!(count == 10 && found.contains("1–10 of 10 servers") && !found.contains("Page 1"));
    assert_eq!(rows("/?state=active").await.0, 1);
    let (count, none) = rows("/?q=nowhere").await;
    assert!(count == 0 && none.contains("No server matches"));
}

#[tokio::test]
async fn a_flag_button_changes_one_flag_and_returns() {
    let site = Site::new().await;
    site.register(vec![registration("2001:db8::1", "de1")]).await;
    let cookie = site.session("admin").await;
    let page = site.visit(&cookie, "/?q=de").await.text();
    let action = page.split("action=\"").find(|part| part.starts_with("/server/")).unwrap().split('"').next().unwrap();
    assert!(page.contains(r#"name="back" value="/?q=de""#));
    let answer = site.submit(&cookie, action, "back=/%3Fq%3Dde&streaming=true").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/?q=de"));
    let view = site.fleet.view();
    let server = &view.by_ip("2001:db8::1").unwrap().server;
    assert!(server.streaming && !server.gaming && server.enabled);
    assert_eq!(site.submit(&cookie, action, "streaming=perhaps").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// The page costs about the same at any size; the bound is generous, because it must hold without optimisation on a
/// busy machine. `--nocapture` shows the times.
#[tokio::test]
async fn big_fleets_stay_quick() {
    for size in [1_000, 50_000] {
        let site = Site::new().await;
        let servers = site.register((0..size).map(story::registration).collect()).await;
        let at = Timestamp::now();
        let standing = &mut Default::default();
        let batch: Vec<_> = (0u32..)
            .zip(&servers)
            .map(|(n, server)| {
                *standing = mect_fleet::Standing::default();
                story::observe(standing, server.id, at, story::heartbeat(n))
            })
            .collect();
        site.fleet.apply(&batch);
        site.fleet.publish(at);
        let (cookie, token) = (site.session("admin").await, site.token("viewer").await);
        for path in ["/", "/?sort=load&q=host-9&page=2"] {
            let start = Instant::now();
            let page = site.visit(&cookie, path).await;
            println!("{size} servers, {path}: {:?}, {} bytes", start.elapsed(), page.body.len());
            assert!(start.elapsed() < Duration::from_secs(2));
        }
        for what in ["first", "kept"] {
            let start = Instant::now();
            let list = site.get_as(&token, "/servers").await;
            println!("{size} servers, GET /servers, {what}: {:?}, {} bytes", start.elapsed(), list.body.len());
        }
    }
}
