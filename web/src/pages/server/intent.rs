//! What an operator wants of a server, by the buttons on its page: `POST /servers/{id}/intent` and `…/delete`.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::{Server, ServerPatch, ServerView, Timestamp};
use serde::Deserialize;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::rest::v1::servers::body::host_id;
use crate::rest::v1::servers::intent::{Intent, PeriodBody};
use crate::rest::v1::servers::{change, forget, server_id};

use super::{Done, refused};

/// The forms of the page, with what was typed and is wrong.
pub(super) struct Forms {
    pub(super) drain: Field,
    pub(super) maintenance: Field,
    /// Why the server was not changed or deleted.
    pub(super) problem: Option<String>,
}

impl Default for Forms {
    fn default() -> Self {
        let field = |name| Field::new(name, "Until, in UTC").kind("datetime-local").hint("Empty: until you end it");
        Self { drain: field("drain_until"), maintenance: field("maintenance_until"), problem: None }
    }
}

/// One pressed button.
#[derive(Debug, Deserialize)]
pub(crate) struct IntentForm {
    action: Action,
    #[serde(default)]
    drain_until: String,
    #[serde(default)]
    maintenance_until: String,
    /// The host to accept, as the page showed it.
    #[serde(default)]
    host: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Enable,
    Disable,
    Drain,
    EndDrain,
    Maintain,
    EndMaintenance,
    AcceptHost,
}

impl IntentForm {
    /// The change of what is wanted that the button stands for.
    fn on(&self, mut intent: Intent) -> Intent {
        let period = |text: &str| Some(PeriodBody { until: until(text) });
        match self.action {
            Action::Enable => intent.enabled = true,
            Action::Disable => intent.enabled = false,
            Action::Drain => intent.draining = period(&self.drain_until),
            Action::EndDrain => intent.draining = None,
            Action::Maintain => intent.maintenance = period(&self.maintenance_until),
            Action::EndMaintenance => intent.maintenance = None,
            // Not what is wanted of the server, but who it is.
            Action::AcceptHost => {}
        }
        intent
    }

    /// The change of the server that the button stands for.
    fn patch(&self, server: &Server, now: Timestamp) -> Result<ServerPatch, Error> {
        match self.action {
            Action::AcceptHost => {
                Ok(ServerPatch { accepted_host: Some(host_id(&self.host)?), ..ServerPatch::default() })
            }
            _ => self.on(Intent::of(server, now)).patch(Some(server), now),
        }
    }

    /// The page's forms with what was typed, and what is wrong beside it.
    fn refused(self, error: &Error) -> Forms {
        let mut forms = Forms::default();
        let said = error.to_string();
        let (field, text, prefix) = match self.action {
            Action::Drain => (&mut forms.drain, self.drain_until, "draining.until: "),
            Action::Maintain => (&mut forms.maintenance, self.maintenance_until, "maintenance.until: "),
            _ => {
                forms.problem = Some(said);
                return forms;
            }
        };
        field.value = text;
        match said.strip_prefix(prefix) {
            Some(problem) => field.problem = Some(problem.to_owned()),
            None => forms.problem = Some(said),
        }
        forms
    }
}

/// What a browser's field for date and time sends, `2026-11-24T03:17`, as RFC 3339; what a person typed otherwise is left
/// for the check.
fn until(text: &str) -> Option<String> {
    let text = text.trim().replacen(' ', "T", 1);
    match text.len() {
        0 => None,
        16 => Some(format!("{text}:00Z")),
        19 => Some(format!("{text}Z")),
        _ => Some(text),
    }
}

/// `POST /servers/{id}/intent`.
pub(crate) async fn set(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
    FormBody(form): FormBody<IntentForm>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
    let now = Timestamp::now();
    let patch = form.patch(&view.server, now);
    let done = if form.action == Action::AcceptHost { Done::HostAccepted } else { Done::Intent };
    // Nothing that somebody else wants meanwhile is undone.
    let revision = Some(view.server.revision);
    let changed = match patch {
        Ok(patch) => change(&app, id, ServerPatch { revision, ..patch }).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(change) => Ok((Extension(change), Redirect::to(&done.on(id))).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Outdated { .. })) => {
            let status = error.status();
            refused(&app, &identity, &latest(&app, view), status, form.refused(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /servers/{id}/delete`.
pub(crate) async fn delete(
    State(app): State<Shared>,
    identity: Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let id = server_id(id)?;
    match forget(&app, id).await {
        Ok(change) => Ok((Extension(change), Redirect::to("/")).into_response()),
        Err(error @ Error::Conflict(_)) => {
            let view = app.fleet.view().by_id(id).cloned().ok_or(Error::NoSuchServer)?;
            let forms = Forms { problem: Some(error.to_string()), ..Forms::default() };
            refused(&app, &identity, &view, StatusCode::CONFLICT, forms).await
        }
        Err(error) => Err(error),
    }
}

/// The server as it is by now.
fn latest(app: &Shared, known: std::sync::Arc<ServerView>) -> std::sync::Arc<ServerView> {
    app.fleet.view().by_id(known.server.id).cloned().unwrap_or(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_and_people_write_becomes_an_instant() {
        for (typed, meant) in [
            ("2026-11-24T03:17", Some("2026-11-24T03:17:00Z")),
            ("2026-11-24 03:17", Some("2026-11-24T03:17:00Z")),
            ("2026-11-24T03:17:19", Some("2026-11-24T03:17:19Z")),
            ("2026-11-24T03:17:19+02:00", Some("2026-11-24T03:17:19+02:00")),
            ("  ", None),
            ("soon", Some("soon")),
        ] {
            assert_eq!(until(typed).as_deref(), meant, "{typed}");
        }
    }
}
