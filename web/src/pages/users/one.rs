//! One user: `GET /admin/users/{username}`, and what may be done to the account.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::{Timestamp, User, UserPatch};
use serde::Deserialize;

use super::{Drawn, link, roles};
use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::first_admin;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::{FormBody, PathOf};
use crate::pages::account::tokens::{self, TokenRow};
use crate::pages::choice::Choice;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, again, assets, page};
use crate::patience;
use crate::rest::v1::{tokens as rest_tokens, users};

/// What was done before the page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Role,
    Disabled,
    Enabled,
    SignedOut,
    CodesRemoved,
    TokenRevoked,
}

impl Done {
    const fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::SignedOut => "signed-out",
            Self::CodesRemoved => "codes-removed",
            Self::TokenRevoked => "token-revoked",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Role => "The role is changed. The user has to sign in again.",
            Self::Disabled => "The account is disabled: every session and token is void.",
            Self::Enabled => "The account is open again.",
            Self::SignedOut => "Every sign-in of the user is over.",
            Self::CodesRemoved => "Sign-ins ask for the password alone.",
            Self::TokenRevoked => "The token is void.",
        }
    }
}

/// Query of the page.
#[derive(Default, Deserialize)]
pub(crate) struct UserQuery {
    done: Option<Done>,
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    who: Option<Who>,
    done: Option<&'static str>,
    problem: Option<String>,
    drawn: Option<Drawn>,
    user: User,
    link: String,
    is_you: bool,
    created: Moment,
    role: Choice,
    sessions: usize,
    tokens: Vec<TokenRow>,
    /// Where tokens are revoked.
    revoke: String,
}

impl UserPage {
    async fn new(app: &App, identity: &Identity, username: &str) -> Result<Self, Error> {
        let (user, now) = (users::find(app, username).await?, Timestamp::now());
        let sessions = patience::long(app.users.accounts().sessions(username, now)).await?;
        Ok(Self {
            who: Some(Who::on(Section::Users, identity)),
            done: None,
            problem: None,
            drawn: None,
            link: link(username),
            revoke: format!("{}/tokens/revoke", link(username)),
            is_you: identity.user().username == username,
            created: Moment::new(user.created_at, now),
            role: Choice::new("role", "Role", roles(), user.role.name()),
            sessions: sessions.iter().filter(|session| session.epoch == user.epoch).count(),
            tokens: tokens::rows(app, username, now).await?,
            user,
        })
    }
}

/// `GET /admin/users/{username}`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
    query: Result<Query<UserQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let mut template = UserPage::new(&app, &identity, &username).await?;
    template.done = query.ok().and_then(|Query(query)| query.done).map(Done::sentence);
    page(StatusCode::OK, &template)
}

/// The answer to a change: the page that says what was done, or why not.
async fn answer(
    app: &App,
    identity: &Identity,
    username: &str,
    outcome: Result<Change, Error>,
    done: Done,
) -> Result<Response, Error> {
    match outcome {
        Ok(change) => {
            let target = format!("{}?done={}", link(username), done.name());
            Ok((Extension(change), Redirect::to(&target)).into_response())
        }
        Err(error) => refused(app, identity, username, error).await,
    }
}

async fn refused(app: &App, identity: &Identity, username: &str, error: Error) -> Result<Response, Error> {
    if !matches!(error, Error::LastSuperadmin(_) | Error::AccountChanged | Error::NoSuchToken) {
        return Err(error);
    }
    let mut template = UserPage::new(app, identity, username).await?;
    template.problem = Some(error.to_string());
    again(error, &template)
}

/// A role.
#[derive(Deserialize)]
pub(crate) struct RoleForm {
    role: String,
}

/// `POST /admin/users/{username}/role`.
pub(crate) async fn set_role(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
    FormBody(form): FormBody<RoleForm>,
) -> Result<Response, Error> {
    let Ok(role) = form.role.parse() else {
        let mut template = UserPage::new(&app, &identity, &username).await?;
        template.role = template.role.wrong("Choose a role");
        return page(StatusCode::UNPROCESSABLE_ENTITY, &template);
    };
    let changed = users::change(&app, &username, UserPatch { role: Some(role), disabled: None }).await;
    answer(&app, &identity, &username, changed.map(|(change, _)| change), Done::Role).await
}

/// `POST /admin/users/{username}/disable`.
pub(crate) async fn disable(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    let changed = users::change(&app, &username, UserPatch { role: None, disabled: Some(true) }).await;
    answer(&app, &identity, &username, changed.map(|(change, _)| change), Done::Disabled).await
}

/// `POST /admin/users/{username}/enable`.
pub(crate) async fn enable(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    let changed = users::change(&app, &username, UserPatch { role: None, disabled: Some(false) }).await;
    answer(&app, &identity, &username, changed.map(|(change, _)| change), Done::Enabled).await
}

/// `POST /admin/users/{username}/password`: draws another password, which is shown this once and must be changed at the
/// next sign-in.
pub(crate) async fn reset_password(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    let password = first_admin::draw()?;
    match users::reset_password(&app, &username, &password, true).await {
        Ok(change) => {
            let mut template = UserPage::new(&app, &identity, &username).await?;
            template.drawn = Some(Drawn { username, password: password.expose().to_owned() });
            Ok((Extension(change), page(StatusCode::OK, &template)?).into_response())
        }
        Err(error) => refused(&app, &identity, &username, error).await,
    }
}

/// `POST /admin/users/{username}/sign-out`.
pub(crate) async fn sign_out(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    let ended = users::end_sign_ins(&app, &username).await;
    answer(&app, &identity, &username, ended, Done::SignedOut).await
}

/// `POST /admin/users/{username}/remove-codes`.
pub(crate) async fn remove_codes(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    let removed = users::remove_codes(&app, &username).await;
    answer(&app, &identity, &username, removed, Done::CodesRemoved).await
}

/// `POST /admin/users/{username}/tokens/revoke`.
pub(crate) async fn revoke_token(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
    FormBody(form): FormBody<tokens::Which>,
) -> Result<Response, Error> {
    let revoked = rest_tokens::delete(&app, &username, &form.name).await;
    answer(&app, &identity, &username, revoked, Done::TokenRevoked).await
}

/// `POST /admin/users/{username}/delete`.
pub(crate) async fn delete(
    State(app): State<Shared>,
    identity: Identity,
    PathOf(username): PathOf<String>,
) -> Result<Response, Error> {
    match users::delete(&app, &username).await {
        Ok(change) => Ok((Extension(change), Redirect::to("/admin/users?done=deleted")).into_response()),
        Err(error) => refused(&app, &identity, &username, error).await,
    }
}
