//! Discovery: which targets there are. Reads the sources, merges them, makes their servers known to the inventory and
//! hands the engine one complete set.
//!
//! Order of precedence where two sources name the same address: `[[targets]]`, then `[[file_sd]]` in the order of the
//! configuration, then what the inventory itself knows: servers added by REST, announced by themselves, or reported by
//! agents of the old system. The later one is ignored; among the first two it is logged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::collecting::DroppedTarget;
use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{Fleet, HostId, ScrapeTarget, ServerId, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Labels};
use crate::parse::Format;

pub mod file_sd;

use file_sd::FileSource;
pub use mect_fleet::{Endpoint, InvalidEndpoint};

/// Where no file is to be looked at.
const WITHOUT_FILES: Duration = Duration::from_secs(86_400);

/// One way to know how a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server behind it.
    pub server: ServerId,
    /// Its page; `None` for a server that an agent of the old system reports.
    pub page: Option<ScrapeTarget>,
    /// What its page is in, if it does not say so itself.
    pub fallback_format: Option<Format>,
    /// What its uplink carries, if the operator says so.
    pub capacity_bytes_per_second: Option<u64>,
    /// The host that an operator accepted behind it.
    pub accepted_host: Option<HostId>,
    /// Epoch of the lease under which it is scraped; 0 where nothing is leased.
    pub epoch: u64,
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

impl Candidate {
    /// The page, and how it is reached.
    pub fn page(&self) -> ScrapeTarget {
        let Labels { insecure_credentials, ref access, .. } = self.labels;
        ScrapeTarget { endpoint: self.endpoint.clone(), insecure_credentials, access: access.clone() }
    }
}

/// The sources and what they said last.
pub struct Discovery {
    fixed: Vec<Candidate>,
    files: Vec<FileSource>,
    refresh: Duration,
    fleet: Arc<Fleet>,
    /// Agents of the old system may report servers.
    takes_pushes: bool,
    /// What the sources said last, registered.
    configured: Vec<(ServerId, ScrapeTarget, Option<Format>)>,
    /// What of it was left aside.
    dropped: Vec<DroppedTarget>,
    /// Of the view that the published set was drawn from.
    inventory_version: u64,
    published: watch::Sender<TargetSet>,
    told_dropped: watch::Sender<Vec<DroppedTarget>>,
    told_problems: watch::Sender<Vec<String>>,
}

impl Discovery {
    /// Sources as configured. Nothing is read yet.
    pub fn new(config: &Config, fleet: Arc<Fleet>) -> Self {
        let files = config.file_sd.iter().flat_map(|file_sd| &file_sd.files);
        let files = files.map(|path| FileSource::new(path).with_copy_in(&config.store.data_dir));
        let refresh = config.file_sd.iter().map(|file_sd| file_sd.refresh_seconds).fold(f64::INFINITY, f64::min);
        Self {
            fixed: fixed(config),
            files: files.collect(),
            refresh: Duration::try_from_secs_f64(refresh).unwrap_or(WITHOUT_FILES),
            fleet,
            takes_pushes: config.web.legacy_push,
            configured: Vec::new(),
            dropped: Vec::new(),
            inventory_version: 0,
            published: watch::Sender::default(),
            told_dropped: watch::Sender::default(),
            told_problems: watch::Sender::default(),
        }
    }

    /// The targets that the configured sources name now. Reads every file, publishes nothing.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn candidates_of(config: &Config) -> Result<Vec<Candidate>, ConfigError> {
        let mut candidates = fixed(config);
        for file in config.file_sd.iter().flat_map(|file_sd| &file_sd.files) {
            candidates.extend(
                file_sd::read(file).map_err(|error| ConfigError::at("key `file_sd.files`", error.to_string()))?,
            );
        }
        let is_known = |name: &str| config.access.iter().any(|access| access.name == name);
        let of_none =
            candidates.iter().find(|candidate| candidate.labels.access.as_deref().is_some_and(|name| !is_known(name)));
        if let Some(candidate) = of_none {
            let problem = format!("target {}: no [[access]] has the name in its label `access`", candidate.endpoint);
            return Err(ConfigError::at("key `file_sd.files`", problem));
        }
        Ok(merge(candidates.iter()).0.into_iter().cloned().collect())
    }

    /// The first [`refresh`](Self::refresh). A file that cannot be used now is replaced by the copy of what it said
    /// last: a mistake in it must not empty the fleet at a restart.
    ///
    /// # Errors
    /// A file cannot be used and has no such copy, or the inventory refused.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for file in &mut self.files {
            if let Err(error) = file.refresh() {
                file.use_copy().map_err(|_| ConfigError::at("key `file_sd.files`", error.to_string()))?;
                tracing::error!(%error, "target file not used; what it said at its last good reading stays in force");
            }
        }
        self.tell_problems();
        Ok(self.publish().await?)
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
        let mut changed = false;
        for file in &mut self.files {
            match file.refresh() {
                Ok(new) => changed |= new,
                Err(error) => tracing::warn!(%error, "target file not used; its last good content stays in force"),
            }
        }
        self.tell_problems();
        if !changed {
            return Ok(());
        }
        let published = self.publish().await;
        if published.is_err() {
            self.files.iter_mut().for_each(FileSource::forget);
        }
        published
    }

    /// Targets that are not scraped, as they change.
    pub fn subscribe_dropped(&self) -> watch::Receiver<Vec<DroppedTarget>> {
        self.told_dropped.subscribe()
    }

    /// Files that cannot be used as they are now, as they change.
    pub fn subscribe_problems(&self) -> watch::Receiver<Vec<String>> {
        self.told_problems.subscribe()
    }

    fn tell_problems(&self) {
        let problems: Vec<String> = self.files.iter().filter_map(FileSource::problem).map(str::to_owned).collect();
        self.told_problems.send_if_modified(|told| {
            let is_new = *told != problems;
            *told = problems;
            is_new
        });
    }

    /// What the configured sources say now, and what of it is left aside.
    fn merged(&self) -> (Vec<&Candidate>, Vec<DroppedTarget>) {
        merge(self.fixed.iter().chain(self.files.iter().flat_map(FileSource::candidates)))
    }

    /// Makes the configured targets known and publishes them with those of the inventory.
    async fn publish(&mut self) -> Result<(), StoreError> {
        let (candidates, dropped) = self.merged();
        let registrations = candidates.iter().map(|candidate| registration(candidate)).collect();
        let pages: Vec<_> = candidates.into_iter().map(|each| (each.page(), each.labels.fallback_format)).collect();
        let servers = self.fleet.register(registrations, Timestamp::now()).await?;
        let pages = servers.iter().zip(pages).map(|(server, (page, fallback))| (server.id, page, fallback));
        self.configured = pages.collect();
        self.dropped = dropped;
        self.publish_set();
        Ok(())
    }

    /// Publishes the configured targets, and those of servers that the inventory knows a target of or that agents
    /// report, if anything differs.
    fn publish_set(&self) {
        let view = self.fleet.view();
        let mut pages: Vec<(ServerId, Option<ScrapeTarget>, Option<Format>)> =
            self.configured.iter().map(|(server, page, fallback)| (*server, Some(page.clone()), *fallback)).collect();
        let is_configured: HashSet<ServerId> = pages.iter().map(|(server, ..)| *server).collect();
        let mut dropped = self.dropped.clone();
        for server in view.servers().iter().map(|view| &view.server) {
            if is_configured.contains(&server.id) || (server.target.is_none() && !server.pushed) {
                continue;
            }
            let reason = if server.awaits_approval {
                "waits for approval"
            } else if server.target.is_none() && !self.takes_pushes {
                "reported by an agent, which `legacy_push` does not allow"
            } else {
                pages.push((server.id, server.target.clone(), None));
                continue;
            };
            let address = server.target.as_ref().map_or_else(|| server.ip.clone(), |page| page.endpoint.to_string());
            dropped.push(DroppedTarget { address, reason: reason.to_owned() });
        }
        let targets: Vec<_> = pages
            .into_iter()
            .map(|(server, page, fallback_format)| {
                let said = view.by_id(server).map(|view| &view.server);
                Target {
                    server,
                    page,
                    fallback_format,
                    capacity_bytes_per_second: said.and_then(|said| said.capacity_bytes_per_second),
                    accepted_host: said.and_then(|said| said.accepted_host),
                    epoch: 0,
                }
            })
            .collect();
        self.told_dropped.send_replace(dropped);
        if **self.published.borrow() != targets {
            tracing::info!(targets = targets.len(), "targets discovered");
            let monitored = targets.iter().map(|target| target.server).collect();
            self.published.send_replace(Arc::new(targets));
            self.fleet.set_monitored(&monitored, Timestamp::now());
        }
    }

    /// Follows the inventory: servers that were added, edited or deleted, here or by another collector.
    async fn follow(&mut self) -> Result<(), StoreError> {
        let view = self.fleet.view();
        if std::mem::replace(&mut self.inventory_version, view.inventory_version()) == view.inventory_version() {
            return Ok(());
        }
        // Who was deleted elsewhere and is configured here comes back.
        let is_missing = self.configured.iter().any(|(server, ..)| view.by_id(*server).is_none());
        if is_missing {
            self.publish().await?;
        }
        self.publish_set();
        Ok(())
    }

    /// Looks at the sources until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut views = self.fleet.subscribe();
        let mut next_look = tokio::time::Instant::now() + self.refresh;
        loop {
            let looked = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next_look), if !self.files.is_empty() => {
                    next_look = tokio::time::Instant::now() + self.refresh;
                    self.refresh().await
                }
                Ok(()) = views.changed() => self.follow().await,
            };
            if let Err(error) = looked {
                self.inventory_version = 0;
                tracing::error!(%error, "discovered servers could not be registered; trying again");
            }
        }
    }
}

/// The targets that the configuration itself lists; their addresses were checked when it was read.
fn fixed(config: &Config) -> Vec<Candidate> {
    let entries = config.targets.iter();
    entries.filter_map(|e| Some(Candidate { endpoint: e.address.parse().ok()?, labels: e.labels() })).collect()
}

/// The first candidate of every server, in order; and the others.
fn merge<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> (Vec<&'a Candidate>, Vec<DroppedTarget>) {
    let (mut taken, mut dropped): (HashMap<&str, &Endpoint>, _) = (HashMap::new(), Vec::new());
    let kept = candidates.filter(|candidate| {
        let (ignored, host) = (&candidate.endpoint, candidate.endpoint.host());
        if let Some(kept) = taken.get(host) {
            tracing::warn!(%ignored, %kept, host, "two targets for one server; the first is kept");
            let reason = format!("another target of the same server comes first: {kept}");
            dropped.push(DroppedTarget { address: ignored.to_string(), reason });
            return false;
        }
        taken.insert(host, ignored);
        true
    });
    (kept.collect(), dropped)
}

fn registration(candidate: &Candidate) -> Registration {
    let labels = &candidate.labels;
    Registration {
        ip: candidate.endpoint.host().to_owned(),
        hostname: labels.hostname.clone(),
        place: labels.place.clone(),
        flags: labels.flags,
        is_static: labels.is_static,
        ..Registration::default()
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
        let (kept, dropped) = merge(all.iter());
        let names: Vec<_> = kept.into_iter().map(|candidate| &candidate.labels.hostname).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(dropped[0].address, "http://192.0.2.1:2/metrics");
    }
}
