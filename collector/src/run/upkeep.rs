//! What happens by the clock, beside scraping: snapshots are published, old history goes, silent servers are forgotten.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{Event, EventKind, Journal, Recorder, Store, StoreError};
use mect_fleet::{Fleet, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::DAY;
use crate::config;
use crate::watch::Unverified;

/// A new snapshot is shown at most this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// History is compressed and what is old deleted this often.
const MAINTAIN_EVERY: Duration = Duration::from_secs(300);
/// An event that the journal did not take is tried again after this pause.
const JOURNAL_RETRY: Duration = Duration::from_secs(10);

/// Publishes snapshots until `stop`.
pub(super) async fn publish(fleet: Arc<Fleet>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PUBLISH_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        fleet.publish(Timestamp::now());
    }
}

/// Writes into the journal when a collector can no longer verify its servers, and when it can again, until `stop`.
pub(super) async fn tell_unverified(
    mut unverified: watch::Receiver<Unverified>,
    journal: Arc<dyn Journal>,
    stop: CancellationToken,
) {
    let mut since = None;
    while let Some(Ok(())) = stop.run_until_cancelled(unverified.changed()).await {
        let now = *unverified.borrow_and_update();
        if now.since.is_some() == since.is_some() {
            continue;
        }
        let (at, kind, detail) = match (now.since, since) {
            (Some(at), _) => {
                let detail = "nobody else answers, or most servers fail at once: our own network may be to blame";
                tracing::warn!(servers = now.servers, detail, "servers cannot be verified");
                (at, EventKind::Unverified, format!("{detail}; servers keep their state"))
            }
            (None, Some(since)) => {
                let detail = format!("every server is verified again, after {:?}", Timestamp::now().since(since));
                tracing::info!(detail, "servers are verified");
                (Timestamp::now(), EventKind::Verified, detail)
            }
            (None, None) => continue,
        };
        since = now.since;
        let event = Event { at, kind, server: None, detail };
        // Our network may be cut off from the store too: tried until it takes the event.
        let written = stop.run_until_cancelled(async {
            while let Err(error) = journal.append_events(vec![event.clone()]).await {
                tracing::debug!(%error, "the journal does not take an event; trying again");
                tokio::time::sleep(JOURNAL_RETRY).await;
            }
        });
        if written.await.is_none() {
            return;
        }
    }
}

/// Keeps the store in order.
pub(super) struct Maintenance {
    recorder: Arc<dyn Recorder>,
    journal: Arc<dyn Journal>,
    fleet: Arc<Fleet>,
    retention: Duration,
    /// After this time without a sign of life a server is forgotten; `None`: never.
    silence: Option<Duration>,
}

impl Maintenance {
    pub(super) fn new(settings: &config::Store, store: &Store, fleet: Arc<Fleet>) -> Self {
        let days = |days: u32| Duration::from_secs(u64::from(days) * DAY);
        Self {
            recorder: store.recorder.clone(),
            journal: store.journal.clone(),
            fleet,
            retention: super::retention(settings),
            silence: (settings.delete_silent_days > 0).then(|| days(settings.delete_silent_days)),
        }
    }

    /// Does it every few minutes until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(MAINTAIN_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // A store that is away has nothing to keep in order, and says so itself.
            if !self.fleet.store_state().is_lost()
                && let Err(error) = self.once(Timestamp::now()).await
            {
                tracing::error!(%error, "the store was not kept in order; trying again later");
            }
        }
    }

    async fn once(&self, now: Timestamp) -> Result<(), StoreError> {
        let done = self.recorder.maintain(now, now - self.retention).await?;
        tracing::debug!(?done, "history maintained");
        let Some(silence) = self.silence else { return Ok(()) };
        let forgotten = self.fleet.delete_silent(now - silence, now).await?;
        let events = forgotten.into_iter().map(|server| {
            let detail = format!(
                "{} ({}) gave no sign of life for {} days",
                server.hostname,
                server.ip,
                silence.as_secs() / DAY
            );
            tracing::info!(server = %server.id, detail, "server forgotten");
            Event { at: now, kind: EventKind::ServerRemoved, server: Some(server.id), detail }
        });
        let events: Vec<_> = events.collect();
        if events.is_empty() { Ok(()) } else { self.journal.append_events(events).await }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mect_fleet::store::embedded::{Embedded, Options};
    use mect_fleet::store::{Registration, story};

    use super::*;

    #[tokio::test]
    async fn the_silent_are_forgotten_but_for_the_scraped_and_the_static() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(directory.path(), Options::default()).unwrap()));
        let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
        let now = Timestamp::now();
        let days = |days: u64| Duration::from_secs(days * DAY);
        let old = vec![
            story::registration(1),
            Registration { is_static: true, ..story::registration(2) },
            story::registration(3),
        ];
        let old = fleet.register(old, now - days(40)).await.unwrap();
        let young = fleet.register(vec![story::registration(4)], now - days(20)).await.unwrap();
        fleet.set_monitored(&HashSet::from([old[2].id]), now);
        let kept = || fleet.view().servers().iter().map(|view| view.server.id).collect::<HashSet<_>>();

        let never = config::Store { delete_silent_days: 0, ..config::Store::default() };
        Maintenance::new(&never, &store, fleet.clone()).once(now).await.unwrap();
        assert_eq!(kept().len(), 4);
        Maintenance::new(&config::Store::default(), &store, fleet.clone()).once(now).await.unwrap();
        assert_eq!(kept(), HashSet::from([old[1].id, old[2].id, young[0].id]));
        let events = store.journal.events(None, now + days(1), 10).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind, events[0].server), (EventKind::ServerRemoved, Some(old[0].id)));
        assert!(events[0].detail.contains("no sign of life for 30 days"), "{events:?}");
    }
}
