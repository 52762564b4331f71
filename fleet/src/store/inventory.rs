//! The inventory role: which servers there are, and what the operator wants of them.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;

use super::Result;
use crate::server::{FlagsPatch, Layer, Origin, Place, ScrapeTarget, Server, ServerId, ServerPatch, Tag};
use crate::time::Timestamp;

/// What a source says of a server that it names: discovery, an operator who adds one, a host that announces itself, an
/// agent of the old system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Address: the key by which a server is found again.
    pub ip: String,
    /// Which source says name and place. Default: labels.
    pub origin: Origin,
    /// Name for people; empty when the source gives none.
    pub hostname: String,
    /// Where it stands.
    pub place: Place,
    /// An agent of the old system reports it.
    pub pushed: bool,
    /// Flags of a server that is new; a known one keeps what the operator set. So it is with all that follows.
    pub flags: FlagsPatch,
    /// Never deleted for silence.
    pub is_static: bool,
    /// See [`Server::tags`].
    pub tags: BTreeSet<Tag>,
    /// See [`Server::notes`].
    pub notes: String,
    /// See [`Server::capacity_bytes_per_second`].
    pub capacity_bytes_per_second: Option<u64>,
    /// See [`Server::target`].
    pub target: Option<ScrapeTarget>,
    /// See [`Server::awaits_approval`].
    pub awaits_approval: bool,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            ip: String::new(),
            origin: Origin::Labels,
            hostname: String::new(),
            place: Place::default(),
            pushed: false,
            flags: FlagsPatch::default(),
            is_static: false,
            tags: BTreeSet::new(),
            notes: String::new(),
            capacity_bytes_per_second: None,
            target: None,
            awaits_approval: false,
        }
    }
}

impl Registration {
    /// True when a known server would be none the wiser.
    pub fn says_nothing_new(&self, known: &Server) -> bool {
        let mut told = known.clone();
        self.renew(&mut told);
        told == *known
    }

    /// Tells a known server what the source says now.
    pub(crate) fn renew(&self, server: &mut Server) {
        let before = server.clone();
        let layer = Layer { hostname: self.hostname.clone(), place: self.place.clone() };
        *server.layers.get_mut(self.origin) = layer;
        server.pushed = self.pushed;
        // Whom the configuration names is let in; whoever reports by itself is not.
        server.awaits_approval &= self.awaits_approval || self.pushed;
        server.settle(&before);
    }
}

/// The servers we know, and what the operator wants of them. Addresses are unique.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Every server.
    async fn servers(&self) -> Result<Vec<Server>>;

    /// Makes every registration known, in one step, and returns the servers in the same order. A known address keeps
    /// its identity and flags; of name and place it takes what the registration's source says now.
    async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>>;

    /// Adds one server; [`StoreError::Conflict`](super::StoreError::Conflict) when its address is taken.
    async fn create_server(&self, registration: Registration, now: Timestamp) -> Result<Server>;

    /// Sets flags of the server with that address; `None` when there is none. Never loses a concurrent change.
    async fn set_flags(&self, ip: &str, patch: FlagsPatch) -> Result<Option<Server>>;

    /// Changes what `patch` names; `None` when there is no such server,
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when its new address is taken,
    /// [`StoreError::Outdated`](super::StoreError::Outdated) when it has another revision than the patch asks for.
    /// Never loses a concurrent change of another field.
    async fn edit_server(&self, id: ServerId, patch: ServerPatch) -> Result<Option<Server>>;

    /// Changes many servers; those that are gone are left aside. Returns the others as they are now. None of the
    /// patches may give another address. One that asks for a revision which the server no longer has fails the whole.
    async fn edit_servers(&self, edits: Vec<(ServerId, ServerPatch)>) -> Result<Vec<Server>>;

    /// Forgets a server and its standing; false when there is none. Its history goes with retention.
    async fn delete_server(&self, id: ServerId) -> Result<bool>;

    /// Forgets every server that is neither static nor in `keep` and gave its last sign of life (heartbeat, or
    /// registration if it never had one) before `oldest`. Returns them. A store that adopts servers counts their
    /// adoption as a sign of life too.
    async fn delete_silent(&self, oldest: Timestamp, keep: &HashSet<ServerId>) -> Result<Vec<Server>>;
}
