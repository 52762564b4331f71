//! Reads configuration, target files and the agent key again, by `POST /-/reload` or SIGHUP.

use std::sync::Arc;

use async_trait::async_trait;
use mect_fleet::collecting::{NotReloaded, Reload, Reloaded};
use mect_web::AgentKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Source, Variables};
use crate::discovery::{Again, Reloads};
use crate::scrape::Accesses;

/// Sections that hold as soon as they are read. All else is built into parts that run.
const AT_ONCE: [&str; 4] = ["access", "file_sd", "http_sd", "targets"];

/// Reads them again.
pub(super) struct Reloader {
    /// What is in force. Held while it is read again: one at a time.
    in_force: Mutex<Source>,
    discovery: Reloads,
    accesses: Arc<Accesses>,
    agent_key: AgentKey,
}

impl Reloader {
    pub(super) fn new(source: Source, discovery: Reloads, accesses: Arc<Accesses>, agent_key: AgentKey) -> Arc<Self> {
        Arc::new(Self { in_force: Mutex::new(source), discovery, accesses, agent_key })
    }

    /// Reloads at every SIGHUP until `stop`.
    pub(super) async fn at_hangups(self: Arc<Self>, stop: CancellationToken) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::warn!(%error, "SIGHUP is not heard; use POST /-/reload");
                return stop.cancelled().await;
            }
        };
        while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
            // What came of it is in the log.
            let _ = self.reload().await;
        }
        stop.cancelled().await;
    }

    async fn read_again(&self) -> Result<Reloaded, NotReloaded> {
        let refused = |error: ConfigError| NotReloaded(error.to_string());
        let mut in_force = self.in_force.lock().await;
        let path = in_force.path().map(ToOwned::to_owned);
        let read = spawn_blocking(move || Config::load(path.as_deref(), &Variables::of_process()?)).await;
        let config = read.map_err(|error| NotReloaded(error.to_string()))?.map_err(refused)?;
        let agent_key = config.secrets.agent_api_key.as_ref();
        self.accesses.replace(&config.access, agent_key).map_err(refused)?;
        self.agent_key.set(agent_key.cloned());
        let again = self.discovery.reload(Again::of(&config)).await;
        let again = again.ok_or_else(|| NotReloaded("the collector is stopping".to_owned()))?;
        let changed = in_force.differing(&config.source);
        let (taken, needs_restart) = changed.into_iter().partition(|key| AT_ONCE.contains(&key.as_str()));
        *in_force = AT_ONCE.iter().fold(in_force.clone(), |source, section| source.with(section, &config.source));
        Ok(Reloaded { targets: again.targets, taken, needs_restart, problems: again.problems })
    }
}

#[async_trait]
impl Reload for Reloader {
    async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        let reloaded = self.read_again().await;
        match &reloaded {
            Ok(Reloaded { targets, taken, needs_restart, problems }) => {
                tracing::info!(targets, ?taken, ?needs_restart, ?problems, "configuration and target files read again");
            }
            Err(error) => tracing::error!(%error, "configuration not read again; what was in force stays"),
        }
        reloaded
    }
}
