//! Adding servers: `GET` and `POST /servers/add`, and where a list of them is given.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use crate::app::{App, Shared};
use crate::audit::Change;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::field::Field;
use crate::pages::server::Done;
use crate::pages::server::edit::{ACCESS, Check, ENDPOINTS, insecure};
use crate::pages::server::form::{Problems, Typed};
use crate::pages::{Section, Who, assets, page};
use crate::rest::v1::servers::{add, body};
use crate::secret::Secret;
use crate::settings::Enrolment;

/// The audit's word for somebody having seen the agent key.
const KEY_SHOWN: &str = "agent_key_shown";

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AddQuery {
    done: String,
}

#[derive(Template)]
#[template(path = "add_server.html")]
struct AddPage {
    who: Option<Who>,
    /// What was done before.
    done: Option<&'static str>,
    problem: Option<String>,
    address: Field,
    access: Field,
    endpoints: Field,
    insecure: Check,
    fields: [Field; 5],
    /// The list that is to be corrected.
    list: String,
    /// What is wrong with it as a whole.
    list_problem: Option<String>,
    /// The collector has an agent key.
    has_key: bool,
    /// That key, for who asked for it.
    key: Option<Secret>,
    /// Exporters may announce themselves.
    enrolment: bool,
    waiting: usize,
}

impl AddPage {
    fn new(app: &App, identity: &Identity, typed: &Typed, problems: &Problems) -> Self {
        let field = |name, label, hint| typed.field(name, label, problems).hint(hint);
        Self {
            who: Some(Who::on(Section::Add, identity)),
            done: None,
            problem: None,
            address: field(
                "address",
                "Target",
                "The exporter’s page: host:port, or a URL with http:// or https://, host, port and path",
            )
            .required(),
            access: field("access", "Access", ACCESS),
            endpoints: field("endpoints", "Further endpoints", ENDPOINTS),
            insecure: insecure(typed),
            fields: [
                field("hostname", "Name", "For people. Empty: the address"),
                field("country_code", "Country", "Two letters of ISO 3166-1, for example DE"),
                field("region", "Region", ""),
                field("city", "City", ""),
                field("tags", "Tags", "Words between blanks: a-z, 0-9 and . _ : -"),
            ],
            list: String::new(),
            list_problem: None,
            has_key: app.settings.agent_key.get().is_some(),
            key: None,
            enrolment: app.settings.enrolment != Enrolment::Off,
            waiting: super::waiting::count(&app.fleet.view()),
        }
    }
}

/// `GET /servers/add`.
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    query: Result<Query<AddQuery>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(query) = query?;
    let template = AddPage::new(&app, &identity, &Typed::default(), &Problems::new());
    let done = (query.done == "imported").then_some("The list is added. Its servers are scraped within seconds.");
    page(StatusCode::OK, &AddPage { done, ..template })
}

/// `POST /servers/add/key`: the page with the agent key in what is to be pasted on the host. The audit says who saw it.
pub(crate) async fn show_key(State(app): State<Shared>, identity: Identity) -> Result<Response, Error> {
    let key = Some(app.settings.agent_key.get().ok_or(Error::NotFound)?);
    let template = AddPage::new(&app, &identity, &Typed::default(), &Problems::new());
    let shown = page(StatusCode::OK, &AddPage { key, ..template })?;
    Ok((Extension(Change::new(KEY_SHOWN, "exporters")), shown).into_response())
}

/// The page with a list that cannot be understood at all.
pub(super) fn refused_list(app: &App, identity: &Identity, list: String, problem: String) -> Result<Response, Error> {
    let template = AddPage::new(app, identity, &Typed::default(), &Problems::new());
    page(StatusCode::UNPROCESSABLE_ENTITY, &AddPage { list, list_problem: Some(problem), ..template })
}

/// `POST /servers/add`.
pub(crate) async fn submit(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(typed): FormBody<Typed>,
) -> Result<Response, Error> {
    let shown = |status, problems: &Problems| page(status, &AddPage::new(&app, &identity, &typed, problems));
    let refused = |status, problem: String| shown(status, &Problems::from([("address", problem)]));
    if typed.address.trim().is_empty() {
        let problem = "needs host:port, for example 192.0.2.1:9776".to_owned();
        return refused(StatusCode::UNPROCESSABLE_ENTITY, problem);
    }
    let body = match typed.body(&Typed::default(), &app.settings.target_policy) {
        Ok(body) => body,
        Err(problems) => return shown(StatusCode::UNPROCESSABLE_ENTITY, &problems),
    };
    match add(&app, body::registration_of(body, &app.settings.target_policy)?).await {
        Ok((id, Some(change))) => Ok((Extension(change), Redirect::to(&Done::Added.on(id))).into_response()),
        Ok((id, None)) => Ok(Redirect::to(&Done::Known.on(id)).into_response()),
        Err(Error::Conflict(taken)) => refused(StatusCode::CONFLICT, taken),
        Err(error) => Err(error),
    }
}
