//! Pages for people: rendered here, usable without JavaScript.

pub(crate) mod about;
pub(crate) mod account;
pub(crate) mod add;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod chart;
pub(crate) mod choice;
pub(crate) mod day;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod field;
pub(crate) mod filter;
pub(crate) mod flags;
pub(crate) mod fleet;
pub(crate) mod format;
pub(crate) mod import;
pub(crate) mod incidents;
pub(crate) mod login;
pub(crate) mod map;
pub(crate) mod menu;
pub(crate) mod order;
pub(crate) mod password;
pub(crate) mod prose;
pub(crate) mod qr;
pub(crate) mod row;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod strips;
pub(crate) mod summary;
pub(crate) mod targets;
pub(crate) mod users;
pub(crate) mod waiting;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use mect_fleet::Timestamp;
use mect_fleet::store::StoreState;

use crate::app::App;
use crate::auth::session;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::patience;

pub(crate) use menu::{Section, Who};

/// A rendered page with its status.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    Ok((status, Html(template.render()?)).into_response())
}

/// A page once more, with what is wrong on it, under the status of `error`; who tried too often is told when to come
/// back.
pub(crate) fn again(error: Error, template: &impl Template) -> Result<Response, Error> {
    let mut shown = page(error.status(), template)?;
    if let Some(seconds) = error.into_response().headers_mut().remove(header::RETRY_AFTER) {
        shown.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(shown)
}

/// Since when the store does not answer, in words; `None` while it does.
pub(crate) fn lost_since(app: &App) -> Option<String> {
    match app.fleet.store_state() {
        StoreState::Lost { since } => Some(format::utc(since)),
        StoreState::Answers => None,
    }
}

/// Starts a session of `user` and sends the browser to `target`.
async fn start_session(
    app: &App,
    client: ClientAddress,
    user: &mect_fleet::User,
    target: &str,
) -> Result<Response, Error> {
    let (session, secret) = session::open(user, &app.settings, client, Timestamp::now())?;
    patience::long(app.users.accounts().create_session(session)).await?;
    Ok(with_cookie(Redirect::to(target), app.cookies.start(&secret)))
}

fn with_cookie(response: impl IntoResponse, cookie: HeaderValue) -> Response {
    let mut response = response.into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// `target` if it is a path on this site, else the fleet page: a link must not lead a fresh login elsewhere.
fn local(target: &str) -> &str {
    let is_local = target.starts_with('/')
        && !target.starts_with("//")
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_local { target } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_this_site() {
        assert_eq!(local("/?state=down&q=de"), "/?state=down&q=de");
        for bad in ["", "https://evil.example", "//evil.example", "/\\evil.example", "/a b", "/\r\nSet-Cookie: x=y"] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}
