//! How long the engine did not run when it should have: on a host that is too busy, a scrape may run out of time because
//! nobody looked at what had come. That is our own fault, and tells nothing of the server.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mect_fleet::{Failure, FailureReason};
use tokio::time::Instant;

/// The engine looks at the clock this often…
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// …and is held up when it comes later than this: pages are read meanwhile, a few milliseconds each.
const HELD_UP: Duration = Duration::from_millis(50);
/// So much of a scrape's time must have been lost here before its failure says nothing.
const SHARE: f64 = 0.5;

/// What the engine missed since the start.
#[derive(Default)]
pub(super) struct Stalls {
    millis: AtomicU64,
}

impl Stalls {
    /// Measures, on the runtime that is measured, until it is dropped.
    pub(super) async fn watch(&self) -> Infallible {
        let mut before = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = Instant::now();
            let late = (now - before).saturating_sub(LOOK_EVERY);
            if late > HELD_UP {
                self.millis.fetch_add(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            before = now;
        }
    }

    /// Time that was missed so far.
    pub(super) fn total(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// What to say of a scrape that failed after `duration`, of which it may have taken `timeout`; `before` was missed when
    /// it began.
    pub(super) fn excuse(&self, failure: Failure, before: Duration, duration: Duration, timeout: Duration) -> Failure {
        // The latest stall may not be counted yet, but it shows in how late the scrape was ended.
        let missed = self.total().saturating_sub(before).max(duration.saturating_sub(timeout));
        if duration < timeout || missed < timeout.mul_f64(SHARE) {
            return failure;
        }
        let detail = format!("{} ({failure}), but this collector was held up for {missed:.1?}", failure.reason.name());
        Failure::new(FailureReason::Local, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn reason(missed: u64, duration: f64) -> FailureReason {
        let stalls = Stalls::default();
        let before = Duration::from_millis(300);
        stalls.millis.store(300 + missed, Ordering::Relaxed);
        let failure = Failure::new(FailureReason::HeadTimeout, "after 10 s");
        stalls.excuse(failure, before, Duration::from_secs_f64(duration), TIMEOUT).reason
    }

    #[test]
    fn who_had_no_time_is_not_to_blame() {
        assert_eq!(reason(0, 10.1), FailureReason::HeadTimeout);
        assert_eq!(reason(4_900, 10.1), FailureReason::HeadTimeout, "most of the time was the server's");
        assert_eq!(reason(5_000, 10.1), FailureReason::Local);
        assert_eq!(reason(0, 15.1), FailureReason::Local, "a stall that was not counted yet");
        assert_eq!(reason(9_000, 3.0), FailureReason::HeadTimeout, "it failed by itself");
    }

    #[tokio::test]
    async fn an_engine_that_does_not_run_is_noticed() {
        let stalls = std::sync::Arc::new(Stalls::default());
        let watched = std::sync::Arc::clone(&stalls);
        let watching = tokio::spawn(async move { watched.watch().await });
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(700));
        while stalls.total().is_zero() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(stalls.total() >= Duration::from_millis(500), "{:?}", stalls.total());
        watching.abort();
    }
}
