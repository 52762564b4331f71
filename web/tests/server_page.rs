//! The page of one server: what it tells, to whom, and what can be done on it.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Site, registration};
use http::{StatusCode, header};
use mect_fleet::store::{Registration, StoreState, story};
use mect_fleet::{Failure, FailureReason, HostId, Outcome, Reading, ScrapeTarget, Server, Timestamp};

const HOSTILE: &str = r#""><img src=x onerror=alert(1)>"#;

fn refused() -> Outcome {
    Outcome::Failed(Failure::new(FailureReason::ConnRefused, ""))
}

/// A server that was added by hand, with a target of its own.
fn added(ip: &str, hostname: &str) -> Registration {
    let endpoint = format!("{ip}:9776").parse().unwrap();
    let target = Some(ScrapeTarget::at(endpoint));
    Registration { target, ..registration(ip, hostname) }
}

async fn one(site: &Site, new: Registration) -> Server {
    site.register(vec![new]).await.remove(0)
}

/// The server as the fleet has it now.
fn now(site: &Site, server: &Server) -> Server {
    (*site.fleet.view().by_id(server.id).unwrap().server).clone()
}

#[tokio::test]
async fn the_page_tells_how_the_server_is_and_was() {
    let site = Site::new().await;
    let server = one(&site, registration("192.0.2.1", "de-fra-1")).await;
    let start = Timestamp::now() - Duration::from_secs(1800);
    let mut outcomes: Vec<_> = (1..=10).map(story::heartbeat).collect();
    outcomes.extend([refused(), refused(), refused()]);
    site.scrape(&server, start, outcomes).await;
    let cookie = site.session("viewer").await;
    let path = format!("/servers/{}", server.id);
    let page = site.visit(&cookie, &path).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text();
    assert!(page.contains("de-fra-1") && page.contains("192.0.2.1") && page.contains("Frankfurt, Hesse, Germany"));
    assert!(page.contains("Down since ") && page.contains(", connection refused, 3 checks."), "{page}");
    // Services as of the last heartbeat, in words.
    assert!(page.contains("As of the last heartbeat") && page.contains("wg-quick@wg0.service"));
    assert!(page.contains("data moves<span class=\"visually-hidden\">, rung 5 of 5"));
    // The past: a strip, an uptime, events.
    assert!(page.contains("Down once, for ") && page.contains("<rect class=\"down\""), "{page}");
    assert!(page.contains("down: connection refused") && page.contains("</b> in 24 hours"));
    assert!(page.contains("not listed") && page.contains("lower is better"));
    for span in ["1h", "24h", "7d", "30d", "nonsense"] {
        let page = site.visit(&cookie, &format!("{path}?span={span}")).await.text();
        let graphs = page.matches("<svg class=\"graph\"").count();
        assert_eq!(graphs, 5, "{span}: {page}");
        assert!(page.contains("aria-label=\"CPU: ") && page.contains("data-points=\""), "{span}");
        let chosen = if span == "nonsense" { "24h" } else { span };
        assert!(page.contains(&format!("?span={chosen}\" aria-current=\"true\"")), "{span}");
        assert!(page.contains("The same in numbers") && page.contains(" failed</td>"), "{span}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_scraped_yet_says_what_it_waits_for() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "new")).await;
    let cookie = site.session("viewer").await;
    let page = site.visit(&cookie, &format!("/servers/{}", server.id)).await.text();
    assert!(page.contains("Waiting for the first scrape.") && page.contains("shows it by itself"), "{page}");
    assert!(page.contains("it never answered so far"), "{page}");
    assert_eq!(page.matches("No data in this time").count(), 5);
    for unknown in ["/servers/srv-aaaaaaaa", "/servers/nonsense", "/servers/srv-aaaaaaaa/exposition"] {
        let answer = site.visit(&cookie, unknown).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
        assert!(answer.text().contains("Server not found"));
    }
}

#[tokio::test]
async fn who_may_only_look_finds_no_forms_and_cannot_send_them() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "de1")).await;
    let path = format!("/servers/{}", server.id);
    let cookie = site.session("viewer").await;
    let page = site.visit(&cookie, &path).await.text();
    let forms: Vec<_> = page.match_indices("<form").map(|(at, _)| &page[at..(at + 60).min(page.len())]).collect();
    assert_eq!(forms.len(), 1, "{forms:?}");
    assert!(forms[0].contains("/logout") && !page.contains("/edit\""));
    for (end, form) in [("/edit", "hostname=x"), ("/intent", "action=disable"), ("/delete", ""), ("/scrape", "")] {
        let answer = site.submit(&cookie, &format!("{path}{end}"), form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{end}");
    }
    assert_eq!(site.visit(&cookie, &format!("{path}/edit")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(now(&site, &server), server);
}

#[tokio::test]
async fn hostile_texts_are_only_texts() {
    let site = Site::new().await;
    let hostile = Registration { notes: HOSTILE.into(), ..added("192.0.2.1", HOSTILE) };
    let server = one(&site, hostile).await;
    let failure = Failure::new(FailureReason::Status, "<script>alert(2)</script>");
    site.scrape(&server, Timestamp::now(), vec![story::heartbeat(1), Outcome::Failed(failure)]).await;
    let cookie = site.session("admin").await;
    for end in [
        "",
        "?span=%22%3E%3Cimg%20src%3Dx%3E&done=%22%3E%3Cimg%20src%3Dx%3E",
        "/edit",
        "/exposition?q=%22%3E%3Cimg%20src%3Dx%3E",
    ] {
        let page = site.visit(&cookie, &format!("/servers/{}{end}", server.id)).await;
        assert_eq!(page.status, StatusCode::OK);
        let page = page.text();
        assert!(!page.contains("<img src=x") && !page.contains("<script>alert"), "{end}");
        assert!(page.contains("&#34;&#62;&#60;img src=x"), "{end}");
        // The policy forbids them, so nothing may need them.
        assert!(!page.contains(" style=") && !page.contains("onclick="), "{end}");
    }
}

#[tokio::test]
async fn without_the_database_the_page_is_shown_without_its_past() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "de1")).await;
    site.scrape(&server, Timestamp::now(), vec![story::heartbeat(1)]).await;
    let cookie = site.session("viewer").await;
    let path = format!("/servers/{}", server.id);
    assert!(site.visit(&cookie, &path).await.text().contains("<div id=\"outage\" data-live></div>"));
    site.fleet.set_store_state(StoreState::Lost { since: Timestamp::from_secs(1_795_000_000) });
    let page = site.visit(&cookie, &path).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.text();
    assert!(
        page.contains("has not answered since 2026-11-18 11:06:40 UTC") && page.contains("Active since "),
        "{page}"
    );
    assert_eq!(page.matches("while the database does not answer").count(), 3);
    assert!(!page.contains("<svg class=\"graph\""));
}

/// The fields of the edit form as a browser would send them, with some changed.
fn form_of(page: &str, changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(String, String)> = Vec::new();
    let form = page.split("/edit\">").nth(1).unwrap().split("</form>").next().unwrap();
    for input in form.split("<input").skip(1) {
        let tag = input.split('>').next().unwrap();
        let attribute = |name: &str| tag.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        // `submit` adds the token.
        let is_token = attribute("name") == Some("form_token");
        if is_token || (attribute("type") == Some("checkbox") && !tag.contains(" checked")) {
            continue;
        }
        let text =
            attribute("value").unwrap_or_default().replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">");
        fields.push((attribute("name").unwrap().to_owned(), text));
    }
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn an_edit_changes_what_differs_and_nothing_else() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "de1")).await;
    let cookie = site.session("admin").await;
    let path = format!("/servers/{}/edit", server.id);
    let page = site.visit(&cookie, &path).await.text();
    let answer = site.submit(&cookie, &path, &form_of(&page, &[])).await;
    let unchanged = format!("/servers/{}?done=unchanged", server.id);
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, unchanged.as_str()));
    assert_eq!(now(&site, &server), server);

    let changes =
        [("city", "Offenbach"), ("tags", "eu fast"), ("capacity", "1000"), ("paid", "true"), ("notes", "one\r\ntwo")];
    let answer = site.submit(&cookie, &path, &form_of(&page, &changes)).await;
    let saved = format!("/servers/{}?done=saved", server.id);
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, saved.as_str()));
    let edited = now(&site, &server);
    assert_eq!((edited.place.city.as_str(), edited.notes.as_str(), edited.paid), ("Offenbach", "one\ntwo", true));
    assert_eq!((edited.capacity_bytes_per_second, edited.tags.len()), (Some(125_000_000), 2));
    // What labels say of the name and country is not pinned by having been shown.
    assert!(edited.layers.hand.hostname.is_empty() && edited.layers.hand.place.country_code.is_empty());
    assert!(site.visit(&cookie, &saved).await.text().contains("Saved."));
    let audit = site.store.journal.audit(None, 10).await.unwrap();
    let entry = audit.iter().find(|record| record.entry.action == "server.edit").unwrap();
    assert!(entry.entry.who == "admin" && entry.entry.after.contains("Offenbach"), "{entry:?}");

    // Made of the server as it was before: what was typed stays.
    let answer = site.submit(&cookie, &path, &form_of(&page, &[("city", "Mainz")])).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let again = answer.text();
    assert!(again.contains("was changed meanwhile") && again.contains("value=\"Mainz\""), "{again}");
    assert_eq!(now(&site, &server).place.city, "Offenbach");
}

#[tokio::test]
async fn mistakes_stand_beside_their_fields_and_nothing_typed_is_lost() {
    let site = Site::new().await;
    let servers = site.register(vec![added("192.0.2.1", "de1"), added("192.0.2.2", "de2")]).await;
    let cookie = site.session("admin").await;
    let path = format!("/servers/{}/edit", servers[0].id);
    let page = site.visit(&cookie, &path).await.text();
    let changes = [
        ("address", "nonsense"),
        ("country_code", "XX"),
        ("capacity", "fast"),
        ("tags", "Bad!"),
        ("city", HOSTILE),
        ("coordinates", "north"),
        ("notes", "</textarea><b>"),
    ];
    let answer = site.submit(&cookie, &path, &form_of(&page, &changes)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let again = answer.text();
    for (field, problem) in [
        ("address", "needs a port from 1 to 65535"),
        ("country_code", "not a country of ISO 3166-1"),
        ("capacity", "needs a number of Mbit/s"),
        ("tags", "not a tag"),
        ("coordinates", "needs degrees north and east"),
    ] {
        assert!(
            again.contains(&format!("<p id=\"{field}-problem\" class=\"field-problem\">{problem}")),
            "{field}: {again}"
        );
    }
    assert!(again.contains("value=\"nonsense\"") && again.contains("value=\"Bad!\""));
    assert!(again.contains("&#60;/textarea&#62;&#60;b&#62;") && !again.contains("<img src=x"));
    let answer = site.submit(&cookie, &path, &form_of(&page, &[("ip", "192.0.2.2")])).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text().contains("id=\"ip-problem\""));
    assert_eq!(now(&site, &servers[0]), servers[0]);
}

#[tokio::test]
async fn what_the_operator_wants_is_one_button_each() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "de1")).await;
    let cookie = site.session("admin").await;
    let path = format!("/servers/{}/intent", server.id);
    let press = async |form: &str| {
        let answer = site.submit(&cookie, &path, form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{form}: {}", answer.text());
        let page = site.visit(&cookie, answer.header(header::LOCATION)).await.text();
        (now(&site, &server), page)
    };
    let (disabled, page) = press("action=disable").await;
    assert!(!disabled.enabled && page.contains("Not listed to clients"));
    let (draining, page) = press("action=drain&drain_until=2099-05-01T12%3A00").await;
    let until = "2099-05-01T12:00:00Z".parse().unwrap();
    assert!(draining.draining.unwrap().until == Some(until) && !draining.enabled);
    assert!(page.contains(">1 May 2099, 12:00 UTC</time>; clients are sent elsewhere"), "{page}");
    let (both, page) = press("action=maintain&maintenance_until=").await;
    assert!(both.maintenance.unwrap().until.is_none() && both.draining == draining.draining);
    assert!(page.contains("In maintenance") && page.contains("until it is ended"));
    let (ended, _) = press("action=end_drain").await;
    assert!(ended.draining.is_none() && ended.maintenance.is_some());
    let (ended, _) = press("action=end_maintenance").await;
    let (enabled, page) = press("action=enable").await;
    assert!(ended.maintenance.is_none() && enabled.enabled && page.contains("Listed while it answers"));

    for (form, problem) in [("2000-01-01T00%3A00", "lies in the past"), ("tomorrow", "not an instant")] {
        let answer = site.submit(&cookie, &path, &format!("action=drain&drain_until={form}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        let page = answer.text();
        assert!(page.contains("id=\"drain_until-problem\"") && page.contains(problem), "{page}");
        assert!(
            page.contains("<details open><summary>Drain") && !page.contains("/app.js"),
            "it must not refresh itself"
        );
    }
    assert_eq!(site.submit(&cookie, &path, "action=explode").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn another_host_is_accepted_by_a_button() {
    let site = Site::new().await;
    let server = one(&site, added("192.0.2.1", "de1")).await;
    let [known, other] = ["0a", "1b"].map(|pair| pair.repeat(16).parse::<HostId>().unwrap());
    let page = |host| Outcome::Up(Reading { host: Some(host), ..Reading::default() });
    let (viewer, admin) = (site.session("viewer").await, site.session("admin").await);
    let (path, button) = (format!("/servers/{}", server.id), "Accept the new host");
    site.scrape(&server, Timestamp::now(), vec![page(known)]).await;
    assert!(!site.visit(&admin, &path).await.text().contains(button));

    let outcomes = vec![page(known), Outcome::Failed(Failure::of_another_host(other, known))];
    site.scrape(&server, Timestamp::now(), outcomes).await;
    let shown = site.visit(&viewer, &path).await.text();
    assert!(shown.contains("Another host answered at this address") && !shown.contains(button), "{shown}");
    let shown = site.visit(&admin, &path).await.text();
    assert!(shown.contains(button) && shown.contains(&format!("name=\"host\" value=\"{other}\"")), "{shown}");
    let intent = format!("{path}/intent");
    for nonsense in ["", "srv-aaaaaaaa"] {
        let answer = site.submit(&admin, &intent, &format!("action=accept_host&host={nonsense}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text().contains("32 hexadecimal digits"), "{}", answer.text());
    }
    let form = format!("action=accept_host&host={other}");
    assert_eq!(site.submit(&viewer, &intent, &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(now(&site, &server).accepted_host, None);
    let answer = site.submit(&admin, &intent, &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert_eq!(now(&site, &server).accepted_host, Some(other));
    assert!(site.visit(&admin, answer.header(header::LOCATION)).await.text().contains("The new host is accepted"));
}

#[tokio::test]
async fn a_server_is_deleted_unless_the_configuration_names_it() {
    let site = Site::new().await;
    let servers = site.register(vec![added("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let cookie = site.session("admin").await;
    let page = site.visit(&cookie, &format!("/servers/{}", servers[1].id)).await.text();
    assert!(page.contains("A target in the configuration names this server") && !page.contains("/delete\""));
    let answer = site.submit(&cookie, &format!("/servers/{}/delete", servers[1].id), "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text().contains("take it out there, then delete it"));
    let answer = site.submit(&cookie, &format!("/servers/{}/delete", servers[0].id), "").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/"));
    let left: Vec<_> = site.fleet.view().servers().iter().map(|view| view.server.id).collect();
    assert_eq!(left, [servers[1].id]);
}
