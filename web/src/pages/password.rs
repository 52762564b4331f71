//! Changing one's password by the browser, forced after the first login.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::app::Shared;
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::auth::sign_in::change_password;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::{Section, Who, assets, page, start_session};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    who: Option<Who>,
    forced: bool,
    fields: [Field; 3],
}

impl PasswordPage {
    fn new(identity: &Identity) -> Self {
        let field =
            |name, label, autocomplete| Field::new(name, label).kind("password").autocomplete(autocomplete).required();
        Self {
            who: Some(Who::on(Section::Elsewhere, identity)),
            forced: identity.user().must_change_password,
            fields: [
                field("current_password", "Current password", "current-password"),
                field("new_password", "New password", "new-password")
                    .hint("12 to 128 characters, not easy to guess. A few random words work well."),
                field("repeat_password", "New password again", "new-password"),
            ],
        }
    }

    /// The same page with what is wrong beside one of its fields.
    fn refused(identity: &Identity, name: &str, problem: impl std::fmt::Display) -> Result<Response, Error> {
        let mut template = Self::new(identity);
        template.fields = template.fields.map(|field| if field.name == name { field.wrong(&problem) } else { field });
        page(StatusCode::UNPROCESSABLE_ENTITY, &template)
    }
}

/// `GET /password`.
pub(crate) async fn show(identity: Identity) -> Result<Response, Error> {
    page(StatusCode::OK, &PasswordPage::new(&identity))
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
    client: ClientAddress,
    identity: Identity,
    FormBody(form): FormBody<PasswordForm>,
) -> Result<Response, Error> {
    if form.new_password != form.repeat_password {
        return PasswordPage::refused(&identity, "repeat_password", "The two new passwords differ");
    }
    match change_password(&app, client, identity.user(), &form.current_password, &form.new_password).await {
        Ok(user) => {
            let mut started = start_session(&app, client, &user, "/").await?;
            started.extensions_mut().insert(Change::new("user.password", user.username));
            Ok(started)
        }
        Err(error @ Error::WrongCurrentPassword) => PasswordPage::refused(&identity, "current_password", error),
        Err(error @ Error::WeakPassword(_)) => PasswordPage::refused(&identity, "new_password", error),
        Err(error) => Err(error),
    }
}
