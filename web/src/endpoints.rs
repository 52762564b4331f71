//! How further endpoints of a server did, in words. Pages and REST say the same.

use mect_fleet::{ServerView, Timestamp};

/// What is known of one further endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointState {
    /// `up`, `down` or `unknown`: what the latest scrape says, without memory.
    pub(crate) health: &'static str,
    /// Why the latest scrape failed, or was given up.
    pub(crate) error: Option<String>,
    /// Start of the latest scrape that counted.
    pub(crate) last_scrape: Option<Timestamp>,
    pub(crate) duration_ms: u32,
    /// Samples on its page.
    pub(crate) samples: u32,
    /// Failures in a row.
    pub(crate) failures: u32,
}

impl Default for EndpointState {
    fn default() -> Self {
        Self { health: "unknown", error: None, last_scrape: None, duration_ms: 0, samples: 0, failures: 0 }
    }
}

impl EndpointState {
    /// The endpoint at `url` of a server. Once its main endpoint fails, the others are given up: nobody knows.
    pub(crate) fn of(view: &ServerView, url: &str) -> Self {
        let standing = &view.standing;
        let told = standing.reading.iter().flat_map(|reading| &reading.endpoints).find(|told| *told.url == *url);
        let Some(told) = told else { return Self::default() };
        // A fault of our own at the main endpoint tells nothing of any.
        let main = standing.last_failure.as_ref().filter(|failure| !failure.reason.is_local());
        let (health, error) = match (main, &told.failure) {
            (Some(_), _) => ("unknown", Some("given up: the main endpoint failed".to_owned())),
            (None, Some(failure)) => ("down", Some(failure.to_string())),
            (None, None) => ("up", None),
        };
        let (last_scrape, duration_ms) = (standing.last_heartbeat, told.duration_ms);
        Self { health, error, last_scrape, duration_ms, samples: told.samples, failures: told.failures }
    }
}
