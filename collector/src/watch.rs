//! The collector's watch on its own network: asks the guard what a failure is worth, calls witnesses, and keeps track of
//! the servers that nobody can verify. The engine's; holds no socket but those to canaries.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use mect_fleet::{Doubt, Guard, Outcome, Report, ServerId, Side, Standing, Timestamp};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::metrics::{Doubted, Metrics};

/// Servers that are asked at once when a witness is wanted: the first may be dead too.
const WITNESSES: usize = 3;
/// Servers looked at to find them.
const LOOKED_AT: usize = 64;
/// Witnesses are called at most this often, and canaries too: a wave of failures must not become a storm.
const CALL_EVERY: Duration = Duration::from_secs(1);
/// A canary that takes longer says nothing of the moment.
const CANARY_WITHIN: Duration = Duration::from_secs(3);

/// When nobody answered.
const BEFORE_OUR_TIME: Timestamp = Timestamp::from_secs(0);

/// What is known of servers that cannot be verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unverified {
    /// How many there are.
    pub servers: usize,
    /// Since when there are any.
    pub since: Option<Timestamp>,
}

/// The watch.
pub struct Watch {
    guard: Guard,
    canaries: Vec<SocketAddr>,
    asked: JoinSet<Option<SocketAddr>>,
    /// Every server that can be a witness, and whose turn it is.
    servers: Vec<(ServerId, Side)>,
    turn: usize,
    called_at: Option<Timestamp>,
    /// When the latest failure of each failing server ended.
    failed_at: HashMap<ServerId, Timestamp>,
    unverified: HashSet<ServerId>,
    published: watch::Sender<Unverified>,
    metrics: Metrics,
}

impl Watch {
    /// A watch for a fleet that is scraped every `interval`, with places outside of the fleet that answer TCP
    /// connections; and where it tells of servers that it cannot verify.
    pub fn new(
        interval: Duration,
        recheck: Duration,
        canaries: Vec<SocketAddr>,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<Unverified>) {
        let (published, unverified) = watch::channel(Unverified::default());
        let watch = Self {
            guard: Guard::new(interval, recheck),
            canaries,
            asked: JoinSet::new(),
            servers: Vec::new(),
            turn: 0,
            called_at: None,
            failed_at: HashMap::new(),
            unverified: HashSet::new(),
            published,
            metrics,
        };
        (watch, unverified)
    }

    /// Learns whom we know. Servers on this machine, and those that agents report, cannot be witnesses.
    pub fn learn(&mut self, servers: impl Iterator<Item = (ServerId, Option<Side>)> + Clone) {
        let known: HashSet<_> = servers.clone().map(|(server, _)| server).collect();
        self.servers = servers.filter_map(|(server, side)| Some((server, side?))).collect();
        // In the order of their identities, which is as good as none: neighbours are not asked together.
        self.servers.sort_unstable_by_key(|(server, _)| *server);
        self.guard.learn(self.servers.iter().map(|(_, side)| *side), self.canaries.len());
        self.unverified.retain(|server| known.contains(server));
        self.failed_at.retain(|server, _| known.contains(server));
    }

    /// Takes what a scrape told that ended at `now`; says what its failure is worth. `before` is the server's standing
    /// without it.
    pub fn judge(&mut self, side: Side, report: &Report, before: &Standing, now: Timestamp) -> Option<Doubt> {
        let failure = match &report.outcome {
            Outcome::Up(_) => {
                self.guard.answered(report.server, side, now);
                self.failed_at.remove(&report.server);
                None
            }
            Outcome::Failed(failure) if failure.reason.is_local() => return None,
            Outcome::Failed(failure) => Some(failure),
        };
        let was_well = before.state.failures == 0 && before.state.health.is_reachable();
        if was_well {
            self.guard.tried(failure.is_some(), now);
        }
        failure?;
        let previous = self.failed_at.insert(report.server, now);
        // Of a failure before our own start nothing is known: as good as one without a witness.
        let previous = previous.or((before.state.failures > 0).then_some(BEFORE_OUR_TIME));
        let doubt = self.guard.doubt(report.server, side, previous, now);
        if let Some(doubt) = doubt {
            self.metrics.doubted.get_or_create(&Doubted { why: doubt.name() }).inc();
        }
        doubt
    }

    /// Learns whether a server can be verified, and publishes the sum if it changed.
    pub fn note(&mut self, server: ServerId, unverified: bool, now: Timestamp) {
        if unverified {
            self.unverified.insert(server);
        } else {
            self.unverified.remove(&server);
        }
        let servers = self.unverified.len();
        self.metrics.unverified.set(servers as i64);
        self.published.send_if_modified(|known| {
            let since = (servers > 0).then(|| known.since.unwrap_or(now));
            let next = Unverified { servers, since };
            std::mem::replace(known, next) != next
        });
    }

    /// Asks the canaries, and names servers to be scraped at once, if a failure of `server` needs a witness and none was
    /// called just now. `suits` says who waits and was well.
    pub fn witnesses(
        &mut self,
        server: ServerId,
        side: Side,
        now: Timestamp,
        suits: impl Fn(ServerId) -> bool,
    ) -> Vec<ServerId> {
        let called_lately = self.called_at.is_some_and(|at| at <= now && now.since(at) < CALL_EVERY);
        if called_lately || !self.guard.wants_witness(server, side, now) {
            return Vec::new();
        }
        self.called_at = Some(now);
        self.ask_canaries();
        let count = self.servers.len();
        let start = self.turn;
        self.turn = (start + LOOKED_AT) % count.max(1);
        let mut turns = (0..LOOKED_AT.min(count)).filter_map(|turn| self.servers.get((start + turn) % count));
        let mut witnesses = Vec::new();
        while witnesses.len() < WITNESSES
            && let Some((witness, elsewhere)) = turns.next()
        {
            if *witness != server && self.guard.tells_apart(*elsewhere, side) && suits(*witness) {
                witnesses.push(*witness);
            }
        }
        witnesses
    }

    fn ask_canaries(&mut self) {
        for canary in &self.canaries {
            let canary = *canary;
            self.asked.spawn(async move {
                let answered = timeout(CANARY_WITHIN, TcpStream::connect(canary)).await;
                answered.is_ok_and(|connected| connected.is_ok()).then_some(canary)
            });
        }
    }

    /// Waits until a canary has answered; for ever when none was asked.
    pub async fn canary(&mut self) -> SocketAddr {
        loop {
            match self.asked.join_next().await {
                Some(Ok(Some(canary))) => return canary,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// A canary answered at `now`.
    pub fn hear(&mut self, canary: SocketAddr, now: Timestamp) {
        if let Some(side) = Side::of_address(canary.ip()) {
            self.guard.canary_answered(side, now);
        }
    }
}
