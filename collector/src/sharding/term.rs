//! Until when the leases that are held are good, as the engine must know it before every scrape.
//!
//! By the monotonic clock, which goes on while a process is stopped: one that was stopped for longer than its leases
//! last does not scrape on as if nothing had happened, but waits until it has asked the store.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// No end is known: the store does not answer.
const SUSPENDED: u64 = u64::MAX;

/// The end of the present term.
#[derive(Debug)]
pub struct Term {
    origin: Instant,
    /// Milliseconds after the origin.
    end: AtomicU64,
}

impl Default for Term {
    fn default() -> Self {
        Self::new()
    }
}

impl Term {
    /// A term that is over.
    pub fn new() -> Self {
        Self { origin: Instant::now(), end: AtomicU64::new(0) }
    }

    /// A term without end, of a collector that shares its fleet with nobody.
    pub fn endless() -> Self {
        Self { origin: Instant::now(), end: AtomicU64::new(SUSPENDED) }
    }

    /// True when the leases may have run out: nothing is to be scraped until they are prolonged.
    pub fn is_over(&self) -> bool {
        self.end.load(Ordering::Acquire) <= self.millis(Instant::now())
    }

    pub(super) fn prolong(&self, until: Instant) {
        self.end.store(self.millis(until), Ordering::Release);
    }

    /// What is held may be scraped until the store answers again. Without effect on a term that is over: whoever was
    /// stopped for so long that others took over must ask first.
    pub(super) fn suspend(&self) {
        if !self.is_over() {
            self.end.store(SUSPENDED, Ordering::Release);
        }
    }

    fn millis(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.origin).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_term_ends_unless_it_is_prolonged_or_the_store_is_away() {
        let term = Term::new();
        assert!(term.is_over());
        term.suspend();
        assert!(term.is_over(), "nothing was ever held");
        term.prolong(Instant::now() + Duration::from_secs(30));
        assert!(!term.is_over());
        tokio::time::advance(Duration::from_secs(31)).await;
        term.suspend();
        assert!(term.is_over(), "others may hold it by now");
        term.prolong(Instant::now() + Duration::from_secs(30));
        term.suspend();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(!term.is_over());
        term.prolong(Instant::now() + Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(term.is_over());
        assert!(!Term::endless().is_over());
    }
}
