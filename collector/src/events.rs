//! Tells the journal what happens to servers. Scraping never waits for that.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{Event, EventKind, Journal};
use mect_fleet::{ServerId, Timestamp};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Events that wait for the journal; later ones are only logged. A fleet whose hosts all changed tells of a part of them.
const WAITING: usize = 1024;
/// An event that the journal did not take is tried again after this pause.
const RETRY: Duration = Duration::from_secs(10);
/// What waits when the collector stops is written within this time, or not at all.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// The way to the journal.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Event>);

/// What waits for the journal.
#[derive(Debug)]
pub struct Waiting(mpsc::Receiver<Event>);

impl Events {
    /// The way, and its end.
    pub fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Waiting(receiver))
    }

    /// Tells what happened to a server, also in the log.
    pub fn tell(&self, kind: EventKind, server: ServerId, at: Timestamp, detail: &str) {
        tracing::warn!(%server, event = kind.name(), detail, "told to the journal");
        let event = Event { at, kind, server: Some(server), detail: detail.to_owned() };
        if self.0.try_send(event).is_err() {
            tracing::warn!(%server, "the journal does not answer; an event was not kept");
        }
    }
}

impl Waiting {
    /// Writes events until `stop`, and what waits then.
    pub async fn write(mut self, journal: Arc<dyn Journal>, stop: CancellationToken) {
        let mut rest = Vec::new();
        while let Some(Some(event)) = stop.run_until_cancelled(self.0.recv()).await {
            let written = stop.run_until_cancelled(async {
                while let Err(error) = journal.append_events(vec![event.clone()]).await {
                    tracing::debug!(%error, "the journal does not take an event; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            });
            if written.await.is_none() {
                rest.push(event);
                break;
            }
        }
        while let Ok(event) = self.0.try_recv() {
            rest.push(event);
        }
        if rest.is_empty() {
            return;
        }
        match timeout(LAST_WITHIN, journal.append_events(rest)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "events of the last moment were not kept"),
            Err(_elapsed) => tracing::warn!("events of the last moment were not kept: the journal does not answer"),
        }
    }
}
