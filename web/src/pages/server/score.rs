//! Where clients find a server in their list, and why. Pure.

use mect_fleet::ranking::score;
use mect_fleet::{FleetView, ServerView};

/// A part of the score.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) why: String,
}

/// The score and its parts.
pub(super) struct Score {
    pub(super) total: String,
    pub(super) parts: Vec<Part>,
    /// Place in the list for clients, and its length; `None` when it is not listed.
    pub(super) place: Option<(usize, usize)>,
}

impl Score {
    pub(super) fn of(view: &ServerView, fleet: &FleetView) -> Self {
        let score = score(view);
        let part = |name, value: f64, why: String| Part { name, value: format!("{value:.3}"), why };
        let load = match view.load() {
            Some(_) => "load of the bottleneck: CPU, memory or network".to_owned(),
            None => "not known yet: counted as half loaded".to_owned(),
        };
        let why = |is_so: bool, so: &str, not: &str| (if is_so { so } else { not }).to_owned();
        let listed = fleet.ranked();
        let place = listed.iter().position(|other| other.server.id == view.server.id);
        Self {
            total: format!("{:.3}", score.total()),
            parts: vec![
                part("Load", score.load, load),
                part("Distance", score.distance, "added for each client by where it is".to_owned()),
                part(
                    "Degraded",
                    score.degraded,
                    why(score.degraded > 0.0, "a service is lost", "every service is there"),
                ),
                part(
                    "Slow start",
                    score.slow_start,
                    why(
                        score.slow_start > 0.0,
                        "came back from being down: clients return one by one",
                        "not fresh from being down",
                    ),
                ),
            ],
            place: place.map(|place| (place + 1, listed.len())),
        }
    }
}
