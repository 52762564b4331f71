//! Ranking of servers for clients: the order in which `GET /servers` lists them.

use crate::health::Health;
use crate::view::ServerView;

/// Load assumed while a server's is not known yet: neither first nor last.
const UNKNOWN_LOAD: f64 = 0.5;
/// Added for a degraded server, so that it comes after every server that is fully active and not overloaded.
const DEGRADED_PENALTY: f64 = 1.0;

/// Rank of a server for clients; lower is better. The bottleneck load, plus a penalty when a service is lost.
pub fn score(server: &ServerView) -> f64 {
    let load = server.load().map_or(UNKNOWN_LOAD, f64::from);
    if server.health() == Health::Degraded { load + DEGRADED_PENALTY } else { load }
}
