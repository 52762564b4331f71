//! Changes of the inventory: durable first, then shown.
//!
//! Who asked for a change may give up waiting for the store. What the store was asked for goes on all the same, and is
//! shown once it is durable: an edit that was made and cannot be seen would be made again.

use std::collections::HashSet;
use std::sync::Arc;

use super::Fleet;
use crate::peers::News;
use crate::server::{FlagsPatch, Server, ServerId, ServerPatch};
use crate::store::{Registration, Result, StoreError};
use crate::time::Timestamp;

impl Fleet {
    /// Makes discovered servers known, durably, and publishes them.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn register(self: &Arc<Self>, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        self.to_the_end(move |fleet| async move {
            let servers = fleet.inventory.register(registrations, now).await?;
            fleet.working().put(&servers);
            fleet.publish_edit(now);
            Ok(servers)
        })
        .await
    }

    /// Operator intent: sets flags of the server with that address, durably, and publishes it. `None`: no such server.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn set_flags(self: &Arc<Self>, ip: &str, patch: FlagsPatch, now: Timestamp) -> Result<Option<Server>> {
        let ip = ip.to_owned();
        self.to_the_end(move |fleet| async move { Ok(fleet.show(fleet.inventory.set_flags(&ip, patch).await?, now)) })
            .await
    }

    /// Operator intent: adds a server, durably, and publishes it.
    ///
    /// # Errors
    /// [`Conflict`](StoreError::Conflict) when another server has that address, or the inventory refused; nothing changed.
    pub async fn create(self: &Arc<Self>, registration: Registration, now: Timestamp) -> Result<Server> {
        self.to_the_end(move |fleet| async move {
            let server = fleet.inventory.create_server(registration, now).await?;
            fleet.show(Some(server.clone()), now);
            Ok(server)
        })
        .await
    }

    /// Operator intent: changes a server, durably, and publishes it. `None`: no such server.
    ///
    /// # Errors
    /// [`Conflict`](StoreError::Conflict) when another server has that address, or the inventory refused; nothing changed.
    pub async fn edit(self: &Arc<Self>, id: ServerId, patch: ServerPatch, now: Timestamp) -> Result<Option<Server>> {
        self.to_the_end(move |fleet| async move { Ok(fleet.show(fleet.inventory.edit_server(id, patch).await?, now)) })
            .await
    }

    /// Operator intent: changes several servers, durably, and publishes them. Returns those that are known, as they are
    /// now.
    ///
    /// # Errors
    /// The inventory refused; some may be changed all the same, and are seen later.
    pub async fn edit_many(
        self: &Arc<Self>,
        edits: Vec<(ServerId, ServerPatch)>,
        now: Timestamp,
    ) -> Result<Vec<Server>> {
        self.to_the_end(move |fleet| async move {
            let servers = fleet.inventory.edit_servers(edits).await?;
            fleet.working().put(&servers);
            fleet.publish_edit(now);
            Ok(servers)
        })
        .await
    }

    /// Operator intent: forgets a server, durably, and publishes the fleet without it. False: no such server.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn delete(self: &Arc<Self>, id: ServerId, now: Timestamp) -> Result<bool> {
        self.to_the_end(move |fleet| async move {
            let existed = fleet.inventory.delete_server(id).await?;
            fleet.working().retain(|known| known != id);
            fleet.publish_edit(now);
            Ok(existed)
        })
        .await
    }

    /// Forgets servers that have been silent since before `oldest`, durably, and publishes the fleet without them.
    /// Those that are scraped stay, and static ones. Returns the forgotten.
    ///
    /// # Errors
    /// The inventory refused; nothing changed.
    pub async fn delete_silent(self: &Arc<Self>, oldest: Timestamp, now: Timestamp) -> Result<Vec<Server>> {
        self.to_the_end(move |fleet| async move {
            let monitored: HashSet<_> =
                fleet.working().servers.iter().filter(|view| view.monitored).map(|view| view.server.id).collect();
            let deleted = fleet.inventory.delete_silent(oldest, &monitored).await?;
            let gone: HashSet<_> = deleted.iter().map(|server| server.id).collect();
            fleet.working().retain(|id| !gone.contains(&id));
            fleet.publish_edit(now);
            Ok(deleted)
        })
        .await
    }

    /// Takes over a server as the store has it now, if it has it.
    fn show(&self, server: Option<Server>, now: Timestamp) -> Option<Server> {
        if let Some(server) = &server {
            self.working().put(std::slice::from_ref(server));
            self.publish_edit(now);
        }
        server
    }

    /// Publishes what was edited here, and lets the other collectors look.
    fn publish_edit(&self, now: Timestamp) {
        self.publish(now);
        self.peers.tell(News::Inventory);
    }

    /// One edit after the other, each to its end, whether anybody waits for it or not.
    async fn to_the_end<T, F>(self: &Arc<Self>, edit: impl FnOnce(Arc<Self>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let edit = edit(Arc::clone(self));
        let fleet = Arc::clone(self);
        let edited = tokio::spawn(async move {
            let _editing = fleet.editing.lock().await;
            edit.await
        });
        match edited.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(edited) => edited,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => Err(StoreError::Backend("the collector is stopping".into())),
        }
    }
}
