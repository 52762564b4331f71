//! Ending sessions.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use mect_fleet::{Session, Timestamp};
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::auth::session;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::with_cookie;
use crate::patience;
use crate::rest::v1::login::sign_out_everywhere;

/// Which session.
#[derive(Deserialize)]
pub(crate) struct Which {
    session: String,
}

/// `POST /account/sessions/end`: ends one of the own sessions. One that is over already is no mistake.
pub(crate) async fn end(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(form): FormBody<Which>,
) -> Result<Response, Error> {
    let ended = end_where(&app, &identity, |session| session::mark(&session.digest) == form.session).await?;
    let change = change(&identity, ended);
    Ok((Extension(change), Redirect::to("/account?done=session-ended")).into_response())
}

/// `POST /account/sessions/end-others`: ends all own sessions but this one.
pub(crate) async fn end_others(
    State(app): State<Shared>,
    identity: Identity,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let this = app.cookies.digest(&headers);
    let ended = end_where(&app, &identity, |session| Some(session.digest) != this).await?;
    Ok((Extension(change(&identity, ended)), Redirect::to("/account?done=others-ended")).into_response())
}

/// `POST /account/sign-out`: ends every sign-in of the user, by browsers and by programs, this one too.
pub(crate) async fn everywhere(State(app): State<Shared>, identity: Identity) -> Result<Response, Error> {
    let change = sign_out_everywhere(&app, &identity.user().username).await?;
    Ok((Extension(change), with_cookie(Redirect::to("/login"), app.cookies.end())).into_response())
}

async fn end_where(app: &App, identity: &Identity, is_meant: impl Fn(&Session) -> bool) -> Result<usize, Error> {
    let sessions = app.users.accounts().sessions(&identity.user().username, Timestamp::now());
    let mut ended = 0;
    for session in patience::long(sessions).await?.iter().filter(|session| is_meant(session)) {
        app.users.end_session(&session.digest).await?;
        ended += 1;
    }
    Ok(ended)
}

fn change(identity: &Identity, ended: usize) -> Change {
    let change = Change::new("session.end", &identity.user().username);
    if ended == 1 { change } else { change.detail(format!("{ended} sessions")) }
}
