//! The fleet as readers see it: an immutable snapshot, replaced as a whole at most about once a second.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::health::{Event, Health, HealthState, Rule, Transition, step};
use crate::ranking;
use crate::reading::Reading;
use crate::report::{Failure, Outcome, Report};
use crate::server::{Server, ServerId};
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
    /// Start of the latest scrape, whatever came of it.
    pub last_scrape: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub last_duration_ms: u32,
    /// Why it failed; `None` when it worked.
    pub last_failure: Option<Failure>,
}

impl Standing {
    /// Folds a report in; tells the flip of health if there was one.
    pub fn observe(&mut self, rule: &Rule, report: &Report) -> Option<Transition> {
        let event = match &report.outcome {
            Outcome::Up(reading) => {
                self.first_heartbeat.get_or_insert(report.at);
                self.last_heartbeat = Some(report.at);
                self.last_failure = None;
                self.reading = Some(reading.clone());
                Event::Succeeded { impaired: reading.is_impaired() }
            }
            Outcome::Failed(failure) => {
                self.last_failure = Some(failure.clone());
                Event::Failed(failure.reason)
            }
        };
        self.last_scrape = Some(report.at);
        self.last_duration_ms = report.duration_ms;
        let transition;
        (self.state, transition) = step(rule, report.server, std::mem::take(&mut self.state), report.at, event);
        transition
    }
}

/// One server in the view.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerView {
    /// What the inventory says.
    pub server: Arc<Server>,
    /// What the scrapes say.
    pub standing: Standing,
    /// A target of it is being scraped. Without one, what the scrapes say grows old and clients are not sent there.
    pub monitored: bool,
}

impl ServerView {
    /// The judged state; pending while nobody scrapes the server, whatever it was before.
    pub fn health(&self) -> Health {
        if self.monitored { self.standing.state.health } else { Health::Pending }
    }

    /// What the latest heartbeat said, while it still says something: not of a server that is down or not scraped.
    pub fn current_reading(&self) -> Option<&Reading> {
        self.standing.reading.as_ref().filter(|_| self.health().is_reachable())
    }

    /// Bottleneck load in 0–1; `None` while unknown.
    pub fn load(&self) -> Option<f32> {
        self.current_reading()?.load()
    }

    /// True when the list for clients holds it: scraped, reachable and enabled.
    pub fn is_listed(&self) -> bool {
        self.server.enabled && self.health().is_reachable()
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
    published_at: Timestamp,
    servers: Vec<Arc<ServerView>>,
    index: Arc<Index>,
    ranked: OnceLock<Vec<Arc<ServerView>>>,
}

impl FleetView {
    /// A snapshot of `servers`, in the order of their `index`.
    pub(crate) fn new(version: u64, published_at: Timestamp, servers: Vec<Arc<ServerView>>, index: Arc<Index>) -> Self {
        Self { version, published_at, servers, index, ranked: OnceLock::new() }
    }

    /// Grows with every published snapshot of this process; a body rendered from one version serves all its readers.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When the snapshot was taken.
    pub fn published_at(&self) -> Timestamp {
        self.published_at
    }

    /// Every server, by host name and address.
    pub fn servers(&self) -> &[Arc<ServerView>] {
        &self.servers
    }

    /// The servers for clients: reachable and enabled, best first. Ranked once per snapshot, on first use.
    pub fn ranked(&self) -> &[Arc<ServerView>] {
        self.ranked.get_or_init(|| {
            let mut listed: Vec<_> =
                self.servers.iter().filter(|view| view.is_listed()).map(|view| (ranking::score(view), view)).collect();
            listed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            listed.into_iter().map(|(_, view)| Arc::clone(view)).collect()
        })
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
mod tests {
    use super::*;
    use crate::report::FailureReason;
    use crate::server::Place;

    fn view(ip: &str, health: Health, cpu: f32, enabled: bool) -> Arc<ServerView> {
        let server = Server {
            id: ServerId::random().unwrap(),
            ip: ip.into(),
            hostname: format!("host-{ip}"),
            place: Place::default(),
            gaming: false,
            streaming: false,
            paid: false,
            enabled,
            is_static: false,
            registered_at: Timestamp::default(),
        };
        let standing = Standing {
            state: HealthState { health, ..HealthState::default() },
            reading: Some(Reading { cpu: Some(cpu), ram: Some(0.0), ..Reading::default() }),
            ..Standing::default()
        };
        Arc::new(ServerView { server: Arc::new(server), standing, monitored: true })
    }

    #[test]
    fn clients_see_reachable_enabled_servers_best_first() {
        let mut servers = vec![
            view("192.0.2.1", Health::Active, 0.9, true),
            view("192.0.2.2", Health::Degraded, 0.1, true),
            view("192.0.2.3", Health::Active, 0.2, true),
            view("192.0.2.4", Health::Active, 0.0, false),
            view("192.0.2.5", Health::Down, 0.0, true),
            view("192.0.2.6", Health::Pending, 0.0, true),
        ];
        let index = Arc::new(Index::order(&mut servers));
        let fleet = FleetView::new(1, Timestamp::default(), servers, index);
        let order: Vec<_> = fleet.ranked().iter().map(|view| view.server.ip.as_str()).collect();
        assert_eq!(order, ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(fleet.servers().len(), 6);
        assert_eq!(fleet.count(Health::Active), 3);
        let third = fleet.by_ip("192.0.2.3").unwrap();
        assert_eq!(fleet.by_id(third.server.id), Some(third));
    }

    #[test]
    fn a_server_that_nobody_scrapes_is_pending_and_not_listed() {
        let mut server = ServerView::clone(&view("192.0.2.1", Health::Active, 0.5, true));
        assert!(server.is_listed() && server.load().is_some());
        server.monitored = false;
        assert_eq!((server.health(), server.load(), server.is_listed()), (Health::Pending, None, false));
    }

    #[test]
    fn a_failed_scrape_keeps_the_last_reading_and_says_why() {
        let rule = Rule::default();
        let server = "srv-abcdefgh".parse().unwrap();
        let report = |at, outcome| Report { server, at: Timestamp::from_secs(at), duration_ms: 5, samples: 1, outcome };
        let mut standing = Standing::default();
        let reading = Reading { cpu: Some(0.5), ..Reading::default() };
        assert!(standing.observe(&rule, &report(1, Outcome::Up(reading.clone()))).is_some());
        let failure = Failure::new(FailureReason::Reset, "");
        assert!(standing.observe(&rule, &report(2, Outcome::Failed(failure.clone()))).is_none());
        assert_eq!(standing.reading, Some(reading));
        assert_eq!(standing.last_failure, Some(failure));
        assert_eq!(standing.last_heartbeat, Some(Timestamp::from_secs(1)));
        assert_eq!(standing.last_scrape, Some(Timestamp::from_secs(2)));
    }
}
