//! `[scrape]`: how targets are scraped.

use std::time::Duration;

use mect_fleet::{Network, TargetPolicy};
use serde::Deserialize;

use super::check;
use crate::schedule::{RECHECK_BURST, RECHECK_SHARE};

/// A scrape of a silent host ends after this time, unless the configuration says otherwise.
const DEFAULT_TIMEOUT_SECONDS: f64 = 10.0;

/// How targets are scraped.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrape {
    /// Each target is scraped this often.
    pub interval_seconds: f64,
    /// A scrape takes at most this long, from connecting to the last byte. 10 s, or the interval if that is shorter.
    pub timeout_seconds: Option<f64>,
    /// After a first failure the next check comes this much later instead of a whole interval.
    pub recheck_seconds: f64,
    /// Scrapes at once. Each holds a socket and at most one page in memory. By default as many as it takes to keep the
    /// rhythm when no target answers at all.
    pub max_in_flight: Option<usize>,
    /// Keep connections between scrapes.
    pub keep_alive: KeepAlive,
    /// Bytes of a page on the wire.
    pub max_wire_bytes: usize,
    /// Bytes of a page after decompression.
    pub max_page_bytes: usize,
    /// Samples of a page.
    pub max_samples: usize,
    /// Networks that are not reached from the Internet, loopback and private ones among them, in which targets may be.
    pub inside_networks: Vec<Network>,
}

impl Default for Scrape {
    fn default() -> Self {
        Self {
            interval_seconds: 120.0,
            timeout_seconds: None,
            recheck_seconds: 15.0,
            max_in_flight: None,
            keep_alive: KeepAlive::Auto,
            max_wire_bytes: 512 * 1024,
            max_page_bytes: 2 * 1024 * 1024,
            max_samples: 2000,
            inside_networks: TargetPolicy::default_networks(),
        }
    }
}

/// Whether a connection outlives its scrape. It saves a handshake and costs a socket and about 10 KiB a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepAlive {
    /// Kept when the interval is at most a minute.
    Auto,
    /// Always kept.
    Always,
    /// Never kept.
    Never,
}

impl Scrape {
    /// Time between two scrapes of a target.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval_seconds)
    }

    /// Bound of one scrape.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS.min(self.interval_seconds)))
    }

    /// Scrapes at once, for that many targets: by default as many as are under way when none of them answers, with their
    /// re-checks. Small fleets start all at once.
    pub fn max_in_flight(&self, targets: usize) -> usize {
        let all_silent = targets as f64 * self.timeout().as_secs_f64() / self.interval_seconds;
        let rechecked = all_silent * (1.0 + RECHECK_SHARE) + f64::from(RECHECK_BURST);
        self.max_in_flight.unwrap_or_else(|| (rechecked.ceil() as usize).min(check::MAX_COUNT))
    }

    /// Which addresses may be scraped, as far as it does not depend on where the collector listens.
    pub(super) fn target_policy(&self) -> TargetPolicy {
        TargetPolicy::new(self.inside_networks.clone())
    }

    /// Delay of a re-check.
    pub fn recheck(&self) -> Duration {
        Duration::from_secs_f64(self.recheck_seconds)
    }

    /// Whether connections outlive their scrape.
    pub fn keeps_connections(&self) -> bool {
        /// Below, the next scrape comes soon enough to be worth a socket.
        const AUTO_UP_TO_SECONDS: f64 = 60.0;
        match self.keep_alive {
            KeepAlive::Auto => self.interval_seconds <= AUTO_UP_TO_SECONDS,
            KeepAlive::Always => true,
            KeepAlive::Never => false,
        }
    }
}
