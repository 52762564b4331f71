//! The clock by which the schedule lives.

use std::cell::Cell;
use std::time::Duration;

use mect_fleet::Timestamp;

use crate::schedule::Tick;

/// Wall-clock milliseconds that never step back: the monotonic clock, set to the wall clock at the start and set forward
/// when that has gone on alone, as it does while a machine is suspended.
pub(super) struct Clock {
    started: tokio::time::Instant,
    epoch: Cell<Tick>,
}

impl Clock {
    /// The wall clock may be ahead by this much: less is what time synchronisation does all day.
    const AHEAD: Tick = 2000;

    pub(super) fn start() -> Self {
        Self { started: tokio::time::Instant::now(), epoch: Cell::new(Self::wall()) }
    }

    fn wall() -> Tick {
        Tick::try_from(Timestamp::now().as_millis()).unwrap_or(0)
    }

    pub(super) fn now(&self) -> Tick {
        let since_start = self.started.elapsed().as_millis() as Tick;
        let (now, wall) = (self.epoch.get() + since_start, Self::wall());
        if wall > now + Self::AHEAD {
            self.epoch.set(wall - since_start);
            return wall;
        }
        now
    }

    /// Sleeps until `tick`; for ever without one.
    pub(super) async fn sleep_until(&self, tick: Option<Tick>) {
        match tick {
            Some(tick) => {
                let since_start = Duration::from_millis(tick.saturating_sub(self.epoch.get()));
                tokio::time::sleep_until(self.started + since_start).await;
            }
            None => std::future::pending().await,
        }
    }
}
