//! API tokens of one's own.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use mect_fleet::{Scope, Timestamp};
use serde::Deserialize;

use super::{AccountPage, Made};
use crate::app::{App, Shared};
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::row::Moment;
use crate::pages::{again, format, page};
use crate::patience;
use crate::rest::v1::tokens::{DEFAULT_DAYS, New, delete, make};

/// A token as a row.
pub(crate) struct TokenRow {
    pub(crate) name: String,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) created: Moment,
    /// `None` for never.
    pub(crate) expires: Option<String>,
    pub(crate) is_over: bool,
    pub(crate) last_used: Option<Moment>,
}

/// The tokens of a user, by name.
pub(crate) async fn rows(app: &App, username: &str, now: Timestamp) -> Result<Vec<TokenRow>, Error> {
    let tokens = patience::long(app.users.accounts().tokens(username)).await?;
    let row = |token: &mect_fleet::ApiToken| TokenRow {
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.name()).collect(),
        created: Moment::new(token.created_at, now),
        expires: token.expires_at.map(format::utc),
        is_over: token.expires_at.is_some_and(|at| at <= now),
        last_used: token.last_used_at.map(|at| Moment::new(at, now)),
    };
    Ok(tokens.iter().map(row).collect())
}

/// A scope that can be ticked.
pub(super) struct Tick {
    pub(super) name: &'static str,
    pub(super) sentence: &'static str,
    pub(super) is_ticked: bool,
}

/// The form for a new token.
pub(super) struct Form {
    pub(super) fields: [Field; 2],
    pub(super) scopes: Vec<Tick>,
    pub(super) scopes_problem: Option<String>,
    /// Shown unfolded.
    pub(super) is_open: bool,
}

const fn sentence(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadList => "the list of servers for client apps",
        Scope::ReadFleet => "everything that is shown of the fleet",
        Scope::Federate => "metrics, for Prometheus",
        Scope::WriteFleet => "changes of servers, and all that is shown",
        Scope::Admin => "all that you may do",
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::of("", &DEFAULT_DAYS.to_string(), &BTreeSet::new())
    }
}

impl Form {
    fn of(name: &str, days: &str, scopes: &BTreeSet<Scope>) -> Self {
        let text = |field: Field, value: &str| Field { value: value.to_owned(), ..field };
        let (label, hint) = ("Expires in days", "1 to 730");
        let tick =
            |scope: Scope| Tick { name: scope.name(), sentence: sentence(scope), is_ticked: scopes.contains(&scope) };
        Self {
            fields: [
                text(Field::new("name", "Name").required().hint("What it is for, for example grafana"), name),
                text(Field::new("expires_in_days", label).kind("number").required().hint(hint), days),
            ],
            scopes: Scope::ALL.into_iter().map(tick).collect(),
            scopes_problem: None,
            is_open: false,
        }
    }

    /// The same with what is wrong, beside the field that the sentence begins with.
    fn refused(mut self, error: &Error) -> Self {
        let text = error.to_string();
        let (name, problem) = text.split_once(": ").unwrap_or(("name", &text));
        self.is_open = true;
        if name == "scopes" {
            self.scopes_problem = Some("Tick one or more".to_owned());
        } else {
            self.fields = self.fields.map(|field| if field.name == name { field.wrong(problem) } else { field });
        }
        self
    }
}

/// `POST /account/tokens`: makes a token and shows its secret, this once.
pub(crate) async fn create(
    State(app): State<Shared>,
    identity: Identity,
    headers: HeaderMap,
    FormBody(pairs): FormBody<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let values = |name: &'static str| {
        pairs
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.trim())
            .filter(|text| !text.is_empty())
    };
    let (name, days) =
        (values("name").next().unwrap_or_default(), values("expires_in_days").next().unwrap_or_default());
    let scopes: Result<BTreeSet<Scope>, _> = values("scope").map(str::parse).collect();
    let scopes = scopes.map_err(|_| Error::Malformed("scope: there is no such scope".into()))?;
    let form = Form::of(name, days, &scopes);
    // What is no number is out of range.
    let new = New { name: name.to_owned(), scopes, expires_in_days: days.parse().unwrap_or_default() };
    match make(&app, &identity.user().username, new).await {
        Ok((change, secret, _)) => {
            let mut template = AccountPage::new(&app, &identity, &headers).await?;
            template.made = Some(Made { name: name.to_owned(), secret: secret.expose().to_owned() });
            Ok((Extension(change), page(StatusCode::CREATED, &template)?).into_response())
        }
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let mut template = AccountPage::new(&app, &identity, &headers).await?;
            template.form = form.refused(&error);
            again(error, &template)
        }
        Err(error) => Err(error),
    }
}

/// Which token.
#[derive(Deserialize)]
pub(crate) struct Which {
    pub(crate) name: String,
}

/// `POST /account/tokens/revoke`.
pub(crate) async fn revoke(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(form): FormBody<Which>,
) -> Result<Response, Error> {
    let change = delete(&app, &identity.user().username, &form.name).await?;
    Ok((Extension(change), Redirect::to("/account?done=token-revoked")).into_response())
}
