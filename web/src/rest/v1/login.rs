//! Sign-ins of programs that go on: a short access token, and a refresh token for the next one.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use mect_fleet::{Grant, Timestamp, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::grant;
use crate::auth::identity::{Identity, Via};
use crate::auth::sign_in::{self, came_in};
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::{JsonBody, OptionalJsonBody};
use crate::patience;
use crate::secret::Secret;

/// Body of `POST /api/v1/login`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Login, example = json!({"username": "admin", "password": "correct horse battery"}))]
pub(crate) struct Login {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// One-time code, for users who have them.
    code: Option<String>,
}

/// What a sign-in and a refresh answer (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = SignInTokens)]
pub(crate) struct Tokens {
    /// To be shown as `Authorization: Bearer …`.
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
    /// Seconds that the access token works.
    expires_in: u64,
    /// Good for one call of `POST /api/v1/refresh`.
    refresh_token: String,
    /// When the sign-in ends, however often it is refreshed.
    #[schema(format = DateTime)]
    refresh_expires_at: String,
}

/// Signs in: a short access token, and a refresh token for the next one.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "identity", operation_id = "login",
    request_body = Login,
    responses(
        (status = 200, description = "The tokens", body = Tokens),
        (status = 401, description = "Incorrect user name or password, or a one-time code is wanted"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn login(
    State(app): State<Shared>,
    client: ClientAddress,
    JsonBody(login): JsonBody<Login>,
) -> Result<Json<Tokens>, Error> {
    let signed_in = sign_in::sign_in(&app, client, &login.username, &login.password, login.code.as_deref()).await?;
    let (user, now) = (signed_in.done()?, Timestamp::now());
    let (grant, refresh) = grant::open(&app, &user, now).await?;
    came_in(&app, client, &user, "login");
    tokens(&app, &user, &grant, &refresh, now)
}

/// Body of `POST /api/v1/refresh`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    #[schema(value_type = String, format = Password)]
    refresh_token: Secret,
}

/// New tokens for a refresh token, which is used up by it.
#[utoipa::path(
    post, path = "/api/v1/refresh", tag = "identity", operation_id = "refresh",
    request_body = Refresh,
    responses(
        (status = 200, description = "The tokens", body = Tokens),
        (status = 401, description = "The refresh token is void or was used before, which ends the sign-in"),
    )
)]
pub(crate) async fn refresh(
    State(app): State<Shared>,
    client: ClientAddress,
    JsonBody(refresh): JsonBody<Refresh>,
) -> Result<Json<Tokens>, Error> {
    let now = Timestamp::now();
    let (user, grant, next) = grant::renew(&app, client, &refresh.refresh_token, now).await?;
    tokens(&app, &user, &grant, &next, now)
}

fn tokens(app: &App, user: &User, grant: &Grant, refresh: &Secret, now: Timestamp) -> Result<Json<Tokens>, Error> {
    // No longer than the sign-in itself.
    let lifetime = app.settings.access_lifetime.min(grant.expires_at.since(now));
    Ok(Json(Tokens {
        access_token: app.tokens.issue(user, Some(grant.id), lifetime, now)?,
        token_type: "bearer",
        expires_in: lifetime.as_secs(),
        refresh_token: refresh.expose().to_owned(),
        refresh_expires_at: grant.expires_at.to_string(),
    }))
}

/// Body of `POST /api/v1/logout`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logout {
    /// Ends every sign-in of the user, on every device.
    everywhere: bool,
}

/// Ends the sign-in that the access token came from; works for tokens of `POST /token` too.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = "identity", operation_id = "logout_v1",
    request_body(content = Option<Logout>),
    responses(
        (status = 204, description = "The sign-in is over"),
    )
)]
pub(crate) async fn logout(
    State(app): State<Shared>,
    identity: Identity,
    OptionalJsonBody(logout): OptionalJsonBody<Logout>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let username = &identity.user().username;
    if logout.everywhere {
        let change = sign_out_everywhere(&app, username).await?;
        return Ok((StatusCode::NO_CONTENT, Extension(change)));
    }
    let Via::Bearer(claims) = identity.via() else {
        return Err(Error::Invalid("a browser's session ends by POST /logout".into()));
    };
    if let Some(grant) = claims.sid {
        patience::long(app.users.accounts().delete_grant(&grant)).await?;
        app.users.revoke(grant, Timestamp::now() + app.settings.access_lifetime).await?;
    } else {
        app.users.revoke(claims.jti, Timestamp::from_secs(claims.exp)).await?;
    }
    Ok((StatusCode::NO_CONTENT, Extension(Change::new("logout", username))))
}

/// Ends every sign-in of the user, on every device.
pub(crate) async fn sign_out_everywhere(app: &App, username: &str) -> Result<Change, Error> {
    let ended = app.users.accounts().end_sign_ins(username);
    app.users.change(username, ended).await?;
    Ok(Change::new("logout", username).detail("everywhere"))
}
