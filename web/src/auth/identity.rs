//! From the headers of a request to the user behind it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use mect_fleet::{ApiToken, Role, Scope, Timestamp, User};

use crate::app::App;
use crate::auth::api_token;
use crate::auth::form_token::FormToken;
use crate::auth::token::Claims;
use crate::error::Error;

/// The user behind a request. Put into the request by [`crate::access::guard`]; a handler that asks for it on a
/// public route gets 401.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    user: Arc<User>,
    via: Via,
    misses_codes: bool,
}

/// What the request showed.
#[derive(Debug, Clone)]
pub(crate) enum Via {
    /// An access token of a sign-in.
    Bearer(Arc<Claims>),
    /// A browser's session, whose forms carry this token.
    Session(FormToken),
    /// A token for programs.
    ApiToken(Arc<ApiToken>),
}

impl Identity {
    /// The account, at most two seconds old; older while the store is away.
    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    /// What it was shown by.
    pub(crate) fn via(&self) -> &Via {
        &self.via
    }

    /// False for an account that must do something first, such as choosing a password of its own.
    pub(crate) fn is_in_order(&self) -> bool {
        !self.user.must_change_password && !self.misses_codes
    }

    /// True when the user may do what `role` may, whatever the token is for.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.user.role >= role
    }

    /// True when no API token narrows what the user may do, or one that is good for `scope`.
    pub(crate) fn has_scope(&self, scope: Scope) -> bool {
        match &self.via {
            Via::ApiToken(token) => token.may(scope),
            Via::Bearer(_) | Via::Session(_) => true,
        }
    }

    /// True when the user signed in, other than by an API token.
    pub(crate) fn signed_in(&self) -> bool {
        !matches!(self.via, Via::ApiToken(_))
    }

    /// What its forms carry; `None` for who is no browser.
    pub(crate) fn form_token(&self) -> Option<&FormToken> {
        match &self.via {
            Via::Session(token) => Some(token),
            Via::Bearer(_) | Via::ApiToken(_) => None,
        }
    }

    /// For the audit: the user, and the API token if it was one.
    pub(crate) fn name(&self) -> String {
        match &self.via {
            Via::ApiToken(token) => format!("{}/{}", self.user.username, token.name),
            Via::Bearer(_) | Via::Session(_) => self.user.username.clone(),
        }
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
    let now = Timestamp::now();
    let (username, epoch, via) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let bearer = value.to_str().ok().and_then(bearer).ok_or(Error::InvalidCredentials)?;
            if let Some(digest) = api_token::digest(bearer) {
                let token = app.users.api_token(&digest, now).await?.ok_or(Error::InvalidCredentials)?;
                (token.username.clone(), None, Via::ApiToken(token))
            } else {
                let claims = app.tokens.verify(bearer).ok_or(Error::InvalidCredentials)?;
                if app.users.is_revoked(&claims, now).await? {
                    return Err(Error::InvalidCredentials);
                }
                (claims.sub.clone(), Some(claims.epoch), Via::Bearer(claims))
            }
        }
        None => {
            let digest = app.cookies.digest(headers).ok_or(Error::NotAuthenticated)?;
            let session = app.users.session(&digest, now).await?;
            let session = session.ok_or(Error::InvalidCredentials)?;
            (session.username.clone(), Some(session.epoch), Via::Session(FormToken::of(&digest)))
        }
    };
    match app.users.find(&username).await? {
        Some(user) if epoch.is_none_or(|epoch| epoch == user.epoch) && !user.disabled => {
            Ok(Identity { misses_codes: app.settings.misses_codes(&user), user, via })
        }
        _ => Err(Error::InvalidCredentials),
    }
}

/// The token of a `Bearer` header; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
