//! Routes and the layers around them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Parts, Shared};
use crate::error::Error;
use crate::rest::v1;
use crate::{access, cors, federate, headers, openapi, pages, probe, probes, reload, rest};

/// A form or a document is smaller; a larger body is answered with 413.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A list of as many servers as are imported at once, with long names.
const MAX_IMPORT_BYTES: usize = 512 * 1024;
/// From the request's head to the answer's head; a body that trickles in counts too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The whole web side as one router. Must be called inside a Tokio runtime: it follows the fleet from now on.
pub fn router(parts: Parts) -> Router {
    let app = Arc::new(App::new(parts));
    app.day.follow(&app.fleet, &app.summaries);
    let (lists, _) = lists().split_for_parts();
    let (routes, _) = routes().split_for_parts();
    with_layers(lists, routes, &app)
}

fn with_layers(lists: Router<Shared>, routes: Router<Shared>, app: &Shared) -> Router {
    let mut cross_site = CsrfLayer::new();
    if let Some(url) = app.settings.public_url() {
        // Matters behind a proxy that changes `Host`. `Settings` has tried that the layer takes it.
        cross_site = cross_site.clone().add_trusted_origin(url).unwrap_or(cross_site);
    }
    for origin in app.settings.cors_origins() {
        let origin = origin.to_str().unwrap_or_default();
        cross_site = cross_site.clone().add_trusted_origin(origin).unwrap_or(cross_site);
    }
    let guard = middleware::from_fn_with_state(Arc::clone(app), access::guard);
    let router = routes
        .route_layer(guard.clone())
        .fallback(async || Error::NotFound)
        // From the outside in, as one layer: each one by itself would cost a boxed copy of all within it, per request.
        .layer((
            middleware::from_fn_with_state(Arc::clone(app), in_time),
            CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Error::Panicked.into_response()),
            CompressionLayer::new(),
            cross_site.with_rejection_response(|_: ProtectionError| Error::CrossSite.into_response()),
        ))
        .merge(lists.route_layer(guard));
    let router = match app.settings.cors_origins() {
        [] => router,
        origins => router
            .layer(middleware::from_fn_with_state(Arc::clone(app), cors::without_cookies))
            .layer(cors::layer(origins)),
    };
    router.layer(middleware::from_fn_with_state(Arc::clone(app), headers::secure)).with_state(Arc::clone(app))
}

/// The largest body that a route reads.
pub(crate) fn most_body_bytes(path: &str) -> usize {
    if path.starts_with("/servers/import") { MAX_IMPORT_BYTES } else { MAX_BODY_BYTES }
}

/// What every client app asks for every minute, from memory: packed already, without a body, a page or a wait, so that
/// most of the layers would do nothing for it.
pub(crate) fn lists() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(rest::servers::list)).routes(routes!(rest::loads::show))
}

/// Every other route. Those for programs are described where they are handled (`#[utoipa::path]` names method and path);
/// pages for people are not described.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(page_routes())
        .route("/", get(pages::fleet::show))
        .route("/server/{ip}/flags", post(pages::flags::change))
        .route("/servers/add", get(pages::add::show).post(pages::add::submit))
        .route("/servers/add/key", post(pages::add::show_key))
        .route("/servers/import", post(pages::import::import))
        .route("/servers/import/preview", post(pages::import::preview))
        .route("/servers/waiting", get(pages::waiting::show).post(pages::waiting::decide))
        .route("/servers/{id}", get(pages::server::show))
        .route("/servers/{id}/edit", get(pages::server::edit::show).post(pages::server::edit::submit))
        .route("/servers/{id}/intent", post(pages::server::intent::set))
        .route("/servers/{id}/delete", post(pages::server::intent::delete))
        .route("/servers/{id}/scrape", post(pages::server::exposition::scrape))
        .route("/servers/{id}/exposition", get(pages::server::exposition::show))
        .route("/servers/bulk", post(pages::bulk::change))
        .route("/login", get(pages::login::show).post(pages::login::submit))
        .route("/logout", post(pages::login::logout))
        .route("/password", get(pages::password::show).post(pages::password::submit))
        .route("/assets/{hash}/{name}", get(pages::assets::serve))
        .route("/docs", get(openapi::readers::swagger))
        .route("/redoc", get(openapi::readers::redoc))
        .routes(routes!(rest::servers::signature))
        .routes(routes!(rest::servers::public_key))
        .routes(routes!(rest::recommendations::show))
        .routes(routes!(rest::servers::configure))
        .routes(routes!(rest::users::token))
        .routes(routes!(rest::users::me))
        .routes(routes!(rest::users::change_password))
        .routes(routes!(rest::heartbeat::take))
        .routes(routes!(v1::enrol::announce))
        .routes(routes!(v1::targets::list))
        .routes(routes!(rest::users::list, rest::users::create))
        .routes(routes!(rest::users::remove))
        .routes(routes!(rest::users::reset_password))
        .merge(identity_routes())
        .routes(routes!(v1::servers::list, v1::servers::create))
        .routes(routes!(v1::servers::show, v1::servers::edit, v1::servers::delete))
        .routes(routes!(v1::servers::intent::set))
        .routes(routes!(v1::servers::bulk::edit))
        .routes(routes!(v1::history::history))
        .routes(routes!(v1::history::server_uptime))
        .routes(routes!(v1::events::of_server))
        .routes(routes!(v1::events::list))
        .routes(routes!(v1::incidents::list))
        .routes(routes!(v1::stream::stream))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
        .routes(routes!(probes::healthy))
        .routes(routes!(probes::ready))
        .routes(routes!(federate::federate))
        .routes(routes!(v1::sd::prometheus))
        .routes(routes!(probe::probe))
        .routes(routes!(reload::reload))
        .routes(routes!(openapi::json))
        .routes(routes!(openapi::json_v1))
}

/// Pages beside the fleet.
fn page_routes() -> OpenApiRouter<Shared> {
    use pages::users::one as user;
    use pages::{about, account, audit, events, incidents, status, targets, users};
    OpenApiRouter::new()
        .route("/account", get(account::show))
        .route("/account/codes", get(account::codes::show).post(account::codes::begin))
        .route("/account/codes/confirm", post(account::codes::confirm))
        .route("/account/codes/remove", post(account::codes::remove))
        .route("/account/sessions/end", post(account::sessions::end))
        .route("/account/sessions/end-others", post(account::sessions::end_others))
        .route("/account/sign-out", post(account::sessions::everywhere))
        .route("/account/tokens", post(account::tokens::create))
        .route("/account/tokens/revoke", post(account::tokens::revoke))
        .route("/admin/users", get(users::show).post(users::create))
        .route("/admin/users/{username}", get(user::show))
        .route("/admin/users/{username}/role", post(user::set_role))
        .route("/admin/users/{username}/disable", post(user::disable))
        .route("/admin/users/{username}/enable", post(user::enable))
        .route("/admin/users/{username}/password", post(user::reset_password))
        .route("/admin/users/{username}/sign-out", post(user::sign_out))
        .route("/admin/users/{username}/remove-codes", post(user::remove_codes))
        .route("/admin/users/{username}/tokens/revoke", post(user::revoke_token))
        .route("/admin/users/{username}/delete", post(user::delete))
        .route("/admin/audit", get(audit::show))
        .route("/incidents", get(incidents::show))
        .route("/events", get(events::show))
        .route("/targets", get(targets::show))
        .route("/about", get(about::show))
        .route("/status", get(status::show))
}

/// Sign-ins, users, tokens and the audit.
fn identity_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(v1::login::login))
        .routes(routes!(v1::login::refresh))
        .routes(routes!(v1::login::logout))
        .routes(routes!(v1::totp::set_up))
        .routes(routes!(v1::totp::confirm))
        .routes(routes!(v1::totp::remove))
        .routes(routes!(v1::tokens::list, v1::tokens::create))
        .routes(routes!(v1::tokens::revoke))
        .routes(routes!(v1::users::list, v1::users::create))
        .routes(routes!(v1::users::show, v1::users::edit, v1::users::remove))
        .routes(routes!(v1::users::set_password))
        .routes(routes!(v1::users::sign_out))
        .routes(routes!(v1::users::remove_totp))
        .routes(routes!(v1::tokens::list_of))
        .routes(routes!(v1::tokens::revoke_of))
        .routes(routes!(v1::audit::list))
}

/// Bounds the time until an answer begins, and turns problems into pages for browsers.
async fn in_time(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let browser = pages::error::Browser::of(&request);
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    browser.shown(&app, answer.unwrap_or_else(|_| Error::Timeout.into_response())).await
}
