//! Servers that announced themselves and wait to be let in: `GET` and `POST /servers/waiting`.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::{FleetView, Role, ServerId, ServerPatch, Timestamp};
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::audit::Changes;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::row::Moment;
use crate::pages::server::Done;
use crate::pages::{Section, Who, assets, page};
use crate::rest::v1::servers::{change, forget};

/// Servers shown, and let in or rejected by one request.
const MAX_ROWS: usize = 100;

/// A server that waits.
struct Row {
    id: String,
    hostname: String,
    ip: String,
    target: String,
    since: Moment,
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct WaitingPage {
    who: Option<Who>,
    may_decide: bool,
    rows: Vec<Row>,
    /// All who wait, shown or not.
    total: usize,
    problem: Option<&'static str>,
}

impl WaitingPage {
    fn is_cut(&self) -> bool {
        self.rows.len() < self.total
    }
}

/// Servers that wait.
pub(crate) fn count(view: &FleetView) -> usize {
    view.servers().iter().filter(|view| view.server.awaits_approval).count()
}

fn shown(app: &App, identity: &Identity, status: StatusCode, problem: Option<&'static str>) -> Result<Response, Error> {
    let (view, now) = (app.fleet.view(), Timestamp::now());
    let mut waiting: Vec<_> =
        view.servers().iter().map(|view| &view.server).filter(|one| one.awaits_approval).collect();
    // Who came first is shown first, so that a page does not change under a pointer; who came together, by name.
    waiting.sort_by_key(|server| server.registered_at);
    let row = |server: &&std::sync::Arc<mect_fleet::Server>| Row {
        id: server.id.to_string(),
        hostname: server.hostname.clone(),
        ip: server.ip.clone(),
        target: server.target.as_ref().map(|target| target.endpoint.to_string()).unwrap_or_default(),
        since: Moment::new(server.registered_at, now),
    };
    let template = WaitingPage {
        who: Some(Who::on(Section::Elsewhere, identity)),
        may_decide: identity.may(Role::Admin),
        rows: waiting.iter().take(MAX_ROWS).map(row).collect(),
        total: waiting.len(),
        problem,
    };
    page(status, &template)
}

/// `GET /servers/waiting`.
pub(crate) async fn show(State(app): State<Shared>, identity: Identity) -> Result<Response, Error> {
    shown(&app, &identity, StatusCode::OK, None)
}

/// What is to become of those that were ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Approve,
    Reject,
}

/// The form: a decision and the servers it is for.
struct Decided {
    decision: Decision,
    ids: Vec<ServerId>,
    /// Where the form was: on the server's own page.
    is_alone: bool,
}

impl Decided {
    fn of(pairs: &[(String, String)]) -> Option<Self> {
        let all = |name: &'static str| pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value);
        let decision = match all("action").next()?.as_str() {
            "approve" => Decision::Approve,
            "reject" => Decision::Reject,
            _ => return None,
        };
        let ids: Option<Vec<ServerId>> = all("id").map(|id| id.parse().ok()).collect();
        Some(Self { decision, ids: ids?, is_alone: all("alone").next().is_some() })
    }
}

/// `POST /servers/waiting`: lets servers in, or forgets them.
pub(crate) async fn decide(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(pairs): FormBody<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let Decided { decision, ids, is_alone } = Decided::of(&pairs)
        .ok_or_else(|| Error::Invalid("action: give approve or reject, and id of servers".to_owned()))?;
    if ids.is_empty() {
        return shown(&app, &identity, StatusCode::UNPROCESSABLE_ENTITY, Some("Tick the servers that you mean first."));
    }
    let (mut changes, mut problem) = (Vec::new(), None);
    for id in ids.iter().take(MAX_ROWS) {
        // Who was let in meanwhile is no longer to be decided on; least of all to be forgotten.
        let waits = app.fleet.view().by_id(*id).is_some_and(|view| view.server.awaits_approval);
        if !waits {
            continue;
        }
        let done = match decision {
            Decision::Approve => {
                let patch = ServerPatch { awaits_approval: Some(false), ..ServerPatch::default() };
                change(&app, *id, patch).await
            }
            Decision::Reject => forget(&app, *id).await,
        };
        match done {
            Ok(change) => changes.push(change),
            // Somebody else was faster.
            Err(Error::NoSuchServer) => {}
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    let response = match (problem, ids.as_slice(), decision) {
        (Some(error), ..) => error.into_response(),
        (None, [id], Decision::Approve) if is_alone => Redirect::to(&Done::Approved.on(*id)).into_response(),
        _ => Redirect::to("/servers/waiting").into_response(),
    };
    Ok((Extension(Changes(changes)), response).into_response())
}
