//! How often a password may be guessed. Pure but for a lock: told the time, knows neither HTTP nor Redis.
//!
//! Failed logins count per user name and per client address, in this process and, by [`News::FailedLogin`], in the
//! others. Each count is a leaky bucket in the form of GCRA (ITU-T I.371): one instant per key. A login that succeeds
//! costs nothing, so that many clients may share a user.
//!
//! A count per user alone would let any guesser keep the user itself out. So an address from which the user has signed
//! in before has a count of its own for that user: the guesses of others, from wherever, do not close that door. The
//! collectors tell each other such addresses, and find them again in the audit after a start.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::peers::{News, Peers};

/// How many failures in a row are free, and how often one more is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quota {
    burst: u32,
    every: Duration,
}

/// Of one user name: a person who forgot which password it was has room; a guesser gets 14,400 a day, not millions.
const PER_USER: Quota = Quota { burst: 10, every: Duration::from_secs(6) };
/// Of one address: an office behind one address has several such persons.
const PER_ADDRESS: Quota = Quota { burst: 30, every: Duration::from_secs(2) };
/// An address from which a user has not signed in for so long is a strange one again.
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);
/// The others are told again of a known address after this time.
const TELL_KNOWN_EVERY: Duration = Duration::from_secs(86_400);
/// Addresses of users remembered; beyond, all are forgotten. About 3 MiB.
const MAX_KNOWN: usize = 65_536;
/// Keys remembered. About 4 MiB; beyond it those that owe least are forgotten.
const MAX_KEYS: usize = 65_536;
/// Bytes of a key: a digest, because a name may be long.
const KEY_BYTES: usize = 16;
/// Leading bits of an IPv6 address that one customer has.
const IPV6_CUSTOMER_BITS: u32 = 64;

type Key = [u8; KEY_BYTES];

/// What an attempt counts under: digests of user name (for a known address: of both together) and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptKeys {
    user: Key,
    address: Option<Key>,
}

/// An attempt that may go on. It counts as failed unless it is [given back](LoginThrottle::give_back).
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    keys: AttemptKeys,
    pair: Option<KnownClient>,
}

/// A user at an address from which it signed in: a digest of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownClient(Key);

/// Too many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When the next attempt is let through, if nobody else comes first.
    pub retry_after: Duration,
}

/// Bounds the attempts to guess a password.
#[derive(Default)]
pub struct LoginThrottle {
    /// When each key's debt is paid (GCRA's theoretical arrival time).
    paid_at: Mutex<HashMap<Key, Instant>>,
    /// When each last signed in.
    known: Mutex<HashMap<KnownClient, Instant>>,
    peers: Peers,
}

impl LoginThrottle {
    /// A throttle that tells `peers` what failed here.
    pub fn new(peers: Peers) -> Self {
        Self { paid_at: Mutex::default(), known: Mutex::default(), peers }
    }

    /// Asks to try a password of `username` from `address` (`None` where the client has none).
    ///
    /// # Errors
    /// Too many attempts failed lately; nothing was counted.
    pub fn enter(&self, username: &str, address: Option<IpAddr>, now: Instant) -> Result<Attempt, Refused> {
        let address = address.map(address_key);
        let pair = address.map(|address| KnownClient(pair_key(username, address)));
        let user = match pair.filter(|pair| self.knows(*pair, now)) {
            Some(KnownClient(pair)) => pair,
            None => digest("user", username.as_bytes()),
        };
        let keys = AttemptKeys { user, address };
        let mut paid_at = self.paid_at();
        let wait = keys.iter().map(|(key, quota)| quota.wait(paid_at.get(&key).copied(), now)).max();
        match wait {
            Some(wait) if wait > Duration::ZERO => return Err(Refused { retry_after: wait }),
            _ => keys.iter().for_each(|(key, quota)| charge(&mut paid_at, key, quota, now)),
        }
        Ok(Attempt { keys, pair })
    }

    /// The attempt guessed nothing: the password was right, or was never looked at.
    pub fn give_back(&self, attempt: &Attempt) {
        let mut paid_at = self.paid_at();
        for (key, quota) in attempt.keys.iter() {
            if let Some(paid_at) = paid_at.get_mut(&key) {
                *paid_at = paid_at.checked_sub(quota.every).unwrap_or(*paid_at);
            }
        }
    }

    /// The password was wrong: the others count it too.
    pub fn failed(&self, attempt: &Attempt) {
        self.peers.tell(News::FailedLogin(attempt.keys));
    }

    /// The password was right, and all else that was asked: the address is known for the user from now on.
    pub fn succeeded(&self, attempt: &Attempt, now: Instant) {
        self.give_back(attempt);
        let Some(pair) = attempt.pair else { return };
        let last = self.learn(pair, now);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= TELL_KNOWN_EVERY) {
            self.peers.tell(News::KnownClient(pair));
        }
    }

    /// The user signed in from that address, here or elsewhere, before this process began.
    pub fn remember(&self, username: &str, address: IpAddr, now: Instant) {
        self.learn(KnownClient(pair_key(username, address_key(address))), now);
    }

    /// Another collector knows that client.
    pub fn heard_of(&self, client: KnownClient, now: Instant) {
        self.learn(client, now);
    }

    fn learn(&self, client: KnownClient, now: Instant) -> Option<Instant> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(&client) {
            known.clear();
        }
        match known.get(&client).copied() {
            // Kept as it was, so that the others hear of it from time to time.
            Some(last) if now.saturating_duration_since(last) < TELL_KNOWN_EVERY => Some(last),
            last => {
                known.insert(client, now);
                last
            }
        }
    }

    fn knows(&self, client: KnownClient, now: Instant) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&client).is_some_and(|last| now.saturating_duration_since(*last) < KNOWN_FOR)
    }

    /// Counts an attempt that failed elsewhere.
    pub fn heard(&self, keys: AttemptKeys, now: Instant) {
        let mut paid_at = self.paid_at();
        keys.iter().for_each(|(key, quota)| charge(&mut paid_at, key, quota, now));
    }

    fn paid_at(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.paid_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AttemptKeys {
    fn iter(&self) -> impl Iterator<Item = (Key, Quota)> {
        [(self.user, PER_USER)].into_iter().chain(self.address.map(|key| (key, PER_ADDRESS)))
    }
}

impl Quota {
    /// The largest debt.
    fn limit(self) -> Duration {
        self.every * self.burst
    }

    /// How long until one more is allowed.
    fn wait(self, paid_at: Option<Instant>, now: Instant) -> Duration {
        let debt = paid_at.map_or(Duration::ZERO, |paid_at| paid_at.saturating_duration_since(now));
        (debt + self.every).saturating_sub(self.limit())
    }
}

/// Adds one failure to the debt of a key, never beyond the limit: who was refused elsewhere waits no longer for it.
fn charge(paid_at: &mut HashMap<Key, Instant>, key: Key, quota: Quota, now: Instant) {
    if paid_at.len() >= MAX_KEYS && !paid_at.contains_key(&key) {
        make_room(paid_at, now);
    }
    let debt = paid_at.get(&key).map_or(Duration::ZERO, |paid_at| paid_at.saturating_duration_since(now));
    paid_at.insert(key, now + (debt + quota.every).min(quota.limit()));
}

fn make_room(paid_at: &mut HashMap<Key, Instant>, now: Instant) {
    paid_at.retain(|_, paid_at| *paid_at > now);
    if paid_at.len() >= MAX_KEYS {
        let mut instants: Vec<_> = paid_at.values().copied().collect();
        let middle = instants.len() / 2;
        let (_, median, _) = instants.select_nth_unstable(middle);
        paid_at.retain(|_, paid_at| *paid_at > *median);
    }
}

fn digest(kind: &str, name: &[u8]) -> Key {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    std::array::from_fn(|place| digest[place])
}

fn pair_key(username: &str, address: Key) -> Key {
    // The address first: it has one length, so that no other pair gives the same bytes.
    digest("pair", &[&address, username.as_bytes()].concat())
}

fn address_key(address: IpAddr) -> Key {
    match address.to_canonical() {
        IpAddr::V4(address) => digest("address", &address.octets()),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() >> IPV6_CUSTOMER_BITS << IPV6_CUSTOMER_BITS);
            digest("address", &network.octets())
        }
    }
}

#[cfg(test)]
mod tests;
