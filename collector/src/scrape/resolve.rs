//! Names to addresses, by the system's own resolver, behind a small cache.
//!
//! The system's resolver may take tens of seconds when its name server is away, and cannot be stopped. So a look-up runs
//! by itself, and a scrape waits for it only so long: addresses that were good before serve meanwhile, until a name server
//! says that there are none.
//!
//! A name without an answer is the server's fault only if a name server answered for another name since this one first went
//! without: who cannot ask learns nothing of whom he asks for.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mect_fleet::{Failure, FailureReason};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::discovery::Endpoint;

mod memory;

use memory::{Memory, NO_SUCH_NAME, NOBODY_TTL, Nothing, TTL};

/// Each look-up holds a thread, for many seconds when the name server is away.
const MAX_LOOKUPS: usize = 16;
/// Share of a scrape's time that may go into waiting for a name never seen before…
const NEW_NAME_SHARE: f64 = 0.7;
/// …and for one of which older addresses are known.
const KNOWN_NAME_SHARE: f64 = 0.1;
/// Resolves endpoints.
#[derive(Default)]
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    memory: Mutex<Memory>,
    lookups: Semaphore,
    /// Told whenever a look-up ended.
    ended: Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self { memory: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS), ended: Notify::new() }
    }
}

impl Resolver {
    /// The addresses of `endpoint`, for a scrape that may take `scrape` in all. When the resolver fails or hangs,
    /// addresses that were good before still serve.
    pub(super) async fn resolve(&self, endpoint: &Endpoint, scrape: Duration) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(ip) = endpoint.ip() {
            return Ok(vec![SocketAddr::new(ip, endpoint.port())]);
        }
        let host = endpoint.host();
        let (known, asked) = {
            let mut memory = self.0.memory();
            let known = memory.recall(host);
            if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < TTL) {
                return Ok(with_port(&known.addresses, endpoint.port()));
            }
            if memory.is_nobody(host, NOBODY_TTL) {
                return Err(Failure::new(FailureReason::Dns, NO_SUCH_NAME[0]));
            }
            (known, memory.ask(host))
        };
        let share = if known.is_some() { KNOWN_NAME_SHARE } else { NEW_NAME_SHARE };
        let patience = scrape.mul_f64(share);
        let answer = match asked {
            None => self.look_up(endpoint, patience).await,
            // Of another endpoint of the same host.
            Some(_) => self.wait_for(endpoint, patience).await,
        };
        match (answer, known) {
            (Ok(addresses), _) => Ok(addresses),
            (Err(Nothing::Unanswered(_) | Nothing::NotAsked), Some(known)) => {
                Ok(with_port(&known.addresses, endpoint.port()))
            }
            (Err(nothing), _) => Err(self.failure(host, nothing, Instant::now())),
        }
    }

    /// Looks a name up, and waits for the answer so long. The look-up goes on if that is too short.
    async fn look_up(&self, endpoint: &Endpoint, patience: Duration) -> Result<Vec<SocketAddr>, Nothing> {
        let lookup = tokio::spawn(Arc::clone(&self.0).look_up(endpoint.host().into(), endpoint.port()));
        match timeout(patience, lookup).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => Err(Nothing::Unanswered(lost.to_string())),
            Err(_elapsed) => Err(Nothing::not_yet(self.0.memory().has_begun(endpoint.host()))),
        }
    }

    /// Waits so long for the answer that somebody else asked for.
    async fn wait_for(&self, endpoint: &Endpoint, patience: Duration) -> Result<Vec<SocketAddr>, Nothing> {
        let ended = async {
            loop {
                let next = self.0.ended.notified();
                if !self.0.memory().asked.contains_key(endpoint.host()) {
                    return;
                }
                next.await;
            }
        };
        let is_in_time = timeout(patience, ended).await.is_ok();
        let mut memory = self.0.memory();
        match memory.recall(endpoint.host()).filter(|known| is_in_time && known.at.elapsed() < TTL) {
            Some(known) => Ok(with_port(&known.addresses, endpoint.port())),
            None if is_in_time && memory.is_nobody(endpoint.host(), NOBODY_TTL) => {
                Err(Nothing::Told(NO_SUCH_NAME[0].into()))
            }
            None if is_in_time => Err(Nothing::Unanswered("the resolver gave no address".into())),
            None => Err(Nothing::not_yet(memory.has_begun(endpoint.host()))),
        }
    }

    /// As if `host` had just been looked up.
    #[cfg(test)]
    pub(super) fn remember(&self, host: &str, addresses: &[SocketAddr]) {
        self.0.memory().learn(host, Instant::now(), addresses.to_vec());
    }

    fn failure(&self, host: &str, nothing: Nothing, now: Instant) -> Failure {
        match nothing {
            Nothing::Told(detail) => Failure::new(FailureReason::Dns, detail),
            Nothing::Unanswered(detail) => {
                let is_its_own = self.0.memory().lacks_only(host, now);
                let reason = if is_its_own { FailureReason::Dns } else { FailureReason::Local };
                Failure::new(reason, detail)
            }
            Nothing::NotAsked => Failure::new(FailureReason::Local, "too many look-ups of other names hang"),
        }
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing is half done under the lock.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the system, however long that takes, and remembers the answer.
    async fn look_up(self: Arc<Self>, host: Box<str>, port: u16) -> Result<Vec<SocketAddr>, Nothing> {
        let answer = match self.lookups.acquire().await {
            Ok(_permit) => {
                self.memory().asked.insert(host.clone(), true);
                tokio::net::lookup_host((&*host, port)).await
            }
            Err(closed) => Err(io::Error::other(closed)),
        };
        let taken = self.memory().take(&host, Instant::now(), answer.map(Iterator::collect));
        self.ended.notify_waiters();
        taken
    }
}

fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(address.ip(), port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test takes.
    const SCRAPE: Duration = Duration::from_secs(3600);

    fn error(text: &str) -> io::Error {
        io::Error::other(format!("failed to lookup address information: {text}"))
    }

    fn silence() -> io::Error {
        error("Temporary failure in name resolution")
    }

    fn good() -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, 1], 1))]
    }

    impl Resolver {
        /// The reason of the failure that comes of an answer.
        fn reason(&self, host: &str, now: Instant, answer: io::Error) -> FailureReason {
            let nothing = self.0.memory().take(host, now, Err(answer)).unwrap_err();
            self.failure(host, nothing, now).reason
        }
    }

    #[test]
    fn a_dead_resolver_is_our_own_fault_and_a_dead_zone_is_not() {
        let resolver = Resolver::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        resolver.0.memory().learn("other", at(0), good());
        // An answer from before says nothing of now.
        assert_eq!(resolver.reason("a", at(1), silence()), FailureReason::Local);
        assert_eq!(resolver.reason("a", at(31), silence()), FailureReason::Local);
        resolver.0.memory().learn("other", at(60), good());
        assert_eq!(resolver.reason("a", at(61), silence()), FailureReason::Dns);
        // Of another name nothing follows yet.
        assert_eq!(resolver.reason("b", at(62), silence()), FailureReason::Local);
        // Whoever was answered begins anew.
        resolver.0.memory().learn("a", at(63), good());
        assert_eq!(resolver.reason("a", at(64), silence()), FailureReason::Local);
        assert_eq!(resolver.failure("a", Nothing::NotAsked, at(65)).reason, FailureReason::Local);
    }

    #[test]
    fn a_name_server_that_knows_no_such_name_is_believed() {
        let resolver = Resolver::default();
        for text in NO_SUCH_NAME {
            resolver.remember("gone", &good());
            assert_eq!(resolver.reason("gone", Instant::now(), error(text)), FailureReason::Dns);
            assert!(resolver.0.memory().recall("gone").is_none(), "its addresses may be somebody else's by now");
        }
        let silent = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        resolver.0.memory().unanswered.insert("a".into(), silent);
        assert_eq!(resolver.reason("a", Instant::now(), silence()), FailureReason::Dns, "it has answered");
        assert_eq!(resolver.reason("gone", Instant::now(), silence()), FailureReason::Dns, "it said so, too late");
    }

    #[tokio::test]
    async fn who_waits_for_the_same_answer_hears_that_there_is_no_such_name() {
        let resolver = Resolver::default();
        let endpoint: Endpoint = "gone.example:9776".parse().unwrap();
        let long_ago = Instant::now().checked_sub(2 * TTL).unwrap();
        resolver.0.memory().learn("gone.example", long_ago, good());
        resolver.0.memory().asked.insert("gone.example".into(), true);
        let answer = async {
            tokio::task::yield_now().await;
            let nothing = resolver.0.memory().take("gone.example", Instant::now(), Err(error(NO_SUCH_NAME[0])));
            assert!(nothing.is_err());
            resolver.0.ended.notify_waiters();
        };
        let (failed, ()) = tokio::join!(resolver.resolve(&endpoint, SCRAPE), answer);
        assert_eq!(failed.unwrap_err().reason, FailureReason::Dns);
        // And so does who asks within the next seconds.
        assert_eq!(resolver.resolve(&endpoint, SCRAPE).await.unwrap_err().reason, FailureReason::Dns);
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_followed_once_its_time_is_over() {
        let resolver = Resolver::default();
        let endpoint: Endpoint = "localhost:9776".parse().unwrap();
        for (age, is_kept) in [(TTL / 2, true), (2 * TTL, false)] {
            let at = Instant::now().checked_sub(age).unwrap();
            resolver.0.memory().learn("localhost", at, good());
            let addresses = resolver.resolve(&endpoint, SCRAPE).await.unwrap();
            assert_eq!(addresses.iter().all(|address| !address.ip().is_loopback()), is_kept, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn a_hanging_lookup_does_not_keep_good_addresses_back() {
        let resolver = Resolver::default();
        let endpoint: Endpoint = "host.example:9776".parse().unwrap();
        // As if a look-up were under way that does not end.
        resolver.0.memory().asked.insert("host.example".into(), true);
        let soon = Duration::from_millis(10);
        let unknown = resolver.resolve(&endpoint, soon).await.unwrap_err();
        assert_eq!(unknown.reason, FailureReason::Local);
        let long_ago = Instant::now().checked_sub(2 * TTL).unwrap();
        resolver.0.memory().learn("host.example", long_ago, good());
        resolver.0.memory().asked.insert("host.example".into(), true);
        let addresses = resolver.resolve(&endpoint, soon).await.unwrap();
        assert_eq!(addresses, [SocketAddr::from(([192, 0, 2, 1], 9776))]);
    }

    #[tokio::test]
    async fn endpoints_of_one_host_share_a_look_up() {
        let resolver = Resolver::default();
        let [one, other]: [Endpoint; 2] = ["localhost:1", "localhost:2"].map(|text| text.parse().unwrap());
        let (one, other) = tokio::join!(resolver.resolve(&one, SCRAPE), resolver.resolve(&other, SCRAPE));
        let ports = |addresses: Vec<SocketAddr>| addresses.iter().map(SocketAddr::port).collect::<Vec<_>>();
        assert!(ports(one.unwrap()).contains(&1) && ports(other.unwrap()).contains(&2));
    }

    #[tokio::test]
    async fn names_that_hang_keep_others_waiting_which_are_not_to_blame() {
        let resolver = Resolver::default();
        let hanging = resolver.0.lookups.acquire_many(MAX_LOOKUPS as u32).await.unwrap();
        let endpoint: Endpoint = "localhost:9776".parse().unwrap();
        for _ in 0..2 {
            // Others are answered meanwhile, which says nothing of one who was not asked for.
            resolver.remember("other", &good());
            let failure = resolver.resolve(&endpoint, Duration::from_millis(10)).await.unwrap_err();
            assert_eq!(failure.reason, FailureReason::Local);
        }
        drop(hanging);
        while resolver.0.memory().has_begun("localhost") || resolver.0.memory().recall("localhost").is_none() {
            tokio::task::yield_now().await;
        }
        assert!(resolver.resolve(&endpoint, SCRAPE).await.is_ok());
    }
}
