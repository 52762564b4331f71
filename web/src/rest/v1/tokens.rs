//! API tokens: one's own, and those of others for who manages users.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use http::{StatusCode, Uri};
use mect_fleet::store::StoreError;
use mect_fleet::{ApiToken, Scope, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::api_token;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::{JsonBody, PathOf};
use crate::patience;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window, WindowParams};
use crate::secret::Secret;

/// Characters of a name.
const MAX_NAME: usize = 64;
/// Tokens of one user.
const MAX_TOKENS: usize = 100;
/// The longest life; a token that lives longer is a password.
pub(crate) const MAX_DAYS: u32 = 730;
/// The life of a token whose maker does not say.
pub(crate) const DEFAULT_DAYS: u32 = 90;
const DAY: u64 = 86_400;

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(crate) struct Shown {
    name: String,
    username: String,
    #[schema(value_type = Vec<String>, example = json!(["read:list"]))]
    scopes: BTreeSet<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Some minutes late.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
}

impl From<&ApiToken> for Shown {
    fn from(token: &ApiToken) -> Self {
        Self {
            name: token.name.clone(),
            username: token.username.clone(),
            scopes: token.scopes.clone(),
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.map(|at| at.to_string()),
            last_used_at: token.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// The caller's own API tokens, by name.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "identity", operation_id = "list_tokens",
    params(WindowParams),
    responses(
        (status = 200, description = "One page of tokens", body = Page<Shown>),
    )
)]
pub(crate) async fn list(State(app): State<Shared>, identity: Identity, uri: Uri) -> Result<Json<Page<Shown>>, Error> {
    page(&app, &identity.user().username, &uri).await
}

/// The API tokens of a user, by name.
#[utoipa::path(
    get, path = "/api/v1/users/{username}/tokens", tag = "identity", operation_id = "list_tokens_of_user",
    params(("username" = String, Path, description = "User name"), WindowParams),
    responses(
        (status = 200, description = "One page of tokens", body = Page<Shown>),
        (status = 404, description = "No such user"),
    )
)]
pub(crate) async fn list_of(
    State(app): State<Shared>,
    PathOf(username): PathOf<String>,
    uri: Uri,
) -> Result<Json<Page<Shown>>, Error> {
    patience::long(app.users.accounts().user(&username)).await?.ok_or(Error::NoSuchUser)?;
    page(&app, &username, &uri).await
}

async fn page(app: &App, username: &str, uri: &Uri) -> Result<Json<Page<Shown>>, Error> {
    let mut params = Params::of(uri)?;
    let window: Window<String> = Window::take(&mut params)?;
    params.finish()?;
    let mut tokens = patience::long(app.users.accounts().tokens(username)).await?;
    tokens.retain(|token| window.after.as_ref().is_none_or(|after| token.name > *after));
    let page = Page::of(tokens, window.limit, |token| token.name.clone());
    Ok(Json(page.map(|token| Shown::from(&token))))
}

/// Body of `POST /api/v1/tokens`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiToken, example = json!({"name": "grafana", "scopes": ["federate"], "expires_in_days": 90}))]
pub(crate) struct New {
    /// Letters from a to z, digits and . _ -; unique among the user's tokens.
    #[schema(max_length = 64)]
    pub(crate) name: String,
    /// `read:list`, `read:fleet`, `federate`, `write:fleet`, `admin`.
    #[schema(value_type = Vec<String>)]
    pub(crate) scopes: BTreeSet<Scope>,
    #[serde(default = "New::default_days")]
    #[schema(minimum = 1, maximum = 730)]
    pub(crate) expires_in_days: u32,
}

impl New {
    fn default_days() -> u32 {
        DEFAULT_DAYS
    }

    fn check(&self) -> Result<(), Error> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=MAX_NAME).contains(&self.name.len()) || !self.name.bytes().all(is_allowed) {
            let allowed = format!("name: 1 to {MAX_NAME} letters from a to z, digits and . _ - are allowed");
            return Err(Error::Invalid(allowed));
        }
        if self.scopes.is_empty() {
            return Err(Error::Invalid("scopes: name one or more".into()));
        }
        if !(1..=MAX_DAYS).contains(&self.expires_in_days) {
            return Err(Error::Invalid(format!("expires_in_days: 1 to {MAX_DAYS} are allowed")));
        }
        Ok(())
    }
}

/// A new token; the only time that its secret is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiToken)]
pub(crate) struct Created {
    /// To be shown as `Authorization: Bearer …`.
    token: String,
    #[serde(flatten)]
    shown: Shown,
}

/// Makes an API token of the caller.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "identity", operation_id = "create_api_token",
    request_body = New,
    responses(
        (status = 201, description = "The token; the only time that its secret is shown", body = Created),
        (status = 409, description = "There is a token of that name already, or as many as a user may have"),
    )
)]
pub(crate) async fn create(
    State(app): State<Shared>,
    identity: Identity,
    JsonBody(new): JsonBody<New>,
) -> Result<(StatusCode, Extension<Change>, Json<Created>), Error> {
    let (change, token, shown) = make(&app, &identity.user().username, new).await?;
    let token = token.expose().to_owned();
    Ok((StatusCode::CREATED, Extension(change), Json(Created { token, shown })))
}

/// Makes a token of a user.
pub(crate) async fn make(app: &App, username: &str, new: New) -> Result<(Change, Secret, Shown), Error> {
    new.check()?;
    if patience::long(app.users.accounts().tokens(username)).await?.len() >= MAX_TOKENS {
        return Err(Error::Conflict("There are as many tokens as a user may have; revoke one first".into()));
    }
    let (secret, digest) = api_token::draw()?;
    let now = Timestamp::now();
    let token = ApiToken {
        digest,
        username: username.to_owned(),
        name: new.name,
        scopes: new.scopes,
        created_at: now,
        expires_at: Some(now + Duration::from_secs(u64::from(new.expires_in_days) * DAY)),
        last_used_at: None,
    };
    let shown = Shown::from(&token);
    match patience::attempt(app.users.accounts().create_token(token)).await? {
        Ok(()) => {}
        Err(StoreError::Conflict(_)) => return Err(Error::Conflict("There is a token of that name already".into())),
        Err(error) => return Err(error.into()),
    }
    let change = Change::new("token.create", format!("{username}/{}", shown.name)).after(&shown);
    Ok((change, secret, shown))
}

/// Revokes an API token of the caller.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{name}", tag = "identity", operation_id = "revoke_token",
    params(("name" = String, Path, description = "Name of the token")),
    responses(
        (status = 204, description = "The token is void"),
        (status = 404, description = "No such token"),
    )
)]
pub(crate) async fn revoke(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(name): PathOf<String>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = delete(&app, &identity.user().username, &name).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Revokes an API token of a user.
#[utoipa::path(
    delete, path = "/api/v1/users/{username}/tokens/{name}", tag = "identity", operation_id = "revoke_token_of_user",
    params(
        ("username" = String, Path, description = "User name"),
        ("name" = String, Path, description = "Name of the token"),
    ),
    responses(
        (status = 204, description = "The token is void"),
        (status = 404, description = "No such token"),
    )
)]
pub(crate) async fn revoke_of(
    State(app): State<Shared>,
    PathOf((username, name)): PathOf<(String, String)>,
) -> Result<(StatusCode, Extension<Change>), Error> {
    let change = delete(&app, &username, &name).await?;
    Ok((StatusCode::NO_CONTENT, Extension(change)))
}

/// Makes a token of a user void.
pub(crate) async fn delete(app: &App, username: &str, name: &str) -> Result<Change, Error> {
    if !app.users.delete_token(username, name).await? {
        return Err(Error::NoSuchToken);
    }
    Ok(Change::new("token.revoke", format!("{username}/{name}")))
}
