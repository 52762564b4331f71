//! Forms of our pages: each carries the token of its session, and none is taken without it.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{Site, form_token, registration, settings};
use http::{Request, StatusCode, header};
use mect_web::Secret;

/// As an old browser sends it, which says nothing of where a form was.
async fn without_origin(site: &Site, cookie: &str, path: &str, form: &str) -> StatusCode {
    let request = Request::post(path)
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    site.send(request.body(Body::from(form.to_owned())).unwrap()).await.status
}

#[test]
fn every_form_of_every_page_carries_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates");
    let files = [folder.to_owned(), format!("{folder}/partials")];
    let files = files.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut forms = 0;
    for file in files.filter(|file| file.extension().is_some_and(|name| name == "html")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("method=\"post\"") {
            let after = text[at..].split_once('>').unwrap().1;
            // Whoever signs in has no session yet.
            let carries = file.ends_with("login.html")
                || after.starts_with("{% include \"partials/token.html\" %}")
                || after.starts_with("<input type=\"hidden\" name=\"form_token\"");
            assert!(carries, "{}: {after}", file.display());
            forms += 1;
        }
    }
    assert!(forms > 30, "{forms}");
}

#[tokio::test]
async fn without_the_token_of_the_session_nothing_happens() {
    let site = Site::new().await;
    let id = site.register(vec![registration("192.0.2.1", "de1")]).await[0].id;
    let (cookie, other) = (site.session("admin").await, site.session("admin").await);
    let page = site.visit(&cookie, &format!("/servers/{id}")).await.text();
    assert!(page.contains(&format!("name=\"form_token\" value=\"{}\"", form_token(&cookie))), "{page}");

    let path = format!("/servers/{id}/intent");
    let stolen = format!("action=disable&form_token={}", form_token(&other));
    for form in ["action=disable", "action=disable&form_token=", &stolen] {
        let refused = site.submit_with(&cookie, &path, form).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{form}");
        assert!(refused.text().contains("This form is out of date"), "{}", refused.text());
        assert_eq!(without_origin(&site, &cookie, &path, form).await, StatusCode::FORBIDDEN, "{form}");
    }
    assert!(site.fleet.view().by_id(id).unwrap().server.enabled);
    let good = format!("action=disable&form_token={}", form_token(&cookie));
    assert_eq!(without_origin(&site, &cookie, &path, &good).await, StatusCode::SEE_OTHER);
    assert!(!site.fleet.view().by_id(id).unwrap().server.enabled);
}

#[tokio::test]
async fn nobody_is_signed_out_from_elsewhere() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    assert_eq!(without_origin(&site, &cookie, "/logout", "").await, StatusCode::FORBIDDEN);
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::OK);
    assert_eq!(site.submit(&cookie, "/logout", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_import_may_be_as_long_as_a_list_of_five_hundred() {
    let site = Site::new().await;
    let cookie = site.session("admin").await;
    let row = |n: usize| format!("192.0.{}.{}:9776,{}\n", n / 250, n % 250 + 1, "a".repeat(200));
    let list: String = (0..500).map(row).collect();
    assert!(list.len() > 100_000);
    let form = format!("list=address,notes%0A{}", list.replace('\n', "%0A"));
    let shown = site.submit(&cookie, "/servers/import/preview", &form).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text());
    let long = site.submit(&cookie, "/servers/import/preview", &format!("list={}", "a".repeat(512 * 1024))).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let other = site.submit(&cookie, "/servers/add", &format!("notes={}", "a".repeat(64 * 1024))).await;
    assert_eq!(other.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_agent_key_is_shown_to_who_asks_for_it_and_the_audit_knows() {
    let settings = settings();
    settings.agent_key.set(Some(Secret::new("the key of all agents")));
    let site = Site::with(settings).await;
    let cookie = site.session("admin").await;
    let page = site.visit(&cookie, "/servers/add").await.text();
    assert!(!page.contains("the key of all agents") && page.contains("Show the key"), "{page}");
    let viewer = site.session("viewer").await;
    assert_eq!(site.submit(&viewer, "/servers/add/key", "").await.status, StatusCode::FORBIDDEN);
    // Not even with a token for programs of an admin.
    let body = r#"{"name":"robot","scopes":["write:fleet"],"expires_in_days":1}"#;
    let made = site.json_as(&site.token("admin").await, "POST", "/api/v1/tokens", body).await.json();
    let robot = site.json_as(made["token"].as_str().unwrap(), "POST", "/servers/add/key", "").await;
    robot.is_problem(403, "An API token cannot do this, sign in instead");
    let shown = site.submit(&cookie, "/servers/add/key", "").await;
    assert!(shown.text().contains("AGENT_API_KEY=the key of all agents\n"), "{}", shown.text());
    assert_eq!(shown.header(header::CACHE_CONTROL), "no-store");
    let entries = site.get_as(&site.token("root").await, "/api/v1/audit?action=agent_key_shown").await.json();
    assert_eq!(entries["items"].as_array().map(Vec::len), Some(1), "{entries}");
    assert_eq!(entries["items"][0]["who"], "admin");
    assert!(!entries.to_string().contains("the key of all agents"));

    let keyless = Site::new().await;
    let cookie = keyless.session("admin").await;
    assert_eq!(keyless.submit(&cookie, "/servers/add/key", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_tag_is_asked_for_once_more_for_the_same_servers() {
    let site = Site::new().await;
    let servers = site.register(vec![registration("192.0.2.1", "de1"), registration("192.0.2.2", "de2")]).await;
    let cookie = site.session("admin").await;
    let form = |tag: &str| format!("id={}&id={}&action=tag&tag={tag}&back=/?sort=name", servers[0].id, servers[1].id);
    for bad in ["", "no+blanks"] {
        let asked = site.submit(&cookie, "/servers/bulk", &form(bad)).await;
        let page = asked.text();
        assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.contains("Add the tag") && page.contains("id=\"tag-problem\""), "{page}");
        assert!(servers.iter().all(|server| page.contains(&format!("name=\"id\" value=\"{}\"", server.id))), "{page}");
        assert!(
            page.contains("href=\"/?sort=name\"") && page.contains(&format!("value=\"{}\"", bad.replace('+', " ")))
        );
    }
    assert!(site.submit(&cookie, "/servers/bulk", &form("eu")).await.text().contains("<b>2 servers</b> would change"));
}
