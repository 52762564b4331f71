//! The description of REST, as it is served.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use axum::body::Body;
use common::{Site, settings};
use http::{Request, StatusCode, header};
use serde_json::Value;

/// The description as it was agreed on: a change of it is a change of the contract, and is seen in review.
const AGREED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[tokio::test]
async fn the_description_is_the_agreed_one() {
    let site = Site::new().await;
    let answer = site.get_as(&site.token("viewer").await, "/openapi.json").await;
    assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::OK, "application/json"));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    let again = site.get_as(&site.token("viewer").await, "/api/v1/openapi.json").await;
    assert_eq!(again.json(), document);

    let served = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("MECT_UPDATE_OPENAPI").is_some() {
        std::fs::write(AGREED, &served).unwrap();
    }
    let agreed = std::fs::read_to_string(Path::new(AGREED)).unwrap_or_default();
    if served != agreed {
        let difference = first_difference(&serde_json::from_str(&agreed).unwrap_or_default(), &document, "#");
        panic!(
            "the description changed at {}; if that is meant: MECT_UPDATE_OPENAPI=1 cargo test -p mect-web --test openapi",
            difference.unwrap_or_else(|| "its layout".to_owned())
        );
    }
}

/// Where two documents part.
fn first_difference(old: &Value, new: &Value, at: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old_fields), Value::Object(new_fields)) => {
            let names = old_fields.keys().chain(new_fields.keys());
            names.into_iter().find_map(|name| {
                let missing = Value::Null;
                let (old, new) = (old.get(name).unwrap_or(&missing), new.get(name).unwrap_or(&missing));
                first_difference(old, new, &format!("{at}/{}", name.replace('/', "~1")))
            })
        }
        _ => (old != new).then(|| format!("{at}: {old} became {new}")),
    }
}

const PLACES: [&str; 4] = ["/openapi.json", "/api/v1/openapi.json", "/docs", "/redoc"];

#[tokio::test]
async fn who_has_not_signed_in_reads_it_only_where_it_is_open() {
    let site = Site::new().await;
    for path in PLACES {
        site.get(path).await.is_problem(401, "Not authenticated");
    }
    assert_eq!(site.visit("", "/docs").await.header(header::LOCATION), "/login?next=%2Fdocs");
    let mut open = settings();
    open.open_docs = true;
    let site = Site::with(open).await;
    for path in PLACES {
        assert_eq!(site.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_readers_are_whole_and_need_nobody_else() {
    let site = Site::new().await;
    let cookie = site.session("viewer").await;
    for path in ["/docs", "/redoc"] {
        let page = site.visit(&cookie, path).await;
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{policy}");
        let text = page.text();
        assert!(!text.contains("//"), "{path} names another host: {text}");
        let mut parts: Vec<_> = text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")).collect();
        parts.sort_unstable();
        assert!(parts.len() >= 4, "{text}");
        for part in parts {
            let plain = site.get(part).await;
            assert_eq!(plain.status, StatusCode::OK, "{part}");
            assert_eq!(plain.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable", "{part}");
            let start = String::from_utf8_lossy(&plain.body[..20]).into_owned();
            assert!(!start.contains('\u{1f}'), "{part} came compressed although nobody asked for it");
            let request = Request::get(part).header(header::ACCEPT_ENCODING, "gzip").body(Body::empty()).unwrap();
            let packed = site.send(request).await;
            assert!(packed.body.len() <= plain.body.len(), "{part}");
            if part.ends_with("bundle.js") || part.ends_with("standalone.js") {
                assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip", "{part}");
                assert!(packed.body.len() < plain.body.len() / 3, "{part}");
            }
        }
    }
}
