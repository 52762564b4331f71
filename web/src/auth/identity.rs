//! From the headers of a request to the user behind it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use mect_fleet::{Role, Timestamp, User};

use crate::app::App;
use crate::error::Error;
use crate::secret::Secret;

/// The user behind a request. Put into the request by [`crate::access::guard`]; a handler that asks for it on a
/// public route gets 401.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<User>);

impl Identity {
    /// The account, at most two seconds old.
    pub(crate) fn user(&self) -> &User {
        &self.0
    }

    /// True when the user may do what `role` may.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.0.role >= role
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::NotAuthenticated)
    }
}

/// Who sent these headers: a bearer token if there is one, else a session cookie.
pub(crate) async fn identify(app: &App, headers: &HeaderMap) -> Result<Identity, Error> {
    let (username, epoch) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let token = value.to_str().ok().and_then(bearer).ok_or(Error::InvalidCredentials)?;
            let claims = app.tokens.verify(token).ok_or(Error::InvalidCredentials)?;
            (claims.sub, claims.epoch)
        }
        None => {
            let digest = app.cookies.digest(headers).ok_or(Error::NotAuthenticated)?;
            let session = app.users.accounts().session(&digest, Timestamp::now()).await?;
            let session = session.ok_or(Error::InvalidCredentials)?;
            (session.username, session.epoch)
        }
    };
    match app.users.find(&username).await? {
        Some(user) if user.epoch == epoch => Ok(Identity(user)),
        _ => Err(Error::InvalidCredentials),
    }
}

/// The user of that name and password, read afresh.
pub(crate) async fn sign_in(app: &App, username: &str, password: &Secret) -> Result<User, Error> {
    let user = app.users.accounts().user(username).await?;
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    if !app.passwords.verify(password, hash).await? {
        return Err(Error::WrongLogin);
    }
    user.ok_or(Error::WrongLogin)
}

/// Replaces the password of `user`, who proves to know the current one. Returns the user of the new epoch.
pub(crate) async fn change_password(app: &App, user: &User, current: &Secret, new: &Secret) -> Result<User, Error> {
    if !app.passwords.verify(current, Some(&user.password_hash)).await? {
        return Err(Error::WrongCurrentPassword);
    }
    crate::auth::password::check(&user.username, new, Some(current))?;
    let hash = app.passwords.hash(new).await?;
    Ok(app.users.set_password(user, hash).await?)
}

/// The token of a `Bearer` header; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
