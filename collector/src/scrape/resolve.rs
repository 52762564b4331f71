//! Names to addresses, by the system's own resolver, behind a small cache.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mect_fleet::{Failure, FailureReason};
use tokio::sync::Semaphore;

use crate::discovery::Endpoint;

/// An answer is good for this long; the system resolver does not tell the record's own time.
const TTL: Duration = Duration::from_secs(60);
/// Each look-up holds a thread, for many seconds when the name server is away.
const MAX_LOOKUPS: usize = 16;

/// Resolves endpoints.
pub(super) struct Resolver {
    known: Mutex<HashMap<Box<str>, Known>>,
    lookups: Semaphore,
}

/// When a name was looked up, and what came of it.
type Known = (Instant, Vec<SocketAddr>);

impl Default for Resolver {
    fn default() -> Self {
        Self { known: Mutex::default(), lookups: Semaphore::new(MAX_LOOKUPS) }
    }
}

impl Resolver {
    /// The addresses of `endpoint`. When the resolver fails, addresses that were good before still serve.
    pub(super) async fn resolve(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(ip) = endpoint.ip() {
            return Ok(vec![SocketAddr::new(ip, endpoint.port())]);
        }
        let known = self.known(endpoint.host());
        if let Some((at, addresses)) = &known
            && at.elapsed() < TTL
        {
            return Ok(with_port(addresses, endpoint.port()));
        }
        let looked_up = match self.lookups.acquire().await {
            Ok(_permit) => tokio::net::lookup_host((endpoint.host(), endpoint.port())).await,
            Err(closed) => Err(std::io::Error::other(closed)),
        };
        match (looked_up, known) {
            (Ok(addresses), _) => {
                let addresses: Vec<_> = addresses.collect();
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(endpoint.host().into(), (Instant::now(), addresses.clone()));
                Ok(addresses)
            }
            (Err(_), Some((_, addresses))) => Ok(with_port(&addresses, endpoint.port())),
            (Err(error), None) => Err(Failure::new(FailureReason::Dns, error.to_string())),
        }
    }

    fn known(&self, host: &str) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }
}

fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(address.ip(), port)).collect()
}
