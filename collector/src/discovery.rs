//! Discovery: which targets there are. Reads the sources, merges them, makes their servers known to the inventory and
//! hands the engine one complete set.
//!
//! Targets of one host are endpoints of one server. Order where several sources name one: `[[targets]]`, then `[[file_sd]]`,
//! then `[[http_sd]]`, each in the order of the configuration; the first endpoint is the main one, and its labels count. What
//! the inventory itself knows of such a server's target is ignored: it counts for servers added by REST, announced by
//! themselves, or reported by agents of the old system.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mect_fleet::collecting::DroppedTarget;
use mect_fleet::store::{Registration, StoreError};
use mect_fleet::{Fleet, HostId, ScrapeTarget, ServerId, TargetPolicy, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, ConfigError, Labels};
use crate::metrics::{Metrics, Source};
use crate::parse::Format;
use crate::scrape::Accesses;

mod again;
mod copies;
pub mod file_sd;
mod groups;
pub mod http_sd;
mod merge;
mod running;

pub use again::{Again, Read, Reloads};
use file_sd::FileSource;
use http_sd::{Answer, HttpSource};
pub use mect_fleet::{Endpoint, InvalidEndpoint};
use merge::{Merged, fixed, merge};

/// Where no file is to be looked at.
const WITHOUT_FILES: Duration = Duration::from_secs(86_400);

/// One way to know how a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server behind it.
    pub server: ServerId,
    /// Its page, and those of further endpoints; `None` for a server that an agent of the old system reports.
    pub page: Option<ScrapeTarget>,
    /// What a page of it is in, if that does not say so itself.
    pub fallback_format: Option<Format>,
    /// What its uplink carries, if the operator says so.
    pub capacity_bytes_per_second: Option<u64>,
    /// The host that an operator accepted behind it.
    pub accepted_host: Option<HostId>,
    /// Epoch of the lease under which it is scraped; 0 where nothing is leased.
    pub epoch: u64,
}

impl Target {
    /// Connections that its scrape takes at once: one for each endpoint.
    pub fn connections(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.pages().count())
    }
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
        ScrapeTarget { insecure_credentials, access: access.clone(), ..ScrapeTarget::at(self.endpoint.clone()) }
    }
}

/// Sources that cannot be used as they are now, and why. What they said last stays in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// Target files.
    pub files: Vec<String>,
    /// Lists by HTTP.
    pub lists: Vec<String>,
}

/// A list by its place in the configuration, and what came of asking for it.
type Told = (usize, Answer);

/// The sources and what they said last.
pub struct Discovery {
    fixed: Vec<Candidate>,
    files: Vec<FileSource>,
    lists: Vec<HttpSource>,
    refresh: Duration,
    /// Where copies of target files are kept.
    data_dir: PathBuf,
    accesses: Arc<Accesses>,
    policy: Arc<TargetPolicy>,
    reloads: Reloads,
    asked: mpsc::Receiver<again::Asked>,
    fleet: Arc<Fleet>,
    /// Agents of the old system may report servers.
    takes_pushes: bool,
    /// What the sources said last, registered.
    configured: Vec<(ServerId, ScrapeTarget, Option<Format>)>,
    /// What of it was left aside.
    dropped: Vec<DroppedTarget>,
    /// The inventory refused what the sources say now.
    is_owing: bool,
    /// Of the view that the published set was drawn from.
    inventory_version: u64,
    published: watch::Sender<TargetSet>,
    told_dropped: watch::Sender<Vec<DroppedTarget>>,
    told_problems: watch::Sender<Problems>,
    metrics: Metrics,
}

impl Discovery {
    /// Sources as configured, which may name targets that `policy` allows. Nothing is read yet.
    ///
    /// # Errors
    /// The URL of a list cannot be used.
    pub fn new(
        config: &Config,
        fleet: Arc<Fleet>,
        accesses: &Arc<Accesses>,
        policy: &Arc<TargetPolicy>,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let data_dir = &config.store.data_dir;
        let files = config.file_sd.iter().flat_map(|file_sd| &file_sd.files);
        let files = files.map(|path| FileSource::new(path, Arc::clone(policy)).with_copy_in(data_dir));
        let lists = config.http_sd.iter().map(|list| HttpSource::new(list, accesses, policy, data_dir));
        let (reloads, asked) = Reloads::new();
        Ok(Self {
            fixed: fixed(config),
            files: files.collect(),
            lists: lists.collect::<Result<_, _>>()?,
            refresh: refresh_of(config),
            data_dir: data_dir.clone(),
            accesses: Arc::clone(accesses),
            policy: Arc::clone(policy),
            reloads,
            asked,
            fleet,
            takes_pushes: config.web.legacy_push,
            configured: Vec::new(),
            dropped: Vec::new(),
            is_owing: false,
            inventory_version: 0,
            published: watch::Sender::default(),
            told_dropped: watch::Sender::default(),
            told_problems: watch::Sender::default(),
            metrics,
        })
    }

    /// The targets that configuration and files name now. Reads every file, asks for no list, publishes nothing.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn candidates_of(config: &Config) -> Result<Vec<Candidate>, ConfigError> {
        let (mut candidates, policy) = (fixed(config), config.target_policy());
        for file in config.file_sd.iter().flat_map(|file_sd| &file_sd.files) {
            candidates.extend(
                file_sd::read(file, &policy)
                    .map_err(|error| ConfigError::at("key `file_sd.files`", error.to_string()))?,
            );
        }
        let is_unknown = |name: &str| !config.has_access(name);
        let of_none = candidates.iter().find(|candidate| candidate.labels.access.as_deref().is_some_and(is_unknown));
        if let Some(candidate) = of_none {
            let problem = format!("target {}: no [[access]] has the name in its label `access`", candidate.endpoint);
            return Err(ConfigError::at("key `file_sd.files`", problem));
        }
        // Named twice is scraped once.
        let (servers, _) = merge(candidates.iter());
        let pages = servers.iter().flat_map(|server| server.page.pages());
        let mut pages: HashSet<Endpoint> = pages.map(|page| page.endpoint.clone()).collect();
        candidates.retain(|candidate| pages.remove(&candidate.endpoint));
        Ok(candidates)
    }

    /// The first [`refresh`](Self::refresh), and the first question for every list. A source that cannot be used now is
    /// replaced by the copy of what it said last: a mistake in it must not empty the fleet at a restart. A list without a
    /// copy is done without: a file has to be mended by somebody, a network comes back by itself.
    ///
    /// # Errors
    /// A file cannot be used and has no such copy, or the inventory refused.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for file in &mut self.files {
            if let Err(error) = file.refresh() {
                file.use_copy().map_err(|_| ConfigError::at("key `file_sd.files`", error.to_string()))?;
                self.metrics.count_unusable(Source::File);
                tracing::error!(%error, "target file not used; what it said at its last good reading stays in force");
            }
        }
        let answers = join_all(self.lists.iter().map(|list| list.asker().ask())).await;
        for (list, answer) in self.lists.iter_mut().zip(answers) {
            list.take(answer);
            if list.problem().is_none() {
                continue;
            }
            self.metrics.count_unusable(Source::Http);
            let name = list.asker().name().to_owned();
            match list.use_copy() {
                Ok(()) => tracing::warn!(list = name, "its targets are those of its last good answer"),
                Err(_) => tracing::error!(list = name, "no earlier answer is known: going on without its targets"),
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
                Err(error) => {
                    self.metrics.count_unusable(Source::File);
                    tracing::warn!(%error, "target file not used; its last good content stays in force");
                }
            }
        }
        self.follow_sources(changed).await
    }

    /// Takes what came of asking for a list, and publishes the new set.
    async fn take(&mut self, (place, answer): Told) -> Result<(), StoreError> {
        if answer.is_err() {
            self.metrics.count_unusable(Source::Http);
        }
        let changed = self.lists.get_mut(place).is_some_and(|list| list.take(answer));
        self.follow_sources(changed).await
    }

    /// Publishes what the sources say if anything `changed`, or if it was refused before.
    async fn follow_sources(&mut self, changed: bool) -> Result<(), StoreError> {
        self.tell_problems();
        if !changed && !self.is_owing {
            return Ok(());
        }
        // Until it is done: the sources will not say the same again.
        self.is_owing = true;
        self.publish().await?;
        self.is_owing = false;
        Ok(())
    }

    /// The way by which the sources can be changed while it [runs](Self::run).
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// Targets that are not scraped, as they change.
    pub fn subscribe_dropped(&self) -> watch::Receiver<Vec<DroppedTarget>> {
        self.told_dropped.subscribe()
    }

    /// Sources that cannot be used as they are now, as they change.
    pub fn subscribe_problems(&self) -> watch::Receiver<Problems> {
        self.told_problems.subscribe()
    }

    fn tell_problems(&self) {
        let problems = Problems {
            files: self.files.iter().filter_map(FileSource::problem).map(str::to_owned).collect(),
            lists: self.lists.iter().filter_map(HttpSource::problem).map(str::to_owned).collect(),
        };
        self.told_problems.send_if_modified(|told| {
            let is_new = *told != problems;
            *told = problems;
            is_new
        });
    }

    /// What the configured sources say now, and what of it is left aside.
    fn merged(&self) -> (Vec<Merged<'_>>, Vec<DroppedTarget>) {
        let files = self.files.iter().flat_map(FileSource::candidates);
        let lists = self.lists.iter().flat_map(HttpSource::candidates);
        let mut unreachable = Vec::new();
        let reachable = self.fixed.iter().chain(files).chain(lists).filter(|candidate| {
            let unknown = candidate.labels.access.as_deref().filter(|name| !self.accesses.has(name));
            unreachable.extend(unknown.map(|name| {
                let (address, reason) =
                    (candidate.endpoint.to_string(), format!("no [[access]] has the name `{name}`"));
                tracing::warn!(target = address, reason, "a target cannot be reached and is left aside");
                DroppedTarget { address, reason }
            }));
            unknown.is_none()
        });
        let (taken, mut dropped) = merge(reachable);
        dropped.extend(unreachable);
        dropped.extend(self.lists.iter().flat_map(HttpSource::dropped).cloned());
        (taken, dropped)
    }

    /// Makes the configured targets known and publishes them with those of the inventory.
    async fn publish(&mut self) -> Result<(), StoreError> {
        let (merged, dropped) = self.merged();
        let registrations = merged.iter().map(registration).collect();
        let pages: Vec<_> = merged.into_iter().map(|server| (server.page, server.fallback_format)).collect();
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
}

/// How often target files are looked at.
fn refresh_of(config: &Config) -> Duration {
    let refresh = config.file_sd.iter().map(|file_sd| file_sd.refresh_seconds).fold(f64::INFINITY, f64::min);
    Duration::try_from_secs_f64(refresh).unwrap_or(WITHOUT_FILES)
}

fn registration(server: &Merged<'_>) -> Registration {
    let labels = server.labels;
    Registration {
        ip: server.page.endpoint.host().to_owned(),
        hostname: labels.hostname.clone(),
        place: labels.place.clone(),
        flags: labels.flags,
        is_static: labels.is_static,
        ..Registration::default()
    }
}
