//! Uptime of the last 30 days, one mark per day, for the rows of a page.
//!
//! The flips of the whole fleet are read at once and kept for a minute, beside the requests: no page waits for them
//! longer than [`PATIENCE`], and one that came too early has no strips.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mect_fleet::store::History;
use mect_fleet::uptime::uptime;
use mect_fleet::{ServerId, ServerView, Timestamp, Transition};
use tokio::sync::watch;
use tokio::time::Instant;

/// Days of a strip.
const DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// How long what was read is good.
const KEPT: Duration = Duration::from_secs(60);
/// A page waits no longer for the store.
const PATIENCE: Duration = Duration::from_millis(300);
/// A store that takes longer is asked again later.
const READING: Duration = Duration::from_secs(30);
/// From this share of a day on it counts as good, and from the second as bad no longer.
const GOOD: f64 = 0.999;
const FAIR: f64 = 0.95;

/// Flips that are read: more than a fleet makes in these days unless something is very wrong. Beyond, the oldest days have
/// no marks.
const MAX_FLIPS: usize = 100_000;

/// The flips of the fleet.
#[derive(Default)]
pub(crate) struct Flips {
    /// Oldest first.
    by_server: HashMap<ServerId, Vec<Transition>>,
    /// All of them from here on are known.
    since: Timestamp,
}

impl Flips {
    /// Of `flips`, which are newest first.
    fn of(flips: Vec<Transition>) -> Self {
        let cut = flips.last().filter(|_| flips.len() >= MAX_FLIPS);
        let mut found = Self { since: cut.map(|flip| flip.at).unwrap_or_default(), ..Self::default() };
        for flip in flips.into_iter().rev() {
            found.by_server.entry(flip.server).or_default().push(flip);
        }
        found
    }

    /// The share, 0–1, of the last `span` in which a server was not down; `None` when it was not judged in it.
    pub(crate) fn uptime(&self, view: &ServerView, span: Duration, now: Timestamp) -> Option<f64> {
        let from = (now - span).max(self.since);
        let flips = self.by_server.get(&view.server.id).map(Vec::as_slice).unwrap_or_default();
        uptime(&view.standing, since(flips, from), from..now)
    }
}

/// Flips, read once for all readers.
#[derive(Default)]
pub(crate) struct Strips(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Option<(Instant, Arc<Flips>)>,
    /// Somebody reads just now; changes when that is over.
    reading: Option<watch::Receiver<()>>,
}

/// One row's strip: path data of marks, one unit wide and ten high for each day, by how the day was.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Strip {
    pub(crate) good: String,
    pub(crate) fair: String,
    pub(crate) bad: String,
    /// Not judged.
    pub(crate) none: String,
    /// What people read: `99.95 % up in 30 days`.
    pub(crate) title: String,
}

impl Strips {
    /// The flips of the last 30 days; `None` when the store does not tell them in time. A result that is a little old is
    /// better than to wait.
    pub(crate) async fn flips(self: &Arc<Self>, history: &Arc<dyn History>) -> Option<Arc<Flips>> {
        let (known, reading) = {
            let mut state = self.state();
            let known = state.kept.clone();
            if known.as_ref().is_some_and(|(at, _)| at.elapsed() < KEPT) {
                return known.map(|(_, flips)| flips);
            }
            let reading = match &state.reading {
                Some(reading) => reading.clone(),
                None => {
                    let (done, reading) = watch::channel(());
                    state.reading = Some(reading.clone());
                    tokio::spawn(Arc::clone(self).read(Arc::clone(history), done));
                    reading
                }
            };
            (known, reading)
        };
        if let Some((_, flips)) = known {
            return Some(flips);
        }
        let mut reading = reading;
        // The sender goes when the reading is over, well or not.
        let _ = tokio::time::timeout(PATIENCE, reading.changed()).await;
        self.state().kept.clone().map(|(_, flips)| flips)
    }

    async fn read(self: Arc<Self>, history: Arc<dyn History>, _done: watch::Sender<()>) {
        let read = history.transitions_before(None, Timestamp::MAX, MAX_FLIPS);
        let read = tokio::time::timeout(READING, read).await.map(|read| read.map(Flips::of));
        let mut state = self.state();
        state.reading = None;
        match read {
            Ok(Ok(flips)) => state.kept = Some((Instant::now(), Arc::new(flips))),
            Ok(Err(error)) => tracing::warn!(%error, "the fleet page is shown without uptime"),
            Err(_) => tracing::warn!("the fleet page is shown without uptime: the store takes longer than {READING:?}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strip {
    /// The strip of a server; `None` when it was never judged in these days.
    pub(crate) fn of(view: &ServerView, flips: &Flips, now: Timestamp) -> Option<Self> {
        let (known_since, start) = (flips.since, now - DAY * DAYS);
        let flips = flips.by_server.get(&view.server.id).map(Vec::as_slice).unwrap_or_default();
        let told = start.max(known_since);
        let whole = uptime(&view.standing, since(flips, told), told..now)?;
        let mut strip = Self { title: title(whole, now.since(told)), ..Self::default() };
        for day in 0..DAYS {
            let from = start + DAY * day;
            let range = from..from + DAY;
            // Before its first heartbeat, a server that never flipped since was not there.
            let known = view.standing.first_heartbeat.is_none_or(|first| first < range.end) && from >= known_since;
            let share = uptime(&view.standing, since(flips, from), range).filter(|_| known);
            let marks = match share {
                None => &mut strip.none,
                Some(share) if share >= GOOD => &mut strip.good,
                Some(share) if share >= FAIR => &mut strip.fair,
                Some(_) => &mut strip.bad,
            };
            marks.push_str(&format!("M{day}.5 0v10"));
        }
        Some(strip)
    }
}

fn since(flips: &[Transition], from: Timestamp) -> &[Transition] {
    flips.get(flips.partition_point(|flip| flip.at < from)..).unwrap_or_default()
}

/// Never 100 % for a server that was down.
fn title(share: f64, span: Duration) -> String {
    let percent = (share * 10_000.0).floor() / 100.0;
    format!("{percent} % up in {} days", span.as_secs().div_ceil(DAY.as_secs()))
}

#[cfg(test)]
mod tests {
    use mect_fleet::HealthState;
    use mect_fleet::store::Registration;
    use mect_fleet::{Health, Server, Standing};

    use super::*;

    #[test]
    fn each_day_has_one_mark() {
        let now = Timestamp::from_secs(1_795_000_000);
        let server = Server::new("srv-abcdefgh".parse().unwrap(), &Registration::default(), now);
        let state = HealthState { health: Health::Active, ..HealthState::default() };
        let first = Some(now - DAY * 3);
        let standing = Standing { state, first_heartbeat: first, ..Standing::default() };
        let view = ServerView { monitored: true, ..ServerView::new(Arc::new(server), standing) };
        let flip = |before: Duration, from, to| Transition {
            server: view.server.id,
            number: 1,
            at: now - before,
            from,
            to,
            reason: None,
            checks: 1,
        };
        let flips = [
            flip(DAY * 3, Health::Pending, Health::Active),
            flip(DAY + DAY / 2, Health::Active, Health::Down),
            flip(DAY + DAY / 4, Health::Down, Health::Active),
        ];
        let newest_first = flips.into_iter().rev().collect::<Vec<_>>();
        let strip = Strip::of(&view, &Flips::of(newest_first.clone()), now).unwrap();
        assert_eq!(strip.good, "M27.5 0v10M29.5 0v10");
        assert_eq!((strip.bad.as_str(), strip.fair.as_str()), ("M28.5 0v10", ""));
        assert_eq!(strip.none.matches('M').count(), 27);
        assert_eq!(strip.title, "91.66 % up in 30 days");
        let quiet = Strip::of(&view, &Flips::default(), now).unwrap();
        assert_eq!((quiet.good.matches('M').count(), quiet.title.as_str()), (3, "100 % up in 30 days"));
        let cut = Flips { since: now - DAY * 2, ..Flips::of(newest_first) };
        let cut = Strip::of(&view, &cut, now).unwrap();
        assert_eq!((cut.none.matches('M').count(), cut.title.as_str()), (28, "87.5 % up in 2 days"));
    }
}
