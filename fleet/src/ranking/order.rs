//! The order in which one client gets servers: best first, but not the same best one for everybody.
//!
//! Servers whose scores differ by less than [`BAND`] are about as good. Within such a band every client has its own
//! order, drawn from its seed: a server with twice the room comes first for twice as many clients. The draw belongs to
//! client and server alone, so a client keeps its server while that stays in its band, whatever others come and go
//! (weighted rendezvous hashing).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::ranking::{Score, distance, score};
use crate::server::{Coordinates, ServerId};
use crate::view::ServerView;

/// Width of a band: a tenth of a server's load, or 1,000 km.
pub const BAND: f64 = 0.1;
/// Room of a server that is full: it is still somebody's first choice where all are.
const LEAST_ROOM: f64 = 0.05;

/// Tells clients apart, the same way on every collector and in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of a client that is known by `identity`.
    pub fn of(identity: &[u8]) -> Self {
        let digest = Sha256::digest(identity);
        Self(digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    }

    /// A number in (0, 1], uniform over seeds and servers.
    fn draw(self, server: ServerId) -> f64 {
        let bits = mix(self.0 ^ mix(u64::from_le_bytes(server.key())));
        // The 53 bits that a double holds.
        ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

/// The finaliser of SplitMix64: every bit of the output depends on every bit of the input.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A server recommended to a client.
#[derive(Debug, Clone)]
pub struct Recommendation<'a> {
    /// The server.
    pub server: &'a Arc<ServerView>,
    /// Why it stands where it stands.
    pub score: Score,
    /// How far it is; `None` when either place is not known.
    pub km: Option<f64>,
    /// Its band, from 0; the servers of a band are about as good.
    pub band: usize,
}

/// The first `limit` of `servers` for the client with that seed, best first. `client` is where it is, if it says so.
pub fn recommend<'a>(
    servers: impl Iterator<Item = &'a Arc<ServerView>>,
    client: Option<Coordinates>,
    seed: Seed,
    limit: usize,
) -> Vec<Recommendation<'a>> {
    // Of the many only the sum is kept; the parts of the few that are chosen are worked out again.
    let mut left: Vec<_> = servers.map(|server| (rate(server, client).0.total(), server)).collect();
    let mut chosen: Vec<Recommendation<'a>> = Vec::new();
    let mut band = 0;
    while chosen.len() < limit {
        let Some(best) = left.iter().map(|(total, _)| *total).min_by(f64::total_cmp) else { break };
        let in_band = |(total, _): &mut (f64, _)| *total < best + BAND;
        let mut members: Vec<_> =
            left.extract_if(.., in_band).map(|(_, server)| (rank(server, seed), server)).collect();
        let first = |(a, one): &(f64, &Arc<ServerView>), (b, other): &(f64, &Arc<ServerView>)| {
            a.total_cmp(b).then_with(|| one.server.id.cmp(&other.server.id))
        };
        let missing = limit - chosen.len();
        if missing < members.len() {
            members.select_nth_unstable_by(missing, first);
            members.truncate(missing);
        }
        members.sort_unstable_by(first);
        chosen.extend(members.into_iter().map(|(_, server)| {
            let (score, km) = rate(server, client);
            Recommendation { server, score, km, band }
        }));
        band += 1;
    }
    chosen
}

/// The score of a server for that client, and how far it is.
fn rate(server: &ServerView, client: Option<Coordinates>) -> (Score, Option<f64>) {
    let km = client.and_then(|client| distance::km(client, &server.server.place));
    let distance = if client.is_some() { distance::cost(km) } else { 0.0 };
    (Score { distance, ..score(server) }, km)
}

/// Place of a server within its band, lower first. Exponential with the server's room as its rate: the smallest of
/// several such draws is a given server's with a probability in proportion to its room (Efraimidis and Spirakis, 2006).
fn rank(server: &ServerView, seed: Seed) -> f64 {
    let score = score(server);
    let room = (1.0 - score.load - score.slow_start).max(LEAST_ROOM);
    -seed.draw(server.server.id).ln() / room
}
