//! Heartbeats that agents of the old system send, on their way to the engine.
//!
//! A heartbeat may arrive at any collector, but only the one that holds the lease on its server's shard judges it. Where
//! it is another one, it is left for it in the store, where each looks for those that concern him.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mect_fleet::collecting::{Heartbeats, Push};
use mect_fleet::store::{Mailbox, Registration, Result, StoreError};
use mect_fleet::{Fleet, Reading, ServerId, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::discovery::TargetSet;

/// Heartbeats on their way to the engine; who sends more waits.
const QUEUE: usize = 256;
/// A heartbeat that was left is found within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is durable a moment later than this was not recorded: the agent hears that the store does not answer.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// The engine's end.
pub type Pushes = mpsc::Receiver<Push>;

/// Takes heartbeats.
pub struct Receiver {
    fleet: Arc<Fleet>,
    /// The servers that this collector judges.
    ours: watch::Receiver<TargetSet>,
    engine: mpsc::Sender<Push>,
    /// Where other collectors find theirs.
    mailbox: Option<Arc<dyn Mailbox>>,
}

impl Receiver {
    /// A receiver, and what the engine reads from it.
    pub fn new(
        fleet: Arc<Fleet>,
        ours: watch::Receiver<TargetSet>,
        mailbox: Option<Arc<dyn Mailbox>>,
    ) -> (Arc<Self>, Pushes) {
        let (engine, pushes) = mpsc::channel(QUEUE);
        (Arc::new(Self { fleet, ours, engine, mailbox }), pushes)
    }

    /// Takes what others left for us, until `stop`. Ends at once where nobody shares the store.
    pub async fn collect(self: Arc<Self>, stop: CancellationToken) {
        let Some(mailbox) = self.mailbox.clone() else { return stop.cancelled().await };
        let mut taken: HashMap<ServerId, Timestamp> = HashMap::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let left = match mailbox.recent().await {
                Ok(left) => left,
                Err(error) => {
                    tracing::debug!(%error, "heartbeats left by other collectors cannot be read; trying again");
                    continue;
                }
            };
            taken.retain(|server, _| left.iter().any(|push| push.server == *server));
            let fresh = left.into_iter().filter(|push| taken.get(&push.server).is_none_or(|at| *at < push.at));
            let ours: Vec<_> = fresh.filter(|push| self.judges(push.server)).collect();
            for push in ours {
                taken.insert(push.server, push.at);
                if self.engine.send(push).await.is_err() {
                    return;
                }
            }
        }
    }

    fn judges(&self, server: ServerId) -> bool {
        self.ours.borrow().iter().any(|target| target.server == server && target.page.is_none())
    }

    /// The server as the inventory knows it then; `None` when it is scraped.
    async fn known(&self, registration: Registration, now: Timestamp) -> Result<Option<ServerId>> {
        let view = self.fleet.view();
        if let Some(known) = view.by_ip(&registration.ip) {
            let is_scraped = known.server.target.is_some() || (known.monitored && !known.server.pushed);
            if is_scraped {
                return Ok(None);
            }
            if registration.says_nothing_new(&known.server) {
                return Ok(Some(known.server.id));
            }
        }
        let servers = self.fleet.register(vec![registration], now).await?;
        Ok(servers.first().map(|server| server.id))
    }

    /// Waits until the view shows what is durable.
    async fn recorded(&self, push: &Push) -> Result<()> {
        let mut views = self.fleet.subscribe();
        let is_shown = |fleet: &Fleet| {
            fleet.standing(push.server).is_some_and(|standing| standing.last_heartbeat >= Some(push.at))
        };
        while !is_shown(&self.fleet) {
            if views.changed().await.is_err() {
                return Err(StoreError::Backend("the collector is stopping".into()));
            }
        }
        Ok(())
    }

    async fn deliver(&self, push: Push) -> Result<()> {
        if !self.judges(push.server) {
            if let Some(mailbox) = &self.mailbox {
                return mailbox.leave(&push).await;
            }
            // Just registered: discovery makes a target of it in a moment.
            let mut ours = self.ours.clone();
            let is_ours = |set: &TargetSet| set.iter().any(|target| target.server == push.server);
            let stopping = |_| StoreError::Backend("the collector is stopping".into());
            ours.wait_for(is_ours).await.map_err(stopping)?;
        }
        let sent = self.engine.send(push.clone()).await;
        sent.map_err(|_| StoreError::Backend("the collector is stopping".into()))?;
        self.recorded(&push).await
    }
}

#[async_trait]
impl Heartbeats for Receiver {
    async fn take(&self, registration: Registration, reading: Reading, at: Timestamp) -> Result<ServerId> {
        let ip = registration.ip.clone();
        let Some(server) = self.known(registration, at).await? else {
            let view = self.fleet.view();
            let scraped = view.by_ip(&ip).map(|view| view.server.id);
            return scraped.ok_or_else(|| StoreError::Conflict(format!("{ip} is being deleted")));
        };
        let late = |_| StoreError::Backend("a heartbeat was not recorded in time".into());
        tokio::time::timeout(RECORDED_WITHIN, self.deliver(Push { server, at, reading })).await.map_err(late)??;
        Ok(server)
    }
}
