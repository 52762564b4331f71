//! Other sources in the place of those that discovery has: the configuration was read again.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::merge::fixed;
use super::{Candidate, refresh_of};
use crate::config::{Config, HttpSd};

/// Reloads that wait: whoever asks waits for the answer anyway.
const QUEUE: usize = 4;

/// The sources that a configuration names.
pub struct Again {
    pub(super) fixed: Vec<Candidate>,
    pub(super) files: Vec<PathBuf>,
    pub(super) lists: Vec<HttpSd>,
    pub(super) refresh: Duration,
}

impl Again {
    /// Those of `config`.
    pub fn of(config: &Config) -> Self {
        let files = config.file_sd.iter().flat_map(|file_sd| &file_sd.files).cloned();
        Self {
            fixed: fixed(config),
            files: files.collect(),
            lists: config.http_sd.clone(),
            refresh: refresh_of(config),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Targets in use now.
    pub targets: usize,
    /// Sources that cannot be used, and why.
    pub problems: Vec<String>,
}

/// Sources, and who waits for what comes of them.
pub(super) type Asked = (Again, oneshot::Sender<Read>);

/// The way to a discovery that runs.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Asked>);

impl Reloads {
    pub(super) fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Has every source read again. `None`: discovery has ended.
    pub async fn reload(&self, sources: Again) -> Option<Read> {
        let (answer, told) = oneshot::channel();
        self.0.send((sources, answer)).await.ok()?;
        told.await.ok()
    }
}
