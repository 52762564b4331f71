//! Discovery: which targets there are. Reads the sources, merges them, makes their servers known to the inventory and
//! hands the engine one complete set.
//!
//! Order of precedence where two sources name the same address: `[[targets]]`, then `[[file_sd]]` in the order of the
//! configuration. The later one is ignored and logged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{Fleet, ServerId, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Labels};

mod endpoint;
pub mod file_sd;

pub use endpoint::{Endpoint, InvalidEndpoint};
use file_sd::FileSource;

/// One scrape endpoint of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server behind it.
    pub server: ServerId,
    /// Where its page is.
    pub endpoint: Endpoint,
    /// The agent key may travel unencrypted to it.
    pub insecure_credentials: bool,
}

/// A complete set of targets, one per server.
pub type TargetSet = Arc<Vec<Target>>;

/// What a source says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where its page is.
    pub endpoint: Endpoint,
    /// What the source says of the server.
    pub labels: Labels,
}

/// The sources and what they said last.
pub struct Discovery {
    fixed: Vec<Candidate>,
    files: Vec<FileSource>,
    refresh: Duration,
    fleet: Arc<Fleet>,
    published: watch::Sender<TargetSet>,
}

impl Discovery {
    /// Sources as configured. Nothing is read yet.
    pub fn new(config: &Config, fleet: Arc<Fleet>) -> Self {
        let fixed = config
            .targets
            .iter()
            .filter_map(|entry| Some(Candidate { endpoint: entry.address.parse().ok()?, labels: entry.labels() }));
        let files = config.file_sd.iter().flat_map(|file_sd| &file_sd.files).map(FileSource::new);
        let refresh = config.file_sd.iter().map(|file_sd| file_sd.refresh_seconds).fold(f64::INFINITY, f64::min);
        Self {
            fixed: fixed.collect(),
            files: files.collect(),
            refresh: Duration::try_from_secs_f64(refresh).unwrap_or(Duration::MAX),
            fleet,
            published: watch::Sender::default(),
        }
    }

    /// Target sets as they change, the current one included.
    pub fn subscribe(&self) -> watch::Receiver<TargetSet> {
        self.published.subscribe()
    }

    /// Reads every source that changed and publishes the new set. A source that cannot be read keeps its last good
    /// content and is logged.
    ///
    /// # Errors
    /// The inventory refused the servers; the set stays as it was and the next call tries again.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        let mut changed = self.published.borrow().is_empty() && !self.fixed.is_empty();
        for file in &mut self.files {
            match file.refresh() {
                Ok(new) => changed |= new,
                Err(error) => tracing::warn!(%error, "target file not used; its last good content stays in force"),
            }
        }
        if !changed {
            return Ok(());
        }
        let candidates = merge(self.fixed.iter().chain(self.files.iter().flat_map(FileSource::candidates)));
        let published = self.publish(candidates).await;
        if published.is_err() {
            self.files.iter_mut().for_each(FileSource::forget);
        }
        published
    }

    async fn publish(&self, candidates: Vec<&Candidate>) -> Result<(), StoreError> {
        let registrations = candidates.iter().map(|candidate| registration(candidate)).collect();
        let servers = self.fleet.register(registrations, Timestamp::now()).await?;
        let targets: Vec<_> = candidates
            .into_iter()
            .zip(servers)
            .map(|(candidate, server)| Target {
                server: server.id,
                endpoint: candidate.endpoint.clone(),
                insecure_credentials: candidate.labels.insecure_credentials,
            })
            .collect();
        let monitored = targets.iter().map(|target| target.server).collect();
        self.fleet.set_monitored(&monitored, Timestamp::now());
        tracing::info!(targets = targets.len(), "targets discovered");
        self.published.send_replace(Arc::new(targets));
        Ok(())
    }

    /// Looks at the sources until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if self.files.is_empty() {
            return shutdown.cancelled().await;
        }
        while shutdown.run_until_cancelled(tokio::time::sleep(self.refresh)).await.is_some() {
            if let Err(error) = self.refresh().await {
                tracing::error!(%error, "discovered servers could not be registered; trying again");
            }
        }
    }
}

/// The first candidate of every server, in order.
fn merge<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<&'a Candidate> {
    let mut taken: HashMap<&str, &Endpoint> = HashMap::new();
    candidates
        .filter(|candidate| {
            let earlier = taken.get(candidate.endpoint.host());
            if let Some(earlier) = earlier {
                let (ignored, host) = (&candidate.endpoint, candidate.endpoint.host());
                tracing::warn!(%ignored, kept = %earlier, host, "two targets for one server; the first is kept");
                return false;
            }
            taken.insert(candidate.endpoint.host(), &candidate.endpoint);
            true
        })
        .collect()
}

fn registration(candidate: &Candidate) -> Registration {
    let labels = &candidate.labels;
    let ip = candidate.endpoint.host().to_owned();
    Registration {
        hostname: if labels.hostname.is_empty() { ip.clone() } else { labels.hostname.clone() },
        ip,
        place: labels.place.clone(),
        flags: labels.flags,
        is_static: labels.is_static,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str, hostname: &str) -> Candidate {
        let labels = Labels { hostname: hostname.into(), ..Labels::default() };
        Candidate { endpoint: address.parse().unwrap(), labels }
    }

    #[test]
    fn the_first_source_wins_a_server() {
        let all = [candidate("192.0.2.1:1", "a"), candidate("192.0.2.2:1", "b"), candidate("192.0.2.1:2", "c")];
        let names: Vec<_> = merge(all.iter()).into_iter().map(|candidate| &candidate.labels.hostname).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_server_without_a_name_is_called_by_its_address() {
        assert_eq!(registration(&candidate("[2001:db8::1]:9776", "")).hostname, "2001:db8::1");
        assert_eq!(registration(&candidate("192.0.2.1:9776", "de1")).hostname, "de1");
    }
}
