//! Errors: problems for programs, pages for people, headers on both.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::{Site, authorized};
use http::{Request, StatusCode, header};

#[tokio::test]
async fn every_error_is_a_problem_with_detail() {
    let site = Site::new().await;
    let token = site.token("admin").await;
    site.get("/nothing").await.is_problem(404, "Not found");
    site.get_as(&token, "/assets/0/nothing.css").await.is_problem(404, "Not found");
    let wrong_method = site.json_as(&token, "DELETE", "/servers", "").await;
    wrong_method.is_problem(405, "Method not allowed");
    assert_eq!(wrong_method.header(header::ALLOW), "GET");

    let path = "/server/192.0.2.1/config";
    let huge = format!(r#"{{"paid":true,"x":"{}"}}"#, "x".repeat(70_000));
    site.json_as(&token, "PATCH", path, &huge)
        .await
        .is_problem(413, "Request body is larger than 64 KiB, of an import 512 KiB");
    let untyped = authorized("PATCH", path, &token).body(Body::from("{}")).unwrap();
    site.send(untyped).await.is_problem(415, "Expected a body of type application/json");

    let incomplete = site.submit("", "/token", "username=viewer").await;
    assert_eq!(incomplete.status, StatusCode::UNPROCESSABLE_ENTITY);
    let json = Request::post("/token").header(header::CONTENT_TYPE, "application/json").body(Body::from("{}"));
    let detail = "Expected a body of type application/x-www-form-urlencoded";
    site.send(json.unwrap()).await.is_problem(415, detail);
}

#[tokio::test]
async fn browsers_get_pages_and_are_sent_to_sign_in() {
    let site = Site::new().await;
    let missing = site.visit("", "/nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert!(missing.text().contains("<h1>Not found</h1>"));

    let fleet = site.visit("mect_session=forged", "/?state=down&q=a%20b").await;
    assert_eq!(fleet.status, StatusCode::SEE_OTHER);
    assert_eq!(fleet.header(header::LOCATION), "/login?next=%2F%3Fstate%3Ddown%26q%3Da%2520b");
}

#[tokio::test]
async fn security_headers_are_on_every_answer() {
    let site = Site::new().await;
    let answers =
        [site.get("/login").await, site.get("/servers").await, site.get("/healthz").await, site.get("/nothing").await];
    for answer in answers {
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::REFERRER_POLICY), "same-origin");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    }
}

#[tokio::test]
async fn assets_are_kept_for_good_under_their_hash_only() {
    let site = Site::new().await;
    let page = site.get("/login").await.text();
    let start = page.find("/assets/").unwrap();
    let path = page[start..].split('"').next().unwrap();
    let asset = site.get(path).await;
    assert_eq!(asset.status, StatusCode::OK);
    assert_eq!(asset.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    let old = site.get(&path.replacen(|c: char| c.is_ascii_digit(), "0000", 1)).await;
    assert_eq!((old.status, old.header(header::CACHE_CONTROL)), (StatusCode::OK, "no-cache"));
}
