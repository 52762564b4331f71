//! One's own account: one-time codes, sessions, API tokens. The password has a page of its own, where who must change it
//! is led to.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use mect_fleet::Timestamp;
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::auth::identity::Identity;
use crate::auth::session;
use crate::error::Error;
use crate::pages::field::Field;
use crate::pages::row::Moment;
use crate::pages::{Section, Who, assets, page};
use crate::patience;
use tokens::{Form, TokenRow};

pub(crate) mod codes;
pub(crate) mod sessions;
pub(crate) mod tokens;

/// What was done before the page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    CodesOn,
    CodesOff,
    SessionEnded,
    OthersEnded,
    TokenRevoked,
}

impl Done {
    const fn sentence(self) -> &'static str {
        match self {
            Self::CodesOn => "Sign-ins ask for a one-time code from now on.",
            Self::CodesOff => "Sign-ins ask for the password alone again.",
            Self::SessionEnded => "The session is over.",
            Self::OthersEnded => "Every other session is over.",
            Self::TokenRevoked => "The token is void.",
        }
    }
}

/// Query of the page.
#[derive(Default, Deserialize)]
pub(crate) struct AccountQuery {
    done: Option<Done>,
}

/// A browser that is signed in.
pub(crate) struct SessionRow {
    /// Names it in forms.
    mark: String,
    is_this: bool,
    address: String,
    started: Moment,
    expires: String,
}

/// A token that was just made.
struct Made {
    name: String,
    /// Shown this once.
    secret: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    who: Option<Who>,
    done: Option<&'static str>,
    member_since: Moment,
    /// Sign-ins ask for codes.
    has_codes: bool,
    /// This account must have them.
    needs_codes: bool,
    password: Field,
    sessions: Vec<SessionRow>,
    tokens: Vec<TokenRow>,
    form: Form,
    made: Option<Made>,
}

impl AccountPage {
    async fn new(app: &App, identity: &Identity, headers: &HeaderMap) -> Result<Self, Error> {
        let (user, now) = (identity.user(), Timestamp::now());
        let this = app.cookies.digest(headers);
        let sessions = patience::long(app.users.accounts().sessions(&user.username, now)).await?;
        // What was opened before a change that made it void may not be deleted yet.
        let sessions = sessions.iter().filter(|session| session.epoch == user.epoch);
        let sessions = sessions.map(|session| SessionRow {
            mark: session::mark(&session.digest),
            is_this: this == Some(session.digest),
            address: session.address.clone(),
            started: Moment::new(session.created_at, now),
            expires: crate::pages::format::utc(session.expires_at),
        });
        Ok(Self {
            who: Some(Who::on(Section::Account, identity)),
            done: None,
            member_since: Moment::new(user.created_at, now),
            has_codes: user.asks_for_code(),
            needs_codes: app.settings.totp_required_from.is_some_and(|role| user.role >= role),
            password: codes::password(),
            sessions: sessions.collect(),
            tokens: tokens::rows(app, &user.username, now).await?,
            form: Form::default(),
            made: None,
        })
    }

    fn others(&self) -> usize {
        self.sessions.iter().filter(|session| !session.is_this).count()
    }
}

/// `GET /account`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    headers: HeaderMap,
    query: Result<Query<AccountQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let mut template = AccountPage::new(&app, &identity, &headers).await?;
    // A word that nobody knows says nothing.
    template.done = query.ok().and_then(|Query(query)| query.done).map(Done::sentence);
    page(StatusCode::OK, &template)
}
