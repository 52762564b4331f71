//! Tells systemd that the exporter is ready, and alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Requests are accepted. Without systemd nobody is told.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// No more requests are accepted.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Gives a sign of life twice in every interval that systemd asks for; never returns. It runs on the one
/// thread that also serves, so that a thread that hangs gives none.
pub async fn stay_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = interval((limit / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// A socket that is gone is systemd's affair.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
