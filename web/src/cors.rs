//! Which pages of other origins may call us from a browser: none, or those that the operator lists.
//!
//! They call with a bearer token. Our own cookies never count for them, even where a browser sends them along.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::Shared;

/// A browser asks again after this time.
const MAX_AGE: Duration = Duration::from_secs(600);
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const REQUEST_HEADERS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
];
const RESPONSE_HEADERS: [HeaderName; 5] = [
    header::ETAG,
    header::RETRY_AFTER,
    header::LOCATION,
    HeaderName::from_static("x-data-age-seconds"),
    HeaderName::from_static("x-list-signature"),
];

/// Answers browsers that ask whether they may, for exactly these origins.
pub(crate) fn layer(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods(METHODS)
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(MAX_AGE)
}

/// Takes the cookies out of requests that pages of listed origins make.
pub(crate) async fn without_cookies(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| app.settings.cors_origins().contains(origin)) {
        request.headers_mut().remove(header::COOKIE);
    }
    next.run(request).await
}
