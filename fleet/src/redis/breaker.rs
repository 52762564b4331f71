//! Leaves a server alone that does not answer. Pure: told the time.

use std::time::{Duration, Instant};

/// Failures in a row after which the server is left alone.
const FAILURES: u32 = 3;
/// For so long; then one call may try, and the next only after it succeeded or as much time again.
const PAUSE: Duration = Duration::from_secs(3);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    paused_until: Option<Instant>,
}

impl Breaker {
    /// True when a call may be made.
    pub(super) fn permits(&mut self, now: Instant) -> bool {
        match self.paused_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.paused_until = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }

    /// A call was answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call was not answered.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.paused_until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_pause_the_calls_and_one_call_probes() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            assert!(breaker.permits(now));
            breaker.failed(now);
        }
        assert!(!breaker.permits(now));
        let later = now + PAUSE;
        assert!(breaker.permits(later) && !breaker.permits(later), "one probe");
        breaker.failed(later);
        assert!(!breaker.permits(later));
        assert!(breaker.permits(later + PAUSE));
        breaker.succeeded();
        assert!(breaker.permits(later) && breaker.permits(later));
    }
}
