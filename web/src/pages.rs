//! Pages for people: rendered here, usable without JavaScript.

pub(crate) mod assets;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod flags;
pub(crate) mod fleet;
pub(crate) mod format;
pub(crate) mod login;
pub(crate) mod password;
pub(crate) mod row;
pub(crate) mod summary;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use mect_fleet::Timestamp;

use crate::app::App;
use crate::auth::identity::Identity;
use crate::auth::session;
use crate::error::Error;

/// Who is named in the page's header.
pub(crate) struct Who {
    pub(crate) username: String,
    pub(crate) role: &'static str,
}

impl From<&Identity> for Who {
    fn from(identity: &Identity) -> Self {
        let user = identity.user();
        Self { username: user.username.clone(), role: user.role.name() }
    }
}

/// A rendered page with its status.
fn page(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    Ok((status, Html(template.render()?)).into_response())
}

/// Starts a session of `user` and sends the browser to `target`.
async fn start_session(app: &App, user: &mect_fleet::User, target: &str) -> Result<Response, Error> {
    let (session, secret) =
        session::open(user, &app.settings, Timestamp::now()).map_err(|error| Error::Internal(Box::new(error)))?;
    app.users.accounts().create_session(session).await?;
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
