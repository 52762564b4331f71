//! Ranking of servers for clients: which one a client is best sent to, and why.
//!
//! Pure: told the servers, the client's place and a seed, and asks neither clock nor network. `GET /servers` lists by
//! [`score`]; recommendations add the client's distance and [spread](order) clients over servers that are about as
//! good.

use crate::health::Health;
use crate::view::ServerView;

mod centroids;
pub mod distance;
pub mod order;

pub use order::{Recommendation, Seed, recommend};

/// Load assumed while a server's is not known yet: neither first nor last.
const UNKNOWN_LOAD: f64 = 0.5;
/// Added for a degraded server, so that it comes after every server that is fully active and not overloaded.
const DEGRADED_PENALTY: f64 = 1.0;
/// A server that just came back counts as if it had this much more load.
const SLOW_START_PENALTY: f64 = 0.5;
/// The penalty for having been down shrinks to nothing over this time, so that clients return one by one (HAProxy's
/// `slowstart`). Five scrapes: a host that fails again under load does so within.
const SLOW_START_SECONDS: f64 = 600.0;

/// Rank of a server for a client, in parts that add up; lower is better. 1 is as much as the whole load of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Load of the bottleneck, 0–1.
    pub load: f64,
    /// How far the client is: 1 for each 10,000 km. 0 when the client's place is not known.
    pub distance: f64,
    /// 1 when a service of the server is lost.
    pub degraded: f64,
    /// 0.5 right after the server came back from being down, 0 ten minutes later.
    pub slow_start: f64,
}

impl Score {
    /// The rank itself.
    pub fn total(&self) -> f64 {
        self.load + self.distance + self.degraded + self.slow_start
    }
}

/// Rank of a server for a client of whom nothing is known.
pub fn score(server: &ServerView) -> Score {
    Score {
        load: server.load().filter(|load| load.is_finite()).map_or(UNKNOWN_LOAD, f64::from),
        distance: 0.0,
        degraded: if server.health() == Health::Degraded { DEGRADED_PENALTY } else { 0.0 },
        slow_start: SLOW_START_PENALTY * (1.0 - recovered(server)),
    }
}

/// How far a server is on its way back, 0–1, as of its latest heartbeat: one that was not down is all there.
fn recovered(server: &ServerView) -> f64 {
    let standing = &server.standing;
    match (standing.state.recovered_at, standing.last_heartbeat) {
        (Some(since), Some(now)) => (now.since(since).as_secs_f64() / SLOW_START_SECONDS).min(1.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests;
