//! Tells the web side how this installation is put together.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::Timestamp;
use mect_fleet::installation::{Database, Facts, Installation, Share, StoreKind};
use mect_fleet::redis::Link;
use mect_fleet::store::Store;
use tokio::sync::watch;

use super::{limits, retention};
use crate::config::Config;
use crate::discovery::Problems;

/// What is known from the start, and where the rest is read.
pub(super) struct Told {
    pub(super) store: StoreKind,
    pub(super) share: Option<watch::Receiver<Share>>,
    pub(super) redis: Option<Arc<Link>>,
    pub(super) databases: Option<watch::Receiver<Vec<Database>>>,
    problems: watch::Receiver<Problems>,
    started_at: Timestamp,
    retention: Duration,
    canaries: usize,
}

impl Told {
    pub(super) fn new(
        config: &Config,
        store: &Store,
        started_at: Timestamp,
        problems: watch::Receiver<Problems>,
    ) -> Self {
        Self {
            store: if store.shared.is_some() { StoreKind::Mongo } else { StoreKind::Embedded },
            share: None,
            redis: None,
            databases: None,
            problems,
            started_at,
            retention: retention(&config.store),
            canaries: config.guard.canaries.len(),
        }
    }
}

impl Installation for Told {
    fn facts(&self) -> Facts {
        let problems = self.problems.borrow().clone();
        Facts {
            started_at: self.started_at,
            store: self.store,
            retention: self.retention,
            redis: self.redis.as_ref().map(|link| link.is_up()),
            share: self.share.as_ref().map(|share| share.borrow().clone()),
            databases: self.databases.as_ref().map(|databases| databases.borrow().clone()).unwrap_or_default(),
            bad_target_files: problems.files,
            bad_target_lists: problems.lists,
            canaries: self.canaries,
            open_files: (limits::open_files(), limits::open_files_allowed()),
        }
    }
}
