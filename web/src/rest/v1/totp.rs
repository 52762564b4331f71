//! Setting up one's own one-time codes.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use mect_fleet::{Totp, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::auth::{sign_in, totp};
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::JsonBody;
use crate::patience;
use crate::secret::Secret;

/// The current password: a stolen token must not be enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordProof)]
pub(crate) struct Proof {
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// What an authenticator needs.
#[derive(Serialize, ToSchema)]
#[schema(as = OneTimeCodes)]
pub(crate) struct SetUp {
    /// Base32, to type in.
    pub(crate) secret: String,
    /// The same as a link, for a QR code.
    pub(crate) uri: String,
}

/// Draws a secret for one-time codes. Sign-ins ask for codes once it is confirmed.
#[utoipa::path(
    post, path = "/api/v1/totp", tag = "identity", operation_id = "set_up_totp",
    request_body = Proof,
    responses(
        (status = 200, description = "The secret, shown this once", body = SetUp),
        (status = 400, description = "The current password is another one, or the request cannot be read"),
        (status = 409, description = "One-time codes are set up already"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn set_up(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    JsonBody(proof): JsonBody<Proof>,
) -> Result<(Extension<Change>, Json<SetUp>), Error> {
    let (change, set_up) = draw(&app, client, identity.user(), &proof.password).await?;
    Ok((Extension(change), Json(set_up)))
}

/// Draws a secret for `user`, who proves to know the password.
pub(crate) async fn draw(
    app: &App,
    client: ClientAddress,
    user: &User,
    password: &Secret,
) -> Result<(Change, SetUp), Error> {
    if user.asks_for_code() {
        return Err(Error::Conflict("One-time codes are set up already; remove them first".into()));
    }
    sign_in::prove(app, client, user, password).await?;
    let drawn = totp::draw()?;
    let (secret, uri) = totp::shown(&user.username, &drawn);
    let set = app.users.accounts().set_totp(&user.username, Some(drawn));
    app.users.change(&user.username, set).await?.ok_or(Error::InvalidCredentials)?;
    Ok((Change::new("totp.draw", &user.username), SetUp { secret, uri }))
}

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OneTimeCode)]
pub(crate) struct Code {
    /// Six digits from the authenticator.
    code: String,
}

/// Shows by a code that the authenticator has the secret. From now on sign-ins ask.
#[utoipa::path(
    post, path = "/api/v1/totp/confirm", tag = "identity", operation_id = "confirm_totp",
    request_body = Code,
    responses(
        (status = 204, description = "Sign-ins ask for codes from now on"),
        (status = 401, description = "The code is wrong, or was used before"),
        (status = 409, description = "The account was changed by another request meanwhile"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn confirm(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    JsonBody(code): JsonBody<Code>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = turn_on(&app, client, &identity.user().username, &code.code).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Lets a user show by a code that the authenticator has the secret that was drawn last.
pub(crate) async fn turn_on(app: &App, client: ClientAddress, username: &str, code: &str) -> Result<Change, Error> {
    // Afresh: another collector may have drawn the secret a moment ago.
    let user = patience::long(app.users.accounts().user(username)).await?.ok_or(Error::InvalidCredentials)?;
    let Some(drawn) = user.totp.clone().filter(|totp| !totp.confirmed) else {
        return Err(Error::Invalid("Nothing is to be confirmed; POST /api/v1/totp comes first".into()));
    };
    sign_in::prove_code(app, client, &user, code).await?;
    // What that code used up stays used up: its step is read again.
    let user = patience::long(app.users.accounts().user(username)).await?.ok_or(Error::InvalidCredentials)?;
    let last_step = user.totp.filter(|totp| totp.secret == drawn.secret).ok_or(Error::AccountChanged)?.last_step;
    let confirmed = Totp { confirmed: true, last_step, ..drawn };
    let set = app.users.accounts().set_totp(username, Some(confirmed));
    app.users.change(username, set).await?;
    Ok(Change::new("totp.confirm", username))
}

/// Removes the caller's one-time codes: sign-ins ask for the password alone again.
#[utoipa::path(
    post, path = "/api/v1/totp/remove", tag = "identity", operation_id = "remove_own_totp",
    request_body = Proof,
    responses(
        (status = 204, description = "Sign-ins ask for the password alone"),
        (status = 400, description = "The current password is another one, or the request cannot be read"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    JsonBody(proof): JsonBody<Proof>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = turn_off(&app, client, identity.user(), &proof.password).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Removes the codes of `user`, who proves to know the password.
pub(crate) async fn turn_off(
    app: &App,
    client: ClientAddress,
    user: &User,
    password: &Secret,
) -> Result<Change, Error> {
    sign_in::prove(app, client, user, password).await?;
    let removed = app.users.accounts().set_totp(&user.username, None);
    app.users.change(&user.username, removed).await?;
    Ok(Change::new("totp.remove", &user.username))
}
