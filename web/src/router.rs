//! Routes and the layers around them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::app::{App, Parts};
use crate::error::Error;
use crate::{access, headers, pages, probes, rest};

/// The largest body we read is a form; a larger one is answered with 413.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// From the request's head to the answer's head; a body that trickles in counts too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The whole web side as one router.
pub fn router(parts: Parts) -> Router {
    let app = Arc::new(App::new(parts));
    let mut cross_site = CsrfLayer::new();
    if let Some(url) = app.settings.public_url() {
        // Matters behind a proxy that changes `Host`. `Settings` has tried that the layer takes it.
        cross_site = cross_site.clone().add_trusted_origin(url).unwrap_or(cross_site);
    }
    Router::new()
        .route("/", get(pages::fleet::show))
        .route("/server/{ip}/flags", post(pages::flags::change))
        .route("/login", get(pages::login::show).post(pages::login::submit))
        .route("/logout", post(pages::login::logout))
        .route("/password", get(pages::password::show).post(pages::password::submit))
        .route("/assets/{hash}/{name}", get(pages::assets::serve))
        .route("/servers", get(rest::servers::list))
        .route("/server/{ip}/config", patch(rest::servers::configure))
        .route("/token", post(rest::users::token))
        .route("/users/me", get(rest::users::me))
        .route("/users/change-password", post(rest::users::change_password))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
        .fallback(async || Error::NotFound)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CompressionLayer::new())
        .layer(cross_site.with_rejection_response(|_: ProtectionError| Error::CrossSite.into_response()))
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Error::Panicked.into_response()))
        .layer(middleware::from_fn(pages::error::for_browsers))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), headers::secure))
        .with_state(app)
}

async fn in_time(request: Request, next: Next) -> Result<Response, Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.map_err(|_| Error::Timeout)
}
