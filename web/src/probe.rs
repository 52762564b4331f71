//! `GET /probe?server=ID`: a server's page as its exporter gave it, through this collector.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Uri, header};
use mect_fleet::collecting::NotScraped;
use mect_fleet::{Role, Scope, ServerId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::{App, Shared};
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::latest;
use crate::probes::{OPENMETRICS, TEXT};
use crate::rest::params::Params;

/// Which page is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct ProbeParams {
    /// The server.
    #[param(example = "srv-k3v9xw2p")]
    server: String,
    /// `true`: scraped for this answer, not the page of the latest regular scrape. For admins.
    #[param(required = false, default = false)]
    live: bool,
    /// URL of one of the server's endpoints, whose page is wanted instead of the main one's.
    #[param(required = false, example = "http://192.0.2.1:9586/metrics")]
    endpoint: String,
}

/// A server's page.
#[utoipa::path(
    get, path = "/probe", tag = "machinery", params(ProbeParams),
    responses(
        (status = 200, description = "The page, in the format in which it came", content(
            (String = "text/plain"),
            (String = "application/openmetrics-text"),
        )),
        (status = 404, description = "No such server, no page of it is kept here, or the latest scrape failed; the detail says which and why"),
        (status = 409, description = "Another collector scrapes it, or an agent reports it"),
    )
)]
pub(crate) async fn probe(State(app): State<Shared>, identity: Identity, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri)?;
    let server =
        params.take_as("server", "a server's id, such as srv-k3v9xw2p", |text| text.parse::<ServerId>().ok())?;
    let is_live = params.take_flag("live")?.unwrap_or(false);
    let endpoint = params.take("endpoint")?;
    params.finish()?;
    let server = server.ok_or_else(|| Error::Invalid("server: is missing".to_owned()))?;
    if app.fleet.view().by_id(server).is_none() {
        return Err(Error::NoSuchServer);
    }
    if is_live {
        scrape(&app, &identity, server).await?;
    }
    let view = app.fleet.view().by_id(server).cloned().ok_or(Error::NoSuchServer)?;
    let latest = latest::scrape(&app, &view, endpoint.as_deref()).await?;
    let page = latest.ok_or(Error::NoPage)?.outcome.map_err(|failure| Error::NotScraped(failure.to_string()))?;
    let content_type = if page.is_openmetrics { OPENMETRICS } else { TEXT };
    Ok(([(header::CONTENT_TYPE, content_type)], page.text).into_response())
}

async fn scrape(app: &App, identity: &Identity, server: ServerId) -> Result<(), Error> {
    if !identity.may(Role::Admin) {
        return Err(Error::Forbidden);
    }
    if !identity.has_scope(Scope::WriteFleet) {
        return Err(Error::MissingScope(Scope::WriteFleet));
    }
    let scrapes = app.collecting.scrapes.as_ref().ok_or(Error::NoPage)?;
    scrapes.scrape_now(server).await.map_err(|refusal| match refusal {
        NotScraped::NotHere | NotScraped::Pushed | NotScraped::Gone => Error::Conflict(refusal.to_string()),
        NotScraped::TooLong => Error::Timeout,
        NotScraped::Busy => Error::TooManyAnswers,
    })
}
