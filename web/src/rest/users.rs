//! `POST /token`, `GET /users/me` and `POST /users/change-password`.

use axum::Json;
use axum::extract::State;
use mect_fleet::{Role, Timestamp};
use serde::{Deserialize, Serialize};

use crate::app::Shared;
use crate::auth::identity::{self, Identity};
use crate::error::Error;
use crate::extract::{FormBody, JsonBody};
use crate::secret::Secret;

/// The OAuth 2 password form (RFC 6749, section 4.3.2); its other fields do not matter to us.
#[derive(Deserialize)]
pub(crate) struct TokenForm {
    username: String,
    password: Secret,
}

/// What a login answers.
#[derive(Serialize)]
pub(crate) struct Token {
    access_token: String,
    token_type: &'static str,
}

/// `POST /token`: a bearer token for a name and password.
pub(crate) async fn token(
    State(app): State<Shared>,
    FormBody(form): FormBody<TokenForm>,
) -> Result<Json<Token>, Error> {
    let user = identity::sign_in(&app, &form.username, &form.password).await?;
    let access_token = app.tokens.issue(&user, Timestamp::now()).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(Json(Token { access_token, token_type: "bearer" }))
}

/// The caller's account.
#[derive(Serialize)]
pub(crate) struct Me {
    username: String,
    role: Role,
    must_change_password: bool,
    created_at: String,
}

/// `GET /users/me`: the caller's account.
pub(crate) async fn me(identity: Identity) -> Json<Me> {
    let user = identity.user();
    Json(Me {
        username: user.username.clone(),
        role: user.role,
        must_change_password: user.must_change_password,
        created_at: user.created_at.to_string(),
    })
}

/// Body of `POST /users/change-password`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    #[serde(alias = "old_password")]
    current_password: Secret,
    new_password: Secret,
}

/// What a change answers.
#[derive(Serialize)]
pub(crate) struct PasswordChanged {
    status: &'static str,
}

/// `POST /users/change-password`: the caller's own. Voids every token and session of the user, this one included.
pub(crate) async fn change_password(
    State(app): State<Shared>,
    identity: Identity,
    JsonBody(change): JsonBody<PasswordChange>,
) -> Result<Json<PasswordChanged>, Error> {
    identity::change_password(&app, identity.user(), &change.current_password, &change.new_password).await?;
    Ok(Json(PasswordChanged { status: "password_changed" }))
}
