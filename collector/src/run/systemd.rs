//! Tells systemd, where it started us, that we are ready, alive, or about to stop.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::Pulse;

/// Signs of life per watchdog interval: one may get lost, and one come late.
const PER_INTERVAL: u32 = 3;

/// Everything is started.
pub(super) fn ready() {
    notify(NotifyState::Ready);
}

/// The end has begun.
pub(super) fn stopping() {
    notify(NotifyState::Stopping);
}

/// The interval in which systemd wants a sign of life; `None` where it wants none.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives systemd signs of life until `stop`, each after the engine gave one: a collector that does not scrape is
/// restarted.
pub(super) async fn watch(engine: mpsc::Sender<Pulse>, interval: Duration, stop: CancellationToken) {
    let beat = || notify(NotifyState::Watchdog);
    // The engine is gone only when everything ends.
    stop.run_until_cancelled(beat_with(engine, interval / PER_INTERVAL, beat)).await;
}

async fn beat_with(engine: mpsc::Sender<Pulse>, every: Duration, beat: impl Fn()) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        let (pulse, felt) = oneshot::channel();
        let asked = async {
            // Still full of unanswered questions: that is an answer too.
            engine.try_send(pulse).ok()?;
            felt.await.ok()
        };
        if let Ok(Some(())) = timeout(every, asked).await {
            beat();
        }
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_pulse_of_the_engine_there_is_no_sign_of_life() {
        let (engine, mut pulses) = mpsc::channel::<Pulse>(1);
        let (beats, every) = (AtomicU32::new(0), Duration::from_secs(1));
        let beating = beat_with(engine, every, || _ = beats.fetch_add(1, Relaxed));
        tokio::pin!(beating);
        let lively = async {
            for _ in 0..5 {
                pulses.recv().await.unwrap().send(()).unwrap();
            }
        };
        tokio::select! {
            () = &mut beating => unreachable!(),
            () = lively => {}
        }
        let _ = timeout(every / 2, &mut beating).await;
        assert_eq!(beats.load(Relaxed), 5);
        let _ = timeout(every * 60, &mut beating).await;
        assert_eq!(beats.load(Relaxed), 5, "an engine that stands still");
    }
}
