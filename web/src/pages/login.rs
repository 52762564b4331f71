//! Signing in and out by the browser.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::sign_in;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::{Who, assets, local, page, start_session, with_cookie};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    who: Option<Who>,
    username: &'a str,
    next: &'a str,
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
    page(StatusCode::OK, &LoginPage { who: None, username: "", next: local(&query.next), problem: None })
}

/// The login form.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    username: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

/// `POST /login`: starts a session, always a new one, and goes where the browser wanted to go.
pub(crate) async fn submit(State(app): State<Shared>, FormBody(form): FormBody<LoginForm>) -> Result<Response, Error> {
    let next = local(&form.next);
    match sign_in(&app, &form.username, &form.password).await {
        Ok(user) if user.must_change_password => start_session(&app, &user, "/password").await,
        Ok(user) => start_session(&app, &user, next).await,
        Err(error @ Error::WrongLogin) => {
            let problem = Some(error.to_string());
            page(StatusCode::UNAUTHORIZED, &LoginPage { who: None, username: &form.username, next, problem })
        }
        Err(error) => Err(error),
    }
}

/// `POST /logout`: ends the session in the store, and its cookie. Harmless without one.
pub(crate) async fn logout(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Error> {
    if let Some(digest) = app.cookies.digest(&headers) {
        app.users.accounts().delete_session(&digest).await?;
    }
    Ok(with_cookie(Redirect::to("/login"), app.cookies.end()).into_response())
}
