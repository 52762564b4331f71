//! Changing one's password by the browser, forced after the first login.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::{Identity, change_password};
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::{Who, assets, page, start_session};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    who: Option<Who>,
    forced: bool,
    problem: Option<String>,
}

impl PasswordPage {
    fn new(identity: &Identity, problem: Option<String>) -> Self {
        Self { who: Some(Who::from(identity)), forced: identity.user().must_change_password, problem }
    }
}

/// `GET /password`.
pub(crate) async fn show(identity: Identity) -> Result<Response, Error> {
    page(StatusCode::OK, &PasswordPage::new(&identity, None))
}

/// The password form.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    current_password: Secret,
    new_password: Secret,
    repeat_password: Secret,
}

/// `POST /password`: changes it, which ends every session of the user, and starts a new one here.
pub(crate) async fn submit(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(form): FormBody<PasswordForm>,
) -> Result<Response, Error> {
    if form.new_password != form.repeat_password {
        let problem = "The two new passwords differ".to_owned();
        return page(StatusCode::UNPROCESSABLE_ENTITY, &PasswordPage::new(&identity, Some(problem)));
    }
    match change_password(&app, identity.user(), &form.current_password, &form.new_password).await {
        Ok(user) => start_session(&app, &user, "/").await,
        Err(error @ (Error::WrongCurrentPassword | Error::WeakPassword(_))) => {
            let page_with_problem = PasswordPage::new(&identity, Some(error.to_string()));
            page(StatusCode::UNPROCESSABLE_ENTITY, &page_with_problem)
        }
        Err(error) => Err(error),
    }
}
