//! Signing in and out by the browser.

use askama::Template;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use mect_fleet::Timestamp;
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::form_token::FormToken;
use crate::auth::sign_in::{SignIn, came_in, second_step, sign_in};
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::{Who, again, assets, local, page, start_session, with_cookie};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    who: Option<Who>,
    username: &'a str,
    next: &'a str,
    /// In the second step: what tells that the password was right.
    ticket: Option<String>,
    problem: Option<String>,
}

/// Query of the login page.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginQuery {
    /// Where to go afterwards.
    next: String,
}

/// `GET /login`.
pub(crate) async fn show(query: Result<Query<LoginQuery>, QueryRejection>) -> Result<Response, Error> {
    let Query(query) = query?;
    page(StatusCode::OK, &LoginPage { who: None, username: "", next: local(&query.next), ticket: None, problem: None })
}

/// The login form: name and password, or in a second step the ticket of the first one and a one-time code.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default = "LoginForm::nothing")]
    password: Secret,
    ticket: Option<String>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

impl LoginForm {
    fn nothing() -> Secret {
        Secret::new("")
    }
}

/// `POST /login`: starts a session, always a new one, and goes where the browser wanted to go.
pub(crate) async fn submit(
    State(app): State<Shared>,
    client: ClientAddress,
    FormBody(form): FormBody<LoginForm>,
) -> Result<Response, Error> {
    let next = local(&form.next);
    let outcome = match &form.ticket {
        Some(ticket) => second_step(&app, client, ticket, &form.code).await.map(SignIn::Done),
        None => sign_in(&app, client, &form.username, &form.password, None).await,
    };
    match outcome {
        Ok(SignIn::NeedsCode(user)) => {
            let ticket = app.tokens.second_step(&user, Timestamp::now())?;
            let (username, ticket) = (form.username.as_str(), Some(ticket));
            page(StatusCode::OK, &LoginPage { who: None, username, next, ticket, problem: None })
        }
        Ok(SignIn::Done(user)) => {
            let target = if user.must_change_password { "/password" } else { next };
            let started = start_session(&app, client, &user, target).await?;
            came_in(&app, client, &user, "browser");
            Ok(started)
        }
        Err(error @ (Error::WrongLogin | Error::WrongCode | Error::SignInExpired | Error::TooManyAttempts(_))) => {
            // Who took too long begins again, whoever mistyped tries another code.
            let ticket = form.ticket.clone().filter(|_| !matches!(error, Error::SignInExpired));
            let problem = Some(error.to_string());
            again(error, &LoginPage { who: None, username: &form.username, next, ticket, problem })
        }
        Err(error) => Err(error),
    }
}

/// `POST /logout`: ends the session in the store, and its cookie. Harmless without one.
pub(crate) async fn logout(State(app): State<Shared>, headers: HeaderMap, form: Bytes) -> Result<Response, Error> {
    if let Some(digest) = app.cookies.digest(&headers) {
        if !FormToken::of(&digest).is_in(&form) {
            return Err(Error::FormToken);
        }
        app.users.end_session(&digest).await?;
    }
    Ok(with_cookie(Redirect::to("/login"), app.cookies.end()).into_response())
}
