//! The false-down guard: doubts failures that may be our own network's fault. Pure: it is told the time.
//!
//! A failed scrape tells of the server only if our own network worked. Two things are known of that:
//!
//! - **Witnesses.** Soon after the failure somebody else answered: a server in another network, or a canary. A failure
//!   without a witness is void, and the count of failures starts anew: a server turns down only after `fall` failures
//!   with a witness between each two of them. Whether any of the scrapes fell into a cut of our own link does not matter
//!   then: the others did not.
//! - **The mass.** When at least half of the servers that were well a moment ago fail at once, it is more likely that we
//!   are cut off, whatever the witnesses say. Failures count, but nobody turns down until the wave is over.
//!
//! A doubted server keeps its health and is *unverified* meanwhile, so the list for clients stays as it was.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::server::ServerId;
use crate::shard::stable_hash;
use crate::time::Timestamp;

/// A witness must answer within this share of the pause between two checks: later it says less of the moment of the
/// failure.
const WITNESS_SHARE: f64 = 0.5;
/// Least time for a witness to answer, however short the pause.
const WITNESS_LEAST: Duration = Duration::from_secs(1);
/// Answers are remembered this long: more than an interval and its re-checks.
const MEMORY: Duration = Duration::from_secs(600);
/// Time is remembered in steps of this length, and of each step two sides with their latest answers: one of them is
/// another side than any given one.
const STEP_MS: i64 = 250;
/// The wave is measured over this share of the interval: long enough for a sample of the fleet, and over soon enough
/// after the last server has failed.
const WAVE_SHARE: f64 = 0.5;
/// The window of the wave is counted in so many parts.
const WAVE_PARTS: u32 = 30;
/// This share of newly failing servers is a mass…
const MASS: f64 = 0.5;
/// …if there are at least so many of them: of two or three servers, one or two may well fail.
const MASS_AT_LEAST: u32 = 4;

/// Why a failure does not let a server turn down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Nobody else answered after the failure before this one: that one may have been ours.
    NoWitness,
    /// Many servers fail at once.
    Mass,
}

impl Doubt {
    /// The word in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoWitness => "no_witness",
            Self::Mass => "mass",
        }
    }
}

/// A place in the network, seen from us: what is cut off together. A /24 of IPv4, a /48 of IPv6, or a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Side(u64);

impl Side {
    /// The side of an address; `None` for one of this machine, which no network cuts off.
    pub fn of_address(address: std::net::IpAddr) -> Option<Self> {
        use std::net::IpAddr::{V4, V6};
        let network = match address.to_canonical() {
            address if address.is_loopback() => return None,
            V4(address) => address.octets().get(..3)?.to_vec(),
            V6(address) => address.octets().get(..6)?.to_vec(),
        };
        Some(Self(stable_hash(&network)))
    }

    /// The side of a host that is known by name.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        (name != "localhost").then(|| Self(stable_hash(name.as_bytes())))
    }

    /// A server as a side of its own.
    fn of_server(server: ServerId) -> Self {
        Self(stable_hash(&server.key()))
    }
}

/// Who can be a witness for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witnesses {
    /// Servers in other networks, and canaries.
    Networks,
    /// All servers are in one network and there is no canary: any other server.
    Servers,
    /// There is one server and no canary: nobody, and nothing can be doubted.
    Nobody,
}

/// What is known of our own network.
#[derive(Debug)]
pub struct Guard {
    witnesses: Witnesses,
    answers: VecDeque<Answers>,
    wave: Wave,
    witness_within: Duration,
}

/// Who answered within one step of time.
#[derive(Debug)]
struct Answers {
    step: i64,
    first: (Side, Timestamp),
    /// The latest one on another side than `first`.
    other: Option<(Side, Timestamp)>,
}

impl Guard {
    /// A guard of a fleet that is scraped every `interval`, and checked again `recheck` after a failure.
    pub fn new(interval: Duration, recheck: Duration) -> Self {
        Self {
            witnesses: Witnesses::Nobody,
            answers: VecDeque::new(),
            wave: Wave::new(interval.mul_f64(WAVE_SHARE)),
            witness_within: recheck.mul_f64(WITNESS_SHARE).max(WITNESS_LEAST),
        }
    }

    /// Learns which sides there are: those of the servers that are scraped, and of the canaries.
    pub fn learn(&mut self, servers: impl Iterator<Item = Side>, canaries: usize) {
        let (mut count, mut first, mut several) = (0, None, canaries > 0);
        for side in servers {
            count += 1;
            several |= *first.get_or_insert(side) != side;
        }
        let witnesses = match (several, count) {
            (true, _) => Witnesses::Networks,
            (false, 2..) => Witnesses::Servers,
            (false, _) => Witnesses::Nobody,
        };
        if witnesses != self.witnesses {
            self.witnesses = witnesses;
            self.answers.clear();
        }
    }

    /// A server answered at `at`.
    pub fn answered(&mut self, server: ServerId, side: Side, at: Timestamp) {
        let side = self.seen_as(server, side);
        self.note(side, at);
    }

    /// A canary answered at `at`.
    pub fn canary_answered(&mut self, side: Side, at: Timestamp) {
        self.note(side, at);
    }

    fn note(&mut self, side: Side, at: Timestamp) {
        let step = step_of(at);
        match self.answers.back_mut() {
            Some(last) if last.step >= step => match &mut last.first {
                (first, latest) if *first == side => *latest = at,
                _ => last.other = Some((side, at)),
            },
            _ => self.answers.push_back(Answers { step, first: (side, at), other: None }),
        }
        let oldest = step_of(at - MEMORY);
        while self.answers.front().is_some_and(|first| first.step < oldest) {
            self.answers.pop_front();
        }
    }

    /// A server that was well, as far as its last scrape told, was scraped: did it fail?
    pub fn tried(&mut self, failed: bool, at: Timestamp) {
        self.wave.count(failed, at);
    }

    /// Judges a failure that ended at `now`, the one before it in a row having ended at `previous`. `None`: it counts.
    pub fn doubt(
        &mut self,
        server: ServerId,
        side: Side,
        previous: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Doubt> {
        if let Some(previous) = previous
            && !self.witnessed(server, side, previous)
        {
            return Some(Doubt::NoWitness);
        }
        self.wave.is_mass(now).then_some(Doubt::Mass)
    }

    /// True when nobody on another side has answered since `since`: a witness is wanted.
    pub fn wants_witness(&self, server: ServerId, side: Side, since: Timestamp) -> bool {
        let side = self.seen_as(server, side);
        self.witnesses != Witnesses::Nobody
            && !self.answers.iter().rev().take_while(|a| a.step >= step_of(since)).any(|a| a.beside(side, since))
    }

    /// True when a server on `witness` can tell whether one on `side` is cut off alone.
    pub fn tells_apart(&self, witness: Side, side: Side) -> bool {
        match self.witnesses {
            Witnesses::Networks => witness != side,
            Witnesses::Servers => true,
            Witnesses::Nobody => false,
        }
    }

    /// Somebody else answered soon after a failure that ended at `at`.
    fn witnessed(&self, server: ServerId, side: Side, at: Timestamp) -> bool {
        let side = self.seen_as(server, side);
        let (from, to) = (step_of(at), step_of(at + self.witness_within));
        let from = self.answers.partition_point(|answers| answers.step < from);
        self.witnesses == Witnesses::Nobody
            || self.answers.iter().skip(from).take_while(|answers| answers.step <= to).any(|a| a.beside(side, at))
    }

    fn seen_as(&self, server: ServerId, side: Side) -> Side {
        if self.witnesses == Witnesses::Servers { Side::of_server(server) } else { side }
    }
}

impl Answers {
    /// Somebody on another side than `side`, after `since`.
    fn beside(&self, side: Side, since: Timestamp) -> bool {
        let answered = |(answering, at): (Side, Timestamp)| answering != side && at > since;
        answered(self.first) || self.other.is_some_and(answered)
    }
}

fn step_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(STEP_MS)
}

/// How many of the servers that were well have just failed.
#[derive(Debug)]
struct Wave {
    part_ms: i64,
    /// Number of the part, servers tried in it, and those of them that failed.
    parts: VecDeque<(i64, u32, u32)>,
}

impl Wave {
    fn new(window: Duration) -> Self {
        let part_ms = i64::try_from((window / WAVE_PARTS).as_millis()).unwrap_or(i64::MAX).max(1);
        Self { part_ms, parts: VecDeque::new() }
    }

    fn count(&mut self, failed: bool, at: Timestamp) {
        let part = at.as_millis().div_euclid(self.part_ms);
        match self.parts.back_mut() {
            Some((last, tried, failures)) if *last >= part => {
                *tried += 1;
                *failures += u32::from(failed);
            }
            _ => self.parts.push_back((part, 1, u32::from(failed))),
        }
        self.forget(part);
    }

    fn forget(&mut self, now: i64) {
        while self.parts.front().is_some_and(|(part, ..)| *part <= now - i64::from(WAVE_PARTS)) {
            self.parts.pop_front();
        }
    }

    fn is_mass(&mut self, now: Timestamp) -> bool {
        self.forget(now.as_millis().div_euclid(self.part_ms));
        let tried: u32 = self.parts.iter().map(|(_, tried, _)| tried).sum();
        let failed: u32 = self.parts.iter().map(|(.., failed)| failed).sum();
        failed >= MASS_AT_LEAST && f64::from(failed) >= MASS * f64::from(tried)
    }
}

#[cfg(test)]
mod tests;
