//! What the store tells of a server's past, as far as it does so in time: the page is shown without it all the same.

use std::future::Future;
use std::time::Duration;

use mect_fleet::series::Bucket;
use mect_fleet::{ServerId, Timestamp, Transition};

use crate::app::App;
use crate::error::Error;
use crate::patience;
use crate::rest::v1::events::{self, EventView};
use crate::rest::v1::history;

use super::charts::Span;

/// The past is a courtesy of this page: it never waits longer for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Events shown.
const EVENTS: usize = 20;

/// What is known of the past; `None` for what could not be asked.
pub(super) struct Past {
    pub(super) buckets: Option<Vec<Bucket>>,
    /// Oldest first.
    pub(super) flips: Option<Vec<Transition>>,
    /// Newest first.
    pub(super) events: Option<Vec<EventView>>,
}

impl Past {
    pub(super) async fn of(app: &App, id: ServerId, span: Span, now: Timestamp) -> Self {
        if app.fleet.store_state().is_lost() {
            return Self { buckets: None, flips: None, events: None };
        }
        let series = patience::long(app.history.series(id, span.range(now), span.step()));
        let (buckets, flips, events) = tokio::join!(
            in_time("charts", series),
            in_time("uptime", history::flips(app, id)),
            in_time("events", events::latest(app, id, EVENTS)),
        );
        Self { buckets, flips, events }
    }
}

async fn in_time<T>(what: &str, question: impl Future<Output = Result<T, Error>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a server's page is shown without its {what}");
            None
        }
        Err(_) => {
            tracing::warn!("a server's page is shown without its {what}: the store did not tell them in time");
            None
        }
    }
}
