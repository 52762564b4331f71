//! Users, for who manages them.

use axum::extract::State;
use axum::{Extension, Json};
use http::{HeaderName, StatusCode, Uri, header};
use mect_fleet::store::StoreError;
use mect_fleet::{Role, Timestamp, User, UserPatch};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::username;
use crate::error::Error;
use crate::extract::{JsonBody, PathOf};
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};
use crate::secret::Secret;

/// An account, without its secrets.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct Shown {
    username: String,
    #[schema(value_type = String, example = "readonly")]
    role: Role,
    /// May not sign in, nor do anything.
    disabled: bool,
    /// Nothing but a password change is allowed until it happened.
    must_change_password: bool,
    /// Sign-ins ask for a one-time code.
    totp: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&User> for Shown {
    fn from(user: &User) -> Self {
        Self {
            username: user.username.clone(),
            role: user.role,
            disabled: user.disabled,
            must_change_password: user.must_change_password,
            totp: user.asks_for_code(),
            created_at: user.created_at.to_string(),
        }
    }
}

/// Accounts by name, in pages.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "identity", operation_id = "list_users_v1",
    params(WindowParams),
    responses(
        (status = 200, description = "One page of accounts", body = Page<Shown>),
    )
)]
pub(crate) async fn list(State(app): State<Shared>, uri: Uri) -> Result<Json<Page<Shown>>, Error> {
    let mut params = Params::of(&uri)?;
    let window: Window<String> = Window::take(&mut params)?;
    params.finish()?;
    let users = app.users.accounts().users_after(window.after.as_deref(), window.limit + 1);
    let page = Page::of(patience::long(users).await?, window.limit, |user| user.username.clone());
    Ok(Json(page.map(|user| Shown::from(&user))))
}

/// One account.
#[utoipa::path(
    get, path = "/api/v1/users/{username}", tag = "identity", operation_id = "get_user",
    params(("username" = String, Path, description = "User name")),
    responses(
        (status = 200, description = "The account", body = Shown),
        (status = 404, description = "No such user"),
    )
)]
pub(crate) async fn show(State(app): State<Shared>, PathOf(username): PathOf<String>) -> Result<Json<Shown>, Error> {
    find(&app, &username).await.map(|user| Json(Shown::from(&user)))
}

pub(crate) async fn find(app: &App, username: &str) -> Result<User, Error> {
    patience::long(app.users.accounts().user(username)).await?.ok_or(Error::NoSuchUser)
}

/// Body of `POST /api/v1/users`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUserV1, example = json!({"username": "zoe", "password": "seven purple lanterns", "role": "admin"}))]
pub(crate) struct New {
    pub(crate) username: String,
    /// 12 to 128 characters, not easy to guess.
    #[schema(value_type = String, format = Password)]
    pub(crate) password: Secret,
    #[schema(value_type = String, example = "admin")]
    pub(crate) role: Role,
    /// Whoever else knows the password is locked out by the first sign-in.
    #[serde(default = "yes")]
    pub(crate) must_change_password: bool,
}

fn yes() -> bool {
    true
}

/// Adds an account.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "identity", operation_id = "create_user_v1",
    request_body = New,
    responses(
        (status = 201, description = "The account is added", body = Shown, headers(("Location" = String))),
        (status = 409, description = "There is a user of that name already"),
    )
)]
pub(crate) async fn create(
    State(app): State<Shared>,
    JsonBody(new): JsonBody<New>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Extension<Change>, Json<Shown>), Error> {
    let user = add(&app, new).await?.ok_or_else(|| Error::Conflict("There is a user of that name already".into()))?;
    let location = [(header::LOCATION, format!("/api/v1/users/{}", user.username))];
    Ok((StatusCode::CREATED, location, Extension(created(&user)), Json(Shown::from(&user))))
}

/// Adds an account; `None` when the name is taken.
pub(crate) async fn add(app: &App, new: New) -> Result<Option<User>, Error> {
    username::check(&new.username)?;
    // People do not tell them apart, and the store does.
    let users = patience::long(app.users.accounts().users()).await?;
    if users.iter().any(|user| user.username.eq_ignore_ascii_case(&new.username)) {
        return Ok(None);
    }
    let hash = app.passwords.hash_new(&new.username, &new.password, None).await?;
    let user = User::new(new.username, hash, new.role, Timestamp::now());
    let user = User { must_change_password: new.must_change_password, ..user };
    match patience::attempt(app.users.accounts().create_user(user.clone())).await? {
        Ok(()) => Ok(Some(user)),
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the audit says of it.
pub(crate) fn created(user: &User) -> Change {
    Change::new("user.create", &user.username).after(Shown::from(user))
}

/// Body of `PATCH /api/v1/users/{username}`; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange, example = json!({"role": "admin", "disabled": false}))]
pub(crate) struct Edit {
    #[schema(value_type = Option<String>, example = "admin")]
    role: Option<Role>,
    disabled: Option<bool>,
}

/// Gives another role, locks an account or opens it again. Ends every sign-in of the user.
#[utoipa::path(
    patch, path = "/api/v1/users/{username}", tag = "identity", operation_id = "edit_user",
    params(("username" = String, Path, description = "User name")),
    request_body = Edit,
    responses(
        (status = 200, description = "The account as it is now", body = Shown),
        (status = 400, description = "No field is named, or the request cannot be read"),
        (status = 404, description = "No such user"),
        (status = 409, description = "No superadmin who can sign in would be left, or the account was changed by another request"),
    )
)]
pub(crate) async fn edit(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
    JsonBody(edit): JsonBody<Edit>,
) -> Result<(Extension<Change>, Json<Shown>), Error> {
    let patch = UserPatch { role: edit.role, disabled: edit.disabled };
    if patch == UserPatch::default() {
        return Err(Error::NothingToUpdate);
    }
    let (change, after) = change(&app, &username, patch).await?;
    Ok((Extension(change), Json(Shown::from(&after))))
}

/// Gives another role, locks an account or opens it again.
pub(crate) async fn change(app: &App, username: &str, patch: UserPatch) -> Result<(Change, User), Error> {
    let edited = app.users.accounts().edit_user(username, patch);
    let (before, after) = app.users.change(username, edited).await?.ok_or(Error::NoSuchUser)?;
    let changed = |user: &User| json!({ "role": user.role, "disabled": user.disabled });
    Ok((Change::new("user.edit", username).before(changed(&before)).after(changed(&after)), after))
}

/// Deletes an account with all that was handed out to it.
#[utoipa::path(
    delete, path = "/api/v1/users/{username}", tag = "identity", operation_id = "delete_user_v1",
    params(("username" = String, Path, description = "User name")),
    responses(
        (status = 204, description = "The account is deleted"),
        (status = 404, description = "No such user"),
        (status = 409, description = "No superadmin who can sign in would be left, or the account was changed by another request"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = delete(&app, &username).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Deletes an account with all that was handed out to it.
pub(crate) async fn delete(app: &App, username: &str) -> Result<Change, Error> {
    let user = find(app, username).await?;
    let deleted = app.users.change(username, app.users.accounts().delete_user(username)).await?;
    if !deleted {
        return Err(Error::NoSuchUser);
    }
    Ok(Change::new("user.delete", username).before(Shown::from(&user)))
}

/// Body of `POST /api/v1/users/{username}/password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"new_password": "another fine phrase"}))]
pub(crate) struct NewPassword {
    #[schema(value_type = String, format = Password)]
    new_password: Secret,
    #[serde(default = "yes")]
    must_change_password: bool,
}

/// Gives another password to who forgot it. Ends every sign-in of the user.
#[utoipa::path(
    post, path = "/api/v1/users/{username}/password", tag = "identity", operation_id = "set_password",
    params(("username" = String, Path, description = "User name")),
    request_body = NewPassword,
    responses(
        (status = 204, description = "The password is changed"),
        (status = 404, description = "No such user"),
        (status = 409, description = "The account was changed by another request meanwhile"),
    )
)]
pub(crate) async fn set_password(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
    JsonBody(new): JsonBody<NewPassword>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = reset_password(&app, &username, &new.new_password, new.must_change_password).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Gives a user another password.
pub(crate) async fn reset_password(
    app: &App,
    username: &str,
    new: &Secret,
    must_change: bool,
) -> Result<Change, Error> {
    let user = find(app, username).await?;
    let hash = app.passwords.hash_new(username, new, None).await?;
    app.users.set_password(&user, hash, must_change).await?;
    Ok(Change::new("user.password", username).detail("reset"))
}

/// Ends every sign-in of the user.
#[utoipa::path(
    post, path = "/api/v1/users/{username}/sign-out", tag = "identity", operation_id = "sign_out_user",
    params(("username" = String, Path, description = "User name")),
    responses(
        (status = 204, description = "Every sign-in is over"),
        (status = 404, description = "No such user"),
    )
)]
pub(crate) async fn sign_out(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = end_sign_ins(&app, &username).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Ends every sign-in of a user.
pub(crate) async fn end_sign_ins(app: &App, username: &str) -> Result<Change, Error> {
    let ended = app.users.change(username, app.users.accounts().end_sign_ins(username)).await?;
    ended.ok_or(Error::NoSuchUser)?;
    Ok(Change::new("user.sign_out", username))
}

/// Removes the one-time codes of who lost the authenticator.
#[utoipa::path(
    delete, path = "/api/v1/users/{username}/totp", tag = "identity", operation_id = "remove_totp",
    params(("username" = String, Path, description = "User name")),
    responses(
        (status = 204, description = "Sign-ins ask for the password alone"),
        (status = 404, description = "No such user"),
    )
)]
pub(crate) async fn remove_totp(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = remove_codes(&app, &username).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Removes the one-time codes of a user.
pub(crate) async fn remove_codes(app: &App, username: &str) -> Result<Change, Error> {
    let removed = app.users.change(username, app.users.accounts().set_totp(username, None)).await?;
    removed.ok_or(Error::NoSuchUser)?;
    Ok(Change::new("totp.remove", username))
}
