//! One change of many servers.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use mect_fleet::{FleetView, ServerId, ServerPatch, ServerView, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::app::{App, Shared};
use crate::audit::{self, Changes};
use crate::error::Error;
use crate::extract::JsonBody;
use crate::patience;
use crate::rest::v1::servers::body::Change;
use crate::rest::v1::servers::filter::Filter;
use crate::rest::v1::servers::intent::Intent;

/// Servers changed by one call to the store: it must end well within a request's patience.
const AT_ONCE: usize = 1000;
/// Servers that one request may change. A larger fleet takes several, each with a filter of its own.
const MAX_MATCHED: usize = 10_000;
/// Servers that one entry of the audit tells of.
const PER_ENTRY: usize = 100;
/// Identities that an answer names.
const NAMED: usize = 100;

/// What is to become of which servers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"filter": {"country": ["DE"]}, "change": {"add_tags": ["eu"]}, "dry_run": true}))]
pub(crate) struct BulkEdit {
    /// Which servers.
    filter: Filter,
    /// An empty filter means every server only if this says so.
    #[serde(default)]
    all: bool,
    /// What to change; neither address, name nor target.
    #[serde(default)]
    change: Change,
    /// What the operator wants of them.
    #[serde(default)]
    intent: Option<Intent>,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
    /// Change nothing unless so many servers match: what a dry run said.
    #[serde(default)]
    expect: Option<usize>,
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkDone {
    /// Nothing was changed.
    dry_run: bool,
    /// Servers that match.
    matched: usize,
    /// Servers that differ from before; of a dry run those that would.
    changed: usize,
    /// Identities of the first hundred that match, by host name.
    ids: Vec<String>,
}

/// Changes every server that matches, or only counts them.
#[utoipa::path(
    post, path = "/api/v1/servers/bulk", tag = "servers", operation_id = "edit_servers", request_body = BulkEdit,
    responses(
        (status = 200, description = "Counted, and changed unless it was a dry run", body = BulkDone),
        (status = 400, description = "Nothing is to be changed, or the request cannot be read"),
        (status = 409, description = "Another number of servers matches than expected"),
    )
)]
pub(crate) async fn edit(
    State(app): State<Shared>,
    JsonBody(edit): JsonBody<BulkEdit>,
) -> Result<(Extension<Changes>, Result<Json<BulkDone>, Error>), Error> {
    let BulkEdit { filter, all, change, intent, dry_run, expect } = edit;
    if filter.is_empty() && !all {
        return Err(Error::Invalid("filter: empty; to mean every server say \"all\": true".to_owned()));
    }
    if change.names_one_server() {
        let reason = "ip, hostname and target belong to one server; change them one by one";
        return Err(Error::Invalid(format!("change: {reason}")));
    }
    let now = Timestamp::now();
    let mut patch = change.patch(&app.settings.target_policy)?;
    if let Some(intent) = intent {
        let wanted = intent.patch(None, now)?;
        patch = ServerPatch { draining: wanted.draining, maintenance: wanted.maintenance, ..patch };
        patch.flags.enabled = wanted.flags.enabled;
    }
    if patch.is_empty() {
        return Err(Error::NothingToUpdate);
    }
    let filter = filter.lower();
    let plan = Plan::of(&app, patch, move |view| filter.admits(view)).await?;
    plan.check(expect, !dry_run)?;
    let (told, changed) =
        if dry_run { (Changes(Vec::new()), Ok(plan.changes())) } else { plan.carry_out(&app, now).await };
    let ids = plan.matched.iter().take(NAMED).map(|(id, _)| id.to_string()).collect();
    let done = changed.map(|changed| Json(BulkDone { dry_run, matched: plan.matched.len(), changed, ids }));
    Ok((Extension(told), done))
}

/// One change of many servers, before it is made.
pub(crate) struct Plan {
    patch: ServerPatch,
    /// The fleet that was looked at.
    before: Arc<FleetView>,
    /// The servers that are meant, by host name, each with whether it would differ.
    pub(crate) matched: Vec<(ServerId, bool)>,
}

impl Plan {
    /// `patch` for every server that `admits` lets through.
    pub(crate) async fn of(
        app: &App,
        patch: ServerPatch,
        admits: impl Fn(&ServerView) -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let before = app.fleet.view();
        let (view, tried) = (Arc::clone(&before), patch.clone());
        let matched = spawn_blocking(move || {
            let differs = |view: &ServerView| {
                let mut server = (*view.server).clone();
                tried.clone().apply(&mut server);
                server != *view.server
            };
            let matched = view.servers().iter().filter(|view| admits(view));
            matched.map(|view| (view.server.id, differs(view))).collect()
        });
        Ok(Self { patch, before, matched: matched.await.map_err(|error| Error::Internal(Box::new(error)))? })
    }

    /// Servers that would differ from before.
    pub(crate) fn changes(&self) -> usize {
        self.differing().count()
    }

    fn differing(&self) -> impl Iterator<Item = ServerId> {
        self.matched.iter().filter(|(_, differs)| *differs).map(|(id, _)| *id)
    }

    /// Refuses it if other servers match than `expected`, or if it is `to_be_made` and they are too many.
    pub(crate) fn check(&self, expected: Option<usize>, to_be_made: bool) -> Result<(), Error> {
        let found = self.matched.len();
        if found > MAX_MATCHED && to_be_made {
            let reason = format!("matches {found} servers, one request changes at most {MAX_MATCHED}");
            return Err(Error::Invalid(format!("filter: {reason}")));
        }
        let other = expected.filter(|expected| *expected != found);
        let refusal = |expected: usize| format!("{found} servers match, not {expected}; nothing was changed");
        other.map_or(Ok(()), |expected| Err(Error::Conflict(refusal(expected))))
    }

    /// Makes the change; tells the audit what was changed, also where it broke off, and how many servers differ from
    /// before.
    pub(crate) async fn carry_out(&self, app: &App, now: Timestamp) -> (Changes, Result<usize, Error>) {
        let (mut told, mut changed) = (Vec::new(), 0);
        for ids in self.differing().collect::<Vec<_>>().chunks(AT_ONCE) {
            let edits = ids.iter().map(|id| (*id, self.patch.clone())).collect();
            let after = match patience::long(app.fleet.edit_many(edits, now)).await {
                Ok(after) => after,
                Err(error) => return (Changes(told), Err(error)),
            };
            changed += after.len();
            told.extend(after.chunks(PER_ENTRY).map(|servers| {
                let pairs = servers.iter().map(|after| (self.before.by_id(after.id).map(|view| &*view.server), after));
                audit::Change::of_servers("server.edit_many", &pairs.collect::<Vec<_>>())
            }));
        }
        (Changes(told), Ok(changed))
    }
}
