//! Who may call what: roles, forced password changes, cross-site requests, what probes and metrics show.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{PASSWORD, Site, authorized, plus, registration, settings};
use http::{Request, StatusCode, header};
use serde_json::json;

#[tokio::test]
async fn viewers_view_and_admins_configure() {
    let site = Site::new().await;
    site.register(vec![registration("192.0.2.1", "de1")]).await;
    for (username, expected) in [("viewer", 403), ("admin", 200), ("root", 200)] {
        let token = site.token(username).await;
        assert_eq!(site.get_as(&token, "/servers").await.status, StatusCode::OK, "{username}");
        let answer = site.json_as(&token, "PATCH", "/server/192.0.2.1/config", r#"{"paid":true}"#).await;
        assert_eq!(answer.status.as_u16(), expected, "{username}");
        let cookie = site.session(username).await;
        let answer = site.submit(&cookie, "/server/192.0.2.1/flags", "gaming=true").await;
        assert_eq!(answer.status.as_u16(), if expected == 200 { 303 } else { 403 }, "{username}");
    }
}

#[tokio::test]
async fn before_the_forced_change_nothing_else_works() {
    let site = Site::new().await;
    let token = site.token("fresh").await;
    for (method, path) in [("GET", "/servers"), ("PATCH", "/server/192.0.2.1/config"), ("GET", "/metrics")] {
        let answer = site.json_as(&token, method, path, r#"{"paid":true}"#).await;
        answer.is_problem(403, "Password must be changed first");
    }
    assert_eq!(site.get_as(&token, "/users/me").await.json()["must_change_password"], true);
    let body = json!({"current_password": PASSWORD, "new_password": "another fine phrase"}).to_string();
    assert_eq!(site.json_as(&token, "POST", "/users/change-password", &body).await.status, StatusCode::OK);
    let again = site.try_token("fresh", "another fine phrase").await.json();
    assert_eq!(site.get_as(again["access_token"].as_str().unwrap(), "/servers").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_forced_change_by_pages() {
    let site = Site::new().await;
    let login = site.submit("", "/login", &format!("username=fresh&password={}&next=/", plus(PASSWORD))).await;
    assert_eq!((login.status, login.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/password"));
    let cookie = login.cookie();
    let fleet = site.visit(&cookie, "/").await;
    assert_eq!((fleet.status, fleet.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/password"));
    assert!(site.visit(&cookie, "/password").await.text().contains("Choose a password of your own"));

    let form = |new: &str, repeat: &str| {
        format!("current_password={}&new_password={}&repeat_password={}", plus(PASSWORD), plus(new), plus(repeat))
    };
    let differ = site.submit(&cookie, "/password", &form("another fine phrase", "another fine phrasE")).await;
    assert!(differ.status == 422 && differ.text().contains("The two new passwords differ"));
    let weak = site.submit(&cookie, "/password", &form("short", "short")).await;
    assert!(weak.status == 422 && weak.text().contains("at least 12 characters"));

    let changed = site.submit(&cookie, "/password", &form("another fine phrase", "another fine phrase")).await;
    assert_eq!((changed.status, changed.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(site.visit(&changed.cookie(), "/").await.status, StatusCode::OK);
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn cross_site_requests_change_nothing() {
    let site = Site::with(settings().with_public_url("https://vpn.example.org").unwrap()).await;
    let logout = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/logout").header(header::HOST, "vpn.example.org");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        site.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    let (own, foreign) = ("https://vpn.example.org", "https://evil.example");
    assert_eq!(logout(&[("sec-fetch-site", "same-origin"), ("origin", own)]).await, 303);
    assert_eq!(logout(&[("sec-fetch-site", "none")]).await, 303);
    assert_eq!(logout(&[("sec-fetch-site", "cross-site"), ("origin", foreign)]).await, 403);
    assert_eq!(logout(&[("sec-fetch-site", "same-site"), ("origin", "https://shop.example.org")]).await, 403);
    assert_eq!(logout(&[("origin", own)]).await, 303);
    assert_eq!(logout(&[("origin", foreign)]).await, 403);
    assert_eq!(logout(&[("origin", "null")]).await, 403);
    // No browser sends neither; programs do.
    assert_eq!(logout(&[]).await, 303);

    for (method, path) in [("POST", "/token"), ("PATCH", "/server/192.0.2.1/config"), ("POST", "/password")] {
        let request = Request::builder().method(method).uri(path).header("sec-fetch-site", "cross-site");
        site.send(request.body(Body::empty()).unwrap()).await.is_problem(403, "Cross-site request refused");
    }
    let read = Request::get("/healthz").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
    assert_eq!(site.send(read).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_logout_ends_the_session_in_the_store() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    assert_eq!(site.visit(&cookie, "/").await.status, StatusCode::OK);
    let logout = site.submit(&cookie, "/logout", "").await;
    assert_eq!((logout.status, logout.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/login"));
    assert!(logout.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert_eq!(site.visit(&cookie, "/").await.header(header::LOCATION), "/login?next=%2F");
}

#[tokio::test]
async fn session_cookies_are_out_of_reach_for_scripts() {
    let site = Site::with(settings().with_public_url("https://vpn.example.org").unwrap()).await;
    let login = site.submit("", "/login", &format!("username=viewer&password={}", plus(PASSWORD))).await;
    let cookie = login.header(header::SET_COOKIE);
    assert!(cookie.starts_with("__Host-mect_session="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Secure", "Max-Age=43200"] {
        assert!(cookie.split("; ").any(|found| found == part), "{part} in {cookie}");
    }
    assert!(login.header(header::STRICT_TRANSPORT_SECURITY).starts_with("max-age="));
}

#[tokio::test]
async fn probes_are_open_and_metrics_on_request() {
    let site = Site::new().await;
    assert_eq!(site.get("/healthz").await.text(), "ok\n");
    assert_eq!(site.get("/readyz").await.text(), "ready\nstore: answers\n");
    site.get("/metrics").await.is_problem(401, "Not authenticated");
    let metrics = site.get_as(&site.token("viewer").await, "/metrics").await;
    assert_eq!(metrics.header(header::CONTENT_TYPE), "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.text().contains("# TYPE things_total counter\nthings_total 0\n"), "{}", metrics.text());
    assert!(!metrics.text().contains("# EOF"), "{}", metrics.text());

    let request = authorized("GET", "/metrics", &site.token("viewer").await);
    let accepts = request.header(header::ACCEPT, "application/openmetrics-text; version=1.0.0");
    let metrics = site.send(accepts.body(Body::empty()).unwrap()).await;
    assert!(metrics.header(header::CONTENT_TYPE).starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(metrics.text().contains("# TYPE things counter\n"), "{}", metrics.text());
    assert!(metrics.text().ends_with("# EOF\n"));

    let mut open = settings();
    open.open_metrics = true;
    assert_eq!(Site::with(open).await.get("/metrics").await.status, StatusCode::OK);
}
