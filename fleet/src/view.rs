//! The fleet as readers see it: an immutable snapshot, replaced as a whole at most about once a second.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::guard::Doubt;
use crate::health::{Event, Health, HealthState, Rule, Transition, step};
use crate::host_id::HostId;
use crate::ranking;
use crate::reading::Reading;
use crate::report::{Failure, Outcome, Report};
use crate::server::{Period, Server, ServerId};
use crate::time::Timestamp;

/// What the scrapes so far say of a server: its health, and the latest it told us. Kept by the store, so that a
/// restarted collector goes on where it stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The health rule's memory.
    pub state: HealthState,
    /// First heartbeat ever.
    pub first_heartbeat: Option<Timestamp>,
    /// Latest heartbeat.
    pub last_heartbeat: Option<Timestamp>,
    /// What the latest heartbeat said.
    pub reading: Option<Reading>,
    /// The host behind the server: of the latest heartbeat that told one. `None` as long as no page names its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// Another host that answered under its address since then; it was told of, and waits for an operator's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranger: Option<HostId>,
    /// Start of the latest scrape that told something of the server, good or bad.
    pub last_scrape: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub last_duration_ms: u32,
    /// Why it failed; `None` when it worked.
    pub last_failure: Option<Failure>,
    /// Scrapes folded in so far.
    pub scrapes: u64,
    /// Epoch of the lease under which the latest one was made; 0 where nothing is leased.
    pub epoch: u64,
}

/// Orders the standings of one server: the larger is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    /// What was judged under an older lease, whoever holds the newer one never saw.
    pub epoch: u64,
    /// Flips so far. Before the scrapes, which older programs did not count.
    pub transitions: u64,
    /// Scrapes so far.
    pub scrapes: u64,
    /// The latest scrape. Last of all: numbers never go back, a clock may.
    pub at: Option<Timestamp>,
}

impl Standing {
    /// The best that can be said of a server whose standing is lost: where its last transition left it. The number must
    /// not start again, or its next transitions would count as told already.
    pub(crate) fn after(last: Option<&Transition>) -> Self {
        let mut standing = Self::default();
        if let Some(last) = last {
            standing.state.health = last.to;
            standing.state.since = Some(last.at);
            standing.state.transitions = last.number;
        }
        standing
    }

    /// What tells which of two standings is the newer one.
    pub fn age(&self) -> Age {
        let (epoch, transitions) = (self.epoch, self.state.transitions);
        Age { epoch, transitions, scrapes: self.scrapes, at: self.last_scrape }
    }

    /// True when the next scrape may decide a flip, so that it should not wait for a whole interval.
    pub fn wants_recheck(&self, rule: &Rule) -> bool {
        let endpoints = self.reading.iter().flat_map(|reading| &reading.endpoints);
        self.state.wants_recheck() || endpoints.map(|endpoint| endpoint.failures).any(|n| n > 0 && n < rule.fall)
    }

    /// Folds a report in; tells the flip of health if there was one. `doubt` is what the guard says of a failure.
    pub fn observe(&mut self, rule: &Rule, report: &Report, doubt: Option<Doubt>) -> Option<Transition> {
        let event = match &report.outcome {
            Outcome::Up(reading) => {
                self.first_heartbeat.get_or_insert(report.at);
                self.last_heartbeat = Some(report.at);
                self.last_failure = None;
                if reading.host.is_some() {
                    (self.host, self.stranger) = (reading.host, None);
                }
                let mut reading = Reading { host: None, ..reading.clone() };
                reading.count_on(self.reading.as_ref());
                // A page that cannot tell makes nobody better.
                let unknown = reading.is_partial() && self.state.health == Health::Degraded;
                let impaired = unknown || reading.is_impaired(rule.fall);
                self.reading = Some(reading);
                Event::Succeeded { impaired }
            }
            Outcome::Failed(failure) => {
                self.stranger = failure.host.or(self.stranger);
                self.last_failure = Some(failure.clone());
                Event::Failed(failure.reason, doubt)
            }
        };
        let is_ours = matches!(&report.outcome, Outcome::Failed(failure) if failure.reason.is_local());
        if !is_ours {
            self.last_scrape = Some(report.at);
            self.last_duration_ms = report.duration_ms;
        }
        self.scrapes += 1;
        let transition;
        (self.state, transition) = step(rule, report.server, std::mem::take(&mut self.state), report.at, event);
        transition
    }
}

/// A server is stale when its latest scrape started more than this many intervals ago: one scrape may be skipped, and
/// the next be late.
pub const STALE_INTERVALS: f64 = 2.5;

/// An agent of the old system reports every 120 s.
const PUSHED_STALE_AFTER: Duration = Duration::from_secs(300);

/// One server in the view.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerView {
    /// What the inventory says.
    pub server: Arc<Server>,
    /// What the scrapes say.
    pub standing: Standing,
    /// A target of it is being scraped. Without one, what the scrapes say grows old and clients are not sent there.
    pub monitored: bool,
    /// What the scrapes say is old, whoever is to blame: the latest one started more than [`STALE_INTERVALS`] ago. A
    /// server that was never scraped, or that nobody is to scrape any more, is pending instead.
    pub stale: bool,
    /// The server was draining when the snapshot was taken.
    pub draining: bool,
    /// The server was in maintenance when the snapshot was taken.
    pub in_maintenance: bool,
}

impl ServerView {
    /// A server that nobody scrapes yet. What the operator wants for a while is looked at when a snapshot is taken.
    pub fn new(server: Arc<Server>, standing: Standing) -> Self {
        Self { server, standing, monitored: false, stale: false, draining: false, in_maintenance: false }
    }

    /// The judged state; pending while nobody scrapes the server, whatever it was before.
    pub fn health(&self) -> Health {
        if self.monitored { self.standing.state.health } else { Health::Pending }
    }

    /// True when the server would be down, were its failures not doubted: its health is what it was before.
    pub fn is_unverified(&self) -> bool {
        self.monitored && self.standing.state.unverified
    }

    /// What the latest heartbeat said, while it still says something: not of a server that is down or not scraped.
    pub fn current_reading(&self) -> Option<&Reading> {
        self.standing.reading.as_ref().filter(|_| self.health().is_reachable())
    }

    /// Bottleneck load in 0–1; `None` while unknown.
    pub fn load(&self) -> Option<f32> {
        self.current_reading()?.load()
    }

    /// True when a target in the configuration names it, which would bring it back.
    pub fn is_configured(&self) -> bool {
        self.monitored && self.server.target.is_none() && !self.server.pushed
    }

    /// True when the operator wants clients there. Says nothing of health.
    pub fn is_wanted(&self) -> bool {
        self.server.enabled && !self.draining && !self.in_maintenance && !self.server.awaits_approval
    }

    /// True when the list for clients holds it: scraped, reachable and wanted.
    pub fn is_listed(&self) -> bool {
        self.is_wanted() && self.health().is_reachable()
    }

    /// Whether the server is draining and in maintenance at `now`.
    pub(crate) fn periods_at(&self, now: Timestamp) -> (bool, bool) {
        let lasts = |period: Option<Period>| period.is_some_and(|period| period.lasts_at(now));
        (lasts(self.server.draining), lasts(self.server.maintenance))
    }

    /// True when the latest scrape started more than `patience` before `now`, and there should have been another. Agents
    /// that report by themselves have a rhythm of their own.
    pub(crate) fn is_overdue(&self, now: Timestamp, patience: Duration) -> bool {
        let patience = if self.server.pushed { patience.max(PUSHED_STALE_AFTER) } else { patience };
        self.monitored && self.standing.last_scrape.is_some_and(|at| now.since(at) > patience)
    }
}

/// Where to find a server in a snapshot. Shared by all snapshots until a server comes, goes or is renamed.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_id: HashMap<ServerId, usize>,
    by_ip: HashMap<String, usize>,
}

impl Index {
    /// Orders `servers` by host name and address, and indexes them.
    pub(crate) fn order(servers: &mut [Arc<ServerView>]) -> Self {
        servers.sort_by(|a, b| (&a.server.hostname, &a.server.ip).cmp(&(&b.server.hostname, &b.server.ip)));
        Self {
            by_id: servers.iter().enumerate().map(|(place, view)| (view.server.id, place)).collect(),
            by_ip: servers.iter().enumerate().map(|(place, view)| (view.server.ip.clone(), place)).collect(),
        }
    }

    /// Place of the server with that identity.
    pub(crate) fn place(&self, id: ServerId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }
}

/// An immutable snapshot of the fleet.
#[derive(Debug, Default)]
pub struct FleetView {
    version: u64,
    pub(crate) inventory_version: u64,
    published_at: Timestamp,
    servers: Vec<Arc<ServerView>>,
    index: Arc<Index>,
    ranked: OnceLock<Vec<Arc<ServerView>>>,
    data_at: OnceLock<Option<Timestamp>>,
    /// Hosts that several servers are, each with these.
    twins: OnceLock<HashMap<HostId, Vec<ServerId>>>,
}

impl FleetView {
    /// A snapshot of `servers`, in the order of their `index`.
    pub(crate) fn new(version: u64, published_at: Timestamp, servers: Vec<Arc<ServerView>>, index: Arc<Index>) -> Self {
        Self {
            version,
            inventory_version: 0,
            published_at,
            servers,
            index,
            ranked: OnceLock::new(),
            data_at: OnceLock::new(),
            twins: OnceLock::new(),
        }
    }

    /// Grows with every published snapshot of this process; a body rendered from one version serves all its readers.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Grows when a server comes, goes, or is changed in the inventory; scrapes leave it as it is.
    pub fn inventory_version(&self) -> u64 {
        self.inventory_version
    }

    /// When the snapshot was taken.
    pub fn published_at(&self) -> Timestamp {
        self.published_at
    }

    /// Every server, by host name and address.
    pub fn servers(&self) -> &[Arc<ServerView>] {
        &self.servers
    }

    /// The servers for clients: reachable and wanted, best first. Ranked once per snapshot, on first use.
    pub fn ranked(&self) -> &[Arc<ServerView>] {
        self.ranked.get_or_init(|| {
            let mut listed: Vec<_> = self
                .servers
                .iter()
                .filter(|view| view.is_listed())
                .map(|view| (ranking::score(view).total(), view))
                .collect();
            listed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            listed.into_iter().map(|(_, view)| Arc::clone(view)).collect()
        })
    }

    /// When the newest of what the servers for clients tell was measured: their latest heartbeat. `None` when there is
    /// no such server. It stands still when the collector no longer gets through, whatever it shows meanwhile.
    pub fn data_at(&self) -> Option<Timestamp> {
        *self.data_at.get_or_init(|| self.ranked().iter().filter_map(|view| view.standing.last_heartbeat).max())
    }

    /// Other servers that are scraped and are the same host as `view`: one host under two addresses, or a copy of its
    /// system that kept its identity. Looked for once per snapshot, on first use.
    pub fn twins_of(&self, view: &ServerView) -> impl Iterator<Item = &Arc<ServerView>> {
        let twins = self.twins.get_or_init(|| {
            let mut by_host: HashMap<_, Vec<_>> = HashMap::new();
            for view in self.servers.iter().filter(|view| view.monitored) {
                if let Some(host) = view.standing.host {
                    by_host.entry(host).or_default().push(view.server.id);
                }
            }
            by_host.retain(|_, servers| servers.len() > 1);
            by_host
        });
        let id = view.server.id;
        let of_host = view.standing.host.filter(|_| view.monitored).and_then(|host| twins.get(&host));
        of_host.into_iter().flatten().filter(move |twin| **twin != id).filter_map(|twin| self.by_id(*twin))
    }

    /// The server with that identity.
    pub fn by_id(&self, id: ServerId) -> Option<&Arc<ServerView>> {
        self.servers.get(self.index.place(id)?)
    }

    /// The server with that address.
    pub fn by_ip(&self, ip: &str) -> Option<&Arc<ServerView>> {
        self.servers.get(*self.index.by_ip.get(ip)?)
    }

    /// Servers in that state.
    pub fn count(&self, health: Health) -> usize {
        self.servers.iter().filter(|view| view.health() == health).count()
    }
}

#[cfg(test)]
mod tests;
