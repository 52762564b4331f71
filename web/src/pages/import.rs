//! Adding a list of servers: `POST /servers/import/preview` says what would happen, `POST /servers/import` does it.
//!
//! Both read the list anew and look at the fleet as it is then: what was shown is no promise, and what is there already is
//! left as it is. So a list may be sent again after a part of it was added.

use std::collections::HashSet;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use mect_fleet::FleetView;
use mect_fleet::store::Registration;
use serde::Deserialize;
use tokio::time::Instant;

use crate::app::Shared;
use crate::audit::Changes;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::extract::FormBody;
use crate::pages::{Section, Who, add, assets, page};
use crate::rest::v1::servers;

mod csv;
mod list;

use list::Entry;

/// No server is added later than this after a request began: well within what a request may take.
const BUDGET: Duration = Duration::from_secs(10);

/// The list, as it was typed.
#[derive(Debug, Deserialize)]
pub(crate) struct ListForm {
    #[serde(default)]
    list: String,
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    /// It is added.
    New(Box<Registration>),
    /// A server has that address already: it stays what it is.
    Known {
        id: String,
        hostname: String,
    },
    Refused(String),
}

/// An entry as the page shows it.
struct Row {
    place: String,
    address: String,
    hostname: String,
    fate: Fate,
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    who: Option<Who>,
    rows: Vec<Row>,
    new: usize,
    known: usize,
    refused: usize,
    list: String,
    /// What went wrong while adding.
    problem: Option<String>,
}

impl ImportPage {
    fn new(identity: &Identity, rows: Vec<Row>, list: String, problem: Option<String>) -> Self {
        let count = |is_one: fn(&Fate) -> bool| rows.iter().filter(|row| is_one(&row.fate)).count();
        Self {
            who: Some(Who::on(Section::Add, identity)),
            new: count(|fate| matches!(fate, Fate::New(_))),
            known: count(|fate| matches!(fate, Fate::Known { .. })),
            refused: count(|fate| matches!(fate, Fate::Refused(_))),
            rows,
            list,
            problem,
        }
    }
}

/// Says what becomes of every entry of a list.
fn judge(entries: Vec<Entry>, view: &FleetView) -> Vec<Row> {
    let mut named = HashSet::new();
    let mut fate = |registration: Result<Registration, String>| match registration {
        Err(problem) => Fate::Refused(problem),
        Ok(new) if !named.insert(new.ip.clone()) => Fate::Refused("the list names this address before".to_owned()),
        Ok(new) => match view.by_ip(&new.ip) {
            Some(known) => Fate::Known { id: known.server.id.to_string(), hostname: known.server.hostname.clone() },
            None => Fate::New(Box::new(new)),
        },
    };
    let rows = entries.into_iter().map(|entry| {
        let hostname = entry.registration.as_ref().map(|new| new.hostname.clone()).unwrap_or_default();
        Row { place: entry.place, address: entry.address, hostname, fate: fate(entry.registration) }
    });
    rows.collect()
}

/// `POST /servers/import/preview`.
pub(crate) async fn preview(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(form): FormBody<ListForm>,
) -> Result<Response, Error> {
    match list::read(&form.list, &app.settings.target_policy) {
        Ok(entries) => {
            let rows = judge(entries, &app.fleet.view());
            page(StatusCode::OK, &ImportPage::new(&identity, rows, form.list, None))
        }
        Err(problem) => add::refused_list(&app, &identity, form.list, problem),
    }
}

/// `POST /servers/import`: adds what is new.
pub(crate) async fn import(
    State(app): State<Shared>,
    identity: Identity,
    FormBody(form): FormBody<ListForm>,
) -> Result<Response, Error> {
    let entries = match list::read(&form.list, &app.settings.target_policy) {
        Ok(entries) => entries,
        Err(problem) => return add::refused_list(&app, &identity, form.list, problem),
    };
    let started = Instant::now();
    let (mut changes, mut problem) = (Vec::new(), None);
    for row in judge(entries, &app.fleet.view()) {
        let Fate::New(new) = row.fate else { continue };
        if started.elapsed() > BUDGET {
            problem = Some("The store was too slow for the whole list; send it again for the rest".to_owned());
            break;
        }
        match servers::add(&app, *new).await {
            Ok((_, change)) => changes.extend(change),
            // Somebody else added it meanwhile: it will be shown as known.
            Err(Error::Conflict(_)) => {}
            Err(error) => {
                problem = Some(format!("{error}; send the list again for the rest"));
                break;
            }
        }
    }
    let added = changes.len();
    let response = match problem {
        None => Redirect::to("/servers/add?done=imported").into_response(),
        Some(problem) => {
            let rows = list::read(&form.list, &app.settings.target_policy)
                .map(|entries| judge(entries, &app.fleet.view()))
                .unwrap_or_default();
            let problem = format!("{added} servers were added. {problem}.");
            page(StatusCode::SERVICE_UNAVAILABLE, &ImportPage::new(&identity, rows, form.list, Some(problem)))?
        }
    };
    Ok((Extension(Changes(changes)), response).into_response())
}

#[cfg(test)]
mod tests {
    use mect_fleet::TargetPolicy;

    use super::*;

    fn fates(text: &str) -> Vec<Fate> {
        judge(list::read(text, &TargetPolicy::default()).unwrap(), &FleetView::default())
            .into_iter()
            .map(|row| row.fate)
            .collect()
    }

    #[test]
    fn an_address_is_added_once() {
        let fates = fates("address\n192.0.2.1:9776\n192.0.2.1:9777\nnonsense\n");
        assert!(matches!(&fates[0], Fate::New(new) if new.ip == "192.0.2.1"));
        assert_eq!(fates[1], Fate::Refused("the list names this address before".into()));
        assert!(matches!(&fates[2], Fate::Refused(problem) if problem.contains("needs a port")));
    }
}
