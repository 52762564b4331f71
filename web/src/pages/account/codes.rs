//! Setting up one-time codes, and removing them.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::AccountPage;
use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::auth::totp;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::qr::Qr;
use crate::pages::{Section, Who, again, assets, page};
use crate::patience;
use crate::rest::v1::totp::{SetUp, draw, turn_off, turn_on};
use crate::secret::Secret;

/// Characters of the secret that stand together: easier to type.
const GROUP: usize = 4;

/// Where the setting up stands.
enum Stage {
    /// The password is asked for.
    Password(Field),
    /// The secret is shown, and a code of it asked for.
    Code(Box<Drawn>),
    /// Codes are on.
    On,
}

/// A secret that is not confirmed yet.
struct Drawn {
    secret: String,
    /// The same in groups.
    groups: String,
    uri: String,
    qr: Option<Qr>,
    code: Field,
}

impl Drawn {
    fn new(set_up: SetUp, code: Field) -> Box<Self> {
        let letters: Vec<char> = set_up.secret.chars().collect();
        let groups: Vec<String> = letters.chunks(GROUP).map(|group| group.iter().collect()).collect();
        let qr = Qr::of(&set_up.uri);
        Box::new(Self { secret: set_up.secret, groups: groups.join(" "), uri: set_up.uri, qr, code })
    }
}

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage {
    who: Option<Who>,
    /// Nothing else is allowed before.
    is_forced: bool,
    problem: Option<String>,
    stage: Stage,
}

impl CodesPage {
    fn new(app: &Shared, identity: &Identity, stage: Stage) -> Self {
        let is_forced = app.settings.misses_codes(identity.user());
        Self { who: Some(Who::on(Section::Account, identity)), is_forced, problem: None, stage }
    }
}

/// The field that proves who is there.
pub(super) fn password() -> Field {
    Field::new("password", "Current password").kind("password").autocomplete("current-password").required()
}

fn code() -> Field {
    Field::new("code", "Code").autocomplete("one-time-code").required().hint("Six digits that the authenticator shows.")
}

/// `GET /account/codes`.
pub(crate) async fn show(State(app): State<Shared>, identity: Identity) -> Result<Response, Error> {
    let stage = if identity.user().asks_for_code() { Stage::On } else { Stage::Password(password()) };
    page(StatusCode::OK, &CodesPage::new(&app, &identity, stage))
}

/// The current password: a browser that was left open must not be enough.
#[derive(Deserialize)]
pub(crate) struct Proof {
    password: Secret,
}

/// `POST /account/codes`: draws a secret and shows it, this once.
pub(crate) async fn begin(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    FormBody(proof): FormBody<Proof>,
) -> Result<Response, Error> {
    match draw(&app, client, identity.user(), &proof.password).await {
        Ok((change, set_up)) => {
            let template = CodesPage::new(&app, &identity, Stage::Code(Drawn::new(set_up, code())));
            Ok((Extension(change), page(StatusCode::OK, &template)?).into_response())
        }
        Err(error @ (Error::WrongCurrentPassword | Error::TooManyAttempts(_))) => {
            let stage = Stage::Password(password().wrong(&error));
            again(error, &CodesPage::new(&app, &identity, stage))
        }
        Err(error @ Error::Conflict(_)) => again(error, &CodesPage::new(&app, &identity, Stage::On)),
        Err(error) => Err(error),
    }
}

/// A code, and the secret that it is made from: so that a mistyped code leaves the page as it was. What is not the
/// secret is not told either.
#[derive(Deserialize)]
pub(crate) struct Confirmation {
    code: String,
    secret: Secret,
}

/// `POST /account/codes/confirm`.
pub(crate) async fn confirm(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    FormBody(form): FormBody<Confirmation>,
) -> Result<Response, Error> {
    let username = &identity.user().username;
    match turn_on(&app, client, username, &form.code).await {
        Ok(change) => Ok((Extension(change), Redirect::to("/account?done=codes-on")).into_response()),
        Err(error @ (Error::WrongCode | Error::TooManyAttempts(_))) => {
            let user = patience::long(app.users.accounts().user(username)).await?.ok_or(Error::InvalidCredentials)?;
            let pending = user.totp.as_ref().filter(|totp| !totp.confirmed);
            let pending = pending.map(|pending| totp::shown(username, pending));
            let stage = match pending.filter(|(secret, _)| secret == form.secret.expose()) {
                Some((secret, uri)) => {
                    Stage::Code(Drawn::new(SetUp { secret, uri }, Field { value: form.code, ..code() }.wrong(&error)))
                }
                None => Stage::Password(password()),
            };
            again(error, &CodesPage::new(&app, &identity, stage))
        }
        // Drawn anew elsewhere, or confirmed already.
        Err(error @ (Error::Invalid(_) | Error::AccountChanged)) => {
            let stage = if identity.user().asks_for_code() { Stage::On } else { Stage::Password(password()) };
            let mut template = CodesPage::new(&app, &identity, stage);
            template.problem = Some("This secret is not the newest one any more; begin again".into());
            again(error, &template)
        }
        Err(error) => Err(error),
    }
}

/// `POST /account/codes/remove`.
pub(crate) async fn remove(
    State(app): State<Shared>,
    client: ClientAddress,
    identity: Identity,
    headers: HeaderMap,
    FormBody(proof): FormBody<Proof>,
) -> Result<Response, Error> {
    match turn_off(&app, client, identity.user(), &proof.password).await {
        Ok(change) => Ok((Extension(change), Redirect::to("/account?done=codes-off")).into_response()),
        Err(error @ (Error::WrongCurrentPassword | Error::TooManyAttempts(_))) => {
            let mut template = AccountPage::new(&app, &identity, &headers).await?;
            template.password = password().wrong(&error);
            again(error, &template)
        }
        Err(error) => Err(error),
    }
}
