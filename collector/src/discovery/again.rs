//! Other sources in the place of those that discovery has: the configuration was read again.

use std::path::PathBuf;
use std::time::Duration;

use mect_fleet::store::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::merge::fixed;
use super::{Candidate, refresh_of};
use crate::config::Config;

/// Reloads that wait: whoever asks waits for the answer anyway.
const QUEUE: usize = 4;

/// The sources that a configuration names.
pub struct Again {
    pub(super) fixed: Vec<Candidate>,
    pub(super) files: Vec<PathBuf>,
    pub(super) refresh: Duration,
}

impl Again {
    /// Those of `config`.
    pub fn of(config: &Config) -> Self {
        let files = config.file_sd.iter().flat_map(|file_sd| &file_sd.files).cloned();
        Self { fixed: fixed(config), files: files.collect(), refresh: refresh_of(config) }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Targets in use now.
    pub targets: usize,
    /// Files that cannot be used, and why.
    pub problems: Vec<String>,
}

/// Sources, and who waits for what comes of them.
pub(super) type Asked = (Again, oneshot::Sender<Result<Read, StoreError>>);

/// The way to a discovery that runs.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Asked>);

impl Reloads {
    pub(super) fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Has every source read again.
    ///
    /// # Errors
    /// The inventory refused the servers; `None`: discovery has ended.
    pub async fn reload(&self, sources: Again) -> Result<Read, Option<StoreError>> {
        let (answer, told) = oneshot::channel();
        self.0.send((sources, answer)).await.map_err(|_| None)?;
        told.await.map_err(|_| None)?.map_err(Some)
    }
}
