//! Names to addresses, by the system's own resolver, behind a small cache.
//!
//! The system's resolver may take tens of seconds when its name server is away, and cannot be stopped. So a look-up runs
//! by itself, and a scrape waits for it only so long: addresses that were good before serve meanwhile.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mect_fleet::{Failure, FailureReason};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::discovery::Endpoint;

/// An answer is good for this long; the system resolver does not tell the record's own time.
const TTL: Duration = Duration::from_secs(60);
/// Each look-up holds a thread, for many seconds when the name server is away.
const MAX_LOOKUPS: usize = 16;
/// Share of a scrape's time that may go into waiting for a name never seen before…
const NEW_NAME_SHARE: f64 = 0.7;
/// …and for one of which older addresses are known.
const KNOWN_NAME_SHARE: f64 = 0.1;
/// A name server that answered for any name within this time is not dead.
const PROOF_OF_LIFE: Duration = Duration::from_secs(120);
/// What getaddrinfo says when no name server answered (EAI_AGAIN); the standard library keeps only the text.
const NO_ANSWER: &str = "Temporary failure in name resolution";

/// Resolves endpoints.
#[derive(Default)]
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    memory: Mutex<Memory>,
    lookups: Semaphore,
}

#[derive(Default)]
struct Memory {
    known: HashMap<Box<str>, Known>,
    /// Names that are being looked up.
    asked: HashSet<Box<str>>,
    /// When a name server answered for any name.
    answered_at: Option<Instant>,
}

/// When a name was looked up, and what came of it.
type Known = (Instant, Vec<SocketAddr>);

impl Default for Shared {
    fn default() -> Self {
        Self { memory: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS) }
    }
}

impl Resolver {
    /// The addresses of `endpoint`, for a scrape that may take `scrape` in all. When the resolver fails or hangs,
    /// addresses that were good before still serve.
    pub(super) async fn resolve(&self, endpoint: &Endpoint, scrape: Duration) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(ip) = endpoint.ip() {
            return Ok(vec![SocketAddr::new(ip, endpoint.port())]);
        }
        let started = Instant::now();
        let (known, is_asked) = {
            let mut memory = self.0.memory();
            let known = memory.known.get(endpoint.host()).cloned();
            if let Some((at, addresses)) = &known
                && at.elapsed() < TTL
            {
                return Ok(with_port(addresses, endpoint.port()));
            }
            (known, !memory.asked.insert(endpoint.host().into()))
        };
        let answer = if is_asked {
            None
        } else {
            let share = if known.is_some() { KNOWN_NAME_SHARE } else { NEW_NAME_SHARE };
            let lookup = tokio::spawn(Arc::clone(&self.0).look_up(endpoint.host().into(), endpoint.port()));
            timeout(scrape.mul_f64(share), lookup).await.ok()
        };
        match (answer, known) {
            (Some(Ok(Ok(addresses))), _) => Ok(addresses),
            (_, Some((_, addresses))) => Ok(with_port(&addresses, endpoint.port())),
            (Some(Ok(Err(error))), None) => Err(self.failure(&error)),
            (Some(Err(lost)), None) => Err(Failure::new(FailureReason::Local, lost.to_string())),
            (None, None) => Err(self.silence(started)),
        }
    }

    /// As if `host` had just been looked up.
    #[cfg(test)]
    pub(super) fn remember(&self, host: &str, addresses: &[SocketAddr]) {
        self.0.memory().known.insert(host.into(), (Instant::now(), addresses.to_vec()));
    }

    /// No answer at all is our own fault unless a name server has just answered for another name.
    fn failure(&self, error: &io::Error) -> Failure {
        let detail = error.to_string();
        let lives = self.0.memory().answered_at.is_some_and(|at| at.elapsed() < PROOF_OF_LIFE);
        let is_ours = detail.contains(NO_ANSWER) && !lives;
        Failure::new(if is_ours { FailureReason::Local } else { FailureReason::Dns }, detail)
    }

    /// A resolver that hangs is our own fault unless it has answered for another name meanwhile.
    fn silence(&self, since: Instant) -> Failure {
        let lives = self.0.memory().answered_at.is_some_and(|at| at >= since);
        let reason = if lives { FailureReason::Dns } else { FailureReason::Local };
        Failure::new(reason, "no answer from the resolver in time")
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing is half done under the lock.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the system, however long that takes, and remembers the answer.
    async fn look_up(self: Arc<Self>, host: Box<str>, port: u16) -> io::Result<Vec<SocketAddr>> {
        let answer = match self.lookups.acquire().await {
            Ok(_permit) => tokio::net::lookup_host((&*host, port)).await,
            Err(closed) => Err(io::Error::other(closed)),
        };
        let answer = answer.map(Iterator::collect::<Vec<_>>);
        let mut memory = self.memory();
        memory.asked.remove(&host);
        if let Ok(addresses) = &answer {
            memory.answered_at = Some(Instant::now());
            memory.known.insert(host, (Instant::now(), addresses.clone()));
        }
        answer
    }
}

fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(address.ip(), port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_resolver_is_our_own_fault_and_an_unknown_name_is_not() {
        let resolver = Resolver::default();
        let error = |text: &str| io::Error::other(format!("failed to lookup address information: {text}"));
        let started = Instant::now();
        assert_eq!(resolver.failure(&error(NO_ANSWER)).reason, FailureReason::Local);
        assert_eq!(resolver.silence(started).reason, FailureReason::Local);
        assert_eq!(resolver.failure(&error("Name or service not known")).reason, FailureReason::Dns);
        resolver.0.memory().answered_at = Some(Instant::now());
        assert_eq!(resolver.failure(&error(NO_ANSWER)).reason, FailureReason::Dns);
        assert_eq!(resolver.silence(started).reason, FailureReason::Dns);
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_followed_once_its_time_is_over() {
        let resolver = Resolver::default();
        let endpoint: Endpoint = "localhost:9776".parse().unwrap();
        let elsewhere = vec![SocketAddr::from(([192, 0, 2, 1], 1))];
        let scrape = Duration::from_secs(3600);
        for (age, is_kept) in [(TTL / 2, true), (2 * TTL, false)] {
            let at = Instant::now().checked_sub(age).unwrap();
            resolver.0.memory().known.insert("localhost".into(), (at, elsewhere.clone()));
            let addresses = resolver.resolve(&endpoint, scrape).await.unwrap();
            assert_eq!(addresses.iter().all(|address| !address.ip().is_loopback()), is_kept, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn a_hanging_lookup_does_not_keep_good_addresses_back() {
        let resolver = Resolver::default();
        let endpoint: Endpoint = "host.example:9776".parse().unwrap();
        // As if a look-up were under way that does not end.
        resolver.0.memory().asked.insert("host.example".into());
        let scrape = Duration::from_secs(3600);
        let unknown = resolver.resolve(&endpoint, scrape).await.unwrap_err();
        assert_eq!(unknown.reason, FailureReason::Local);
        let good = vec![SocketAddr::from(([192, 0, 2, 1], 1))];
        let long_ago = Instant::now().checked_sub(2 * TTL).unwrap();
        resolver.0.memory().known.insert("host.example".into(), (long_ago, good));
        let addresses = resolver.resolve(&endpoint, scrape).await.unwrap();
        assert_eq!(addresses, [SocketAddr::from(([192, 0, 2, 1], 9776))]);
    }
}
