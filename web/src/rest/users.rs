//! The old calls around users: `POST /token`, and what is under `/users`.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::{Extension, Json};
use mect_fleet::{Role, Timestamp, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::auth::sign_in::{self, came_in};
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::{FormBody, JsonBody, PathOf, QueryOf};
use crate::patience;
use crate::rest::v1::users::{self, New};
use crate::secret::Secret;

/// The user that an old installation cannot do without.
const ADMIN: &str = "admin";

/// The OAuth 2 password form (RFC 6749, section 4.3.2); its other fields do not matter to us.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"username": "admin", "password": "correct horse battery"}))]
pub(crate) struct TokenForm {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// One-time code, for users who have them.
    code: Option<String>,
}

/// What a login answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// To be shown as `Authorization: Bearer …`.
    access_token: String,
    /// Always `bearer`.
    token_type: &'static str,
}

/// A bearer token for a name and password.
#[utoipa::path(
    post, path = "/token", tag = "identity", operation_id = "create_token",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = Token),
        (status = 401, description = "Incorrect user name or password, or a one-time code is wanted"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn token(
    State(app): State<Shared>,
    client: ClientAddress,
    FormBody(form): FormBody<TokenForm>,
) -> Result<Json<Token>, Error> {
    let signed_in = sign_in::sign_in(&app, client, &form.username, &form.password, form.code.as_deref()).await?;
    let user = signed_in.done()?;
    let access_token = app.tokens.issue(&user, None, app.settings.token_lifetime, Timestamp::now())?;
    came_in(&app, client, &user, "token");
    Ok(Json(Token { access_token, token_type: "bearer" }))
}

/// The caller's account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    username: String,
    #[schema(value_type = String, example = "readonly")]
    role: Role,
    /// Nothing but a password change is allowed until it happened.
    must_change_password: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

/// The caller's account.
#[utoipa::path(
    get, path = "/users/me", tag = "identity", operation_id = "me",
    responses(
        (status = 200, description = "The account", body = Me),
    )
)]
pub(crate) async fn me(identity: Identity) -> Json<Me> {
    let user = identity.user();
    Json(Me {
        username: user.username.clone(),
        role: user.role,
        must_change_password: user.must_change_password,
        created_at: user.created_at.to_string(),
    })
}

/// An account as the old system told it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed {
    username: String,
    #[schema(value_type = String, example = "readonly")]
    role: Role,
}

impl From<User> for Listed {
    fn from(user: User) -> Self {
        Self { username: user.username, role: user.role }
    }
}

/// Every account, by name.
#[utoipa::path(
    get, path = "/users", tag = "identity", operation_id = "list_users",
    responses(
        (status = 200, description = "Every account, by name", body = Vec<Listed>),
    )
)]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Listed>>, Error> {
    let users = patience::long(app.users.accounts().users()).await?;
    Ok(Json(users.into_iter().map(Listed::from).collect()))
}

/// Body of `POST /users`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "zoe", "password": "seven purple lanterns", "role": "readonly"}))]
pub(crate) struct NewUser {
    username: String,
    /// 12 to 128 characters, not easy to guess.
    #[schema(value_type = String, format = Password)]
    password: Secret,
    #[serde(default = "NewUser::least")]
    #[schema(value_type = String, example = "readonly")]
    role: Role,
}

impl NewUser {
    fn least() -> Role {
        Role::Readonly
    }
}

/// Adds an account, good to use at once.
#[utoipa::path(
    post, path = "/users", tag = "identity", operation_id = "create_user",
    request_body = NewUser,
    responses(
        (status = 200, description = "The account", body = Listed),
        (status = 400, description = "The name is taken, or the request cannot be read"),
    )
)]
pub(crate) async fn create(
    State(app): State<Shared>,
    JsonBody(new): JsonBody<NewUser>,
) -> Result<(Extension<Change>, Json<Listed>), Error> {
    let NewUser { username, password, role } = new;
    let new = New { username, password, role, must_change_password: false };
    let user = users::add(&app, new).await?.ok_or(Error::UsernameTaken)?;
    Ok((Extension(users::created(&user)), Json(user.into())))
}

/// What a change answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// What was done: `deleted`, `password_changed` or `password_reset`.
    status: &'static str,
}

/// Deletes an account with all that was handed out to it.
#[utoipa::path(
    delete, path = "/users/{username}", tag = "identity", operation_id = "delete_user",
    params(("username" = String, Path, description = "User name")),
    responses(
        (status = 200, description = "The account is deleted", body = Done),
        (status = 400, description = "The user is `admin`"),
        (status = 404, description = "No such user"),
        (status = 409, description = "No superadmin who can sign in would be left, or the account was changed by another request"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
) -> Result<(Extension<Change>, Json<Done>), Error> {
    if username == ADMIN {
        return Err(Error::CannotDeleteAdmin);
    }
    let change = users::delete(&app, &username).await?;
    Ok((Extension(change), Json(Done { status: "deleted" })))
}

/// Both passwords, in the body; or in the query, where the operator lets old programs do so.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery", "new_password": "another fine phrase"}))]
pub(crate) struct PasswordChange {
    /// Also taken as `old_password`.
    #[serde(alias = "old_password")]
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    #[schema(value_type = String, format = Password)]
    new_password: Secret,
}

/// Changes the caller's own password. Voids every token and session of the user, this one included.
#[utoipa::path(
    post, path = "/users/change-password", tag = "identity", operation_id = "change_password",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "The password is changed", body = Done),
        (status = 400, description = "The current password is another one, or the request cannot be read"),
        (status = 409, description = "The account was changed by another request meanwhile"),
        (status = 429, description = "Too many wrong passwords or codes; `Retry-After` says when to come back"),
    )
)]
pub(crate) async fn change_password(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    request: Request,
) -> Result<(Extension<Change>, Json<Done>), Error> {
    let change: PasswordChange = body_or_query(&app, request).await?;
    let user = identity.user();
    sign_in::change_password(&app, client, user, &change.current_password, &change.new_password).await?;
    let change = Change::new("user.password", &user.username);
    Ok((Extension(change), Json(Done { status: "password_changed" })))
}

/// The new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"new_password": "another fine phrase"}))]
pub(crate) struct PasswordReset {
    #[schema(value_type = String, format = Password)]
    new_password: Secret,
}

/// Gives a user another password.
#[utoipa::path(
    post, path = "/users/{username}/reset-password", tag = "identity", operation_id = "reset_password",
    params(("username" = String, Path, description = "User name")),
    request_body = PasswordReset,
    responses(
        (status = 200, description = "The password is changed", body = Done),
        (status = 404, description = "No such user"),
        (status = 409, description = "The account was changed by another request meanwhile"),
    )
)]
pub(crate) async fn reset_password(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
    request: Request,
) -> Result<(Extension<Change>, Json<Done>), Error> {
    let reset: PasswordReset = body_or_query(&app, request).await?;
    let change = users::reset_password(&app, &username, &reset.new_password, false).await?;
    Ok((Extension(change), Json(Done { status: "password_reset" })))
}

async fn body_or_query<T: serde::de::DeserializeOwned>(app: &App, request: Request) -> Result<T, Error> {
    if app.settings.legacy_query_passwords && request.uri().query().is_some_and(|query| query.contains("new_password"))
    {
        let (mut parts, _) = request.into_parts();
        return QueryOf::from_request_parts(&mut parts, &()).await.map(|QueryOf(query)| query);
    }
    JsonBody::from_request(request, &()).await.map(|JsonBody(body)| body)
}
