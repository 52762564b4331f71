//! Tells the journal who comes and goes. Leases cannot wait for that: a journal that does not answer is no reason to lose
//! them.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::store::{Event, EventKind, Journal, Member};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Events that wait for the journal; later ones are lost.
const WAITING: usize = 64;
/// The latest events, among which the last one of a collector is looked for.
const RECENT_EVENTS: usize = 200;
/// How far ahead of ours another collector's clock may be.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// Whether an event is news, given the last one that was told of the same collector.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// In any case.
    Always,
    /// Unless the last one was this.
    Unless(EventKind),
    /// If the last one was this.
    After(EventKind),
}

/// The way to the journal.
pub(super) struct Notes {
    events: mpsc::Sender<(Event, News)>,
    writer: JoinHandle<()>,
}

impl Notes {
    /// Starts the task that writes.
    pub(super) fn start(journal: Arc<dyn Journal>) -> Self {
        let (events, mut waiting) = mpsc::channel(WAITING);
        let writer = tokio::spawn(async move {
            while let Some((event, news)) = waiting.recv().await {
                if !is_news(&*journal, &event, news).await {
                    continue;
                }
                if let Err(error) = journal.append_events(vec![event]).await {
                    tracing::debug!(%error, "an event was not kept");
                }
            }
        });
        Self { events, writer }
    }

    /// Says what happened to a collector.
    pub(super) fn tell(&self, kind: EventKind, member: &Member, news: News) {
        // Incidents tell by it who is back.
        let detail = format!("{} ({})", member.name, member.id);
        let event = Event { at: Timestamp::now(), kind, server: None, detail };
        if self.events.try_send((event, news)).is_err() {
            tracing::debug!("the journal does not answer; an event was not kept");
        }
    }

    /// Waits until all is written.
    pub(super) async fn finish(self) {
        drop(self.events);
        // One that panicked has told so.
        let _ = self.writer.await;
    }
}

async fn is_news(journal: &dyn Journal, event: &Event, news: News) -> bool {
    let (kind, wanted) = match news {
        News::Always => return true,
        News::Unless(kind) => (kind, false),
        News::After(kind) => (kind, true),
    };
    let newest = journal.events(None, event.at + CLOCKS_APART, RECENT_EVENTS).await.unwrap_or_default();
    let last = newest.into_iter().find(|told| told.detail == event.detail).map(|told| told.kind);
    (last == Some(kind)) == wanted
}
