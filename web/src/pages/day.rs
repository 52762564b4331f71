//! The fleet over the last day: sums of the views as they came, kept in memory. What the store has is per server, and
//! adding up a day of 50,000 of them is not for a page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mect_fleet::{Fleet, Timestamp};

use crate::pages::format;
use crate::pages::summary::{Summaries, Summary};

/// Length of a step.
const STEP: Duration = Duration::from_secs(300);
/// Steps of a day.
const STEPS: usize = 288;
/// The fleet is looked at so often.
const LOOK: Duration = Duration::from_secs(15);
/// Height of a sparkline's drawing; its width is [`STEPS`].
const HEIGHT: f64 = 40.0;

/// What the fleet did in one step.
#[derive(Debug, Default, Clone, Copy)]
struct Step {
    /// Number of the step since 1970.
    number: i64,
    load: Sum,
    bytes_per_second: Sum,
    sessions: Sum,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    sum: f64,
    count: u32,
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// The last day.
#[derive(Default)]
pub(crate) struct Day(Mutex<VecDeque<Step>>);

/// One quantity over the day, drawn.
pub(crate) struct Sparkline {
    /// Path data, 288 wide and 40 high.
    pub(crate) line: String,
    /// The largest value, with its unit.
    pub(crate) peak: String,
}

/// The three sparklines of the headline.
#[derive(Default)]
pub(crate) struct Sparklines {
    pub(crate) load: Option<Sparkline>,
    pub(crate) traffic: Option<Sparkline>,
    pub(crate) sessions: Option<Sparkline>,
    /// When the first of their steps began, if that is less than a day ago.
    pub(crate) since: Option<Timestamp>,
}

impl Day {
    /// Follows the fleet as long as the site lives.
    pub(crate) fn follow(self: &Arc<Self>, fleet: &Fleet, summaries: &Arc<Summaries>) {
        let (day, summaries) = (Arc::downgrade(self), Arc::clone(summaries));
        let mut views = fleet.subscribe();
        tokio::spawn(async move {
            loop {
                let Some(day) = day.upgrade() else { return };
                let view = views.borrow_and_update().clone();
                if !view.servers().is_empty() {
                    day.note(&summaries.of(&view), Timestamp::now());
                }
                drop((day, view));
                tokio::time::sleep(LOOK).await;
                // A view that stands still is no news: the collector may hang.
                if views.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    fn note(&self, summary: &Summary, now: Timestamp) {
        let number = now.as_secs().div_euclid(STEP.as_secs() as i64);
        let mut steps = self.steps();
        while steps.front().is_some_and(|step| step.number <= number - STEPS as i64) {
            steps.pop_front();
        }
        if steps.back().is_none_or(|step| step.number < number) {
            steps.push_back(Step { number, ..Step::default() });
        }
        // A clock that was set back adds to the newest step.
        let Some(step) = steps.back_mut() else { return };
        step.load.add(summary.mean_load().map(f64::from));
        step.bytes_per_second.add(summary.traffic.map(|(receive, transmit)| receive + transmit));
        step.sessions.add(summary.sessions.map(|sessions| sessions as f64));
    }

    /// The day until `now`, drawn.
    pub(crate) fn sparklines(&self, now: Timestamp) -> Sparklines {
        let first = now.as_secs().div_euclid(STEP.as_secs() as i64) - (STEPS as i64 - 1);
        let steps = self.steps();
        let line = |value: fn(&Step) -> Sum, unit: fn(f64) -> String| {
            let known = steps.iter().filter_map(|step| Some((step.number - first, value(step).mean()?)));
            draw(&known.filter(|(place, _)| *place >= 0).collect::<Vec<_>>(), unit)
        };
        let begin = steps.front().map(|step| step.number).filter(|number| *number > first);
        Sparklines {
            load: line(|step| step.load, |load| format::whole_percent(load as f32)),
            traffic: line(|step| step.bytes_per_second, format::bit_rate),
            sessions: line(|step| step.sessions, |sessions| format::count(sessions as u64)),
            since: begin.map(|number| Timestamp::from_secs(number * STEP.as_secs() as i64)),
        }
    }

    fn steps(&self) -> MutexGuard<'_, VecDeque<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line through `points`, which are places from 0 with their values; broken where a step is missing. The top is the
/// largest value. `None` while there is not a line yet.
fn draw(points: &[(i64, f64)], unit: fn(f64) -> String) -> Option<Sparkline> {
    if points.len() < 2 {
        return None;
    }
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if most > 0.0 { most } else { 1.0 };
    let mut line = String::with_capacity(points.len() * 8);
    let mut before = None;
    for (place, value) in points {
        let verb = if before == Some(place - 1) { 'L' } else { 'M' };
        before = Some(*place);
        line.push_str(&format!("{verb}{place} {:.1}", HEIGHT * (1.0 - value / top)));
        // A step that stands alone is a dot.
        if verb == 'M' {
            line.push_str("h.1");
        }
    }
    Some(Sparkline { line, peak: unit(most) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_nothing_is_known() {
        assert!(draw(&[(0, 1.0)], format::bit_rate).is_none());
        let line = draw(&[(0, 0.0), (1, 2.0), (5, 1.0)], |value| value.to_string()).unwrap();
        assert_eq!((line.line.as_str(), line.peak.as_str()), ("M0 40.0h.1L1 0.0M5 20.0h.1", "2"));
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let (day, start) = (Day::default(), Timestamp::from_secs(1_795_000_000));
        let mut summary = Summary::default();
        summary.sessions = Some(7);
        for step in 0..400 {
            day.note(&summary, start + STEP * step);
        }
        assert_eq!(day.steps().len(), STEPS);
        let now = start + STEP * 399;
        let lines = day.sparklines(now);
        assert!(lines.load.is_none() && lines.since.is_none());
        assert_eq!(lines.sessions.unwrap().peak, "7");
        assert!(day.sparklines(now + STEP * 287).sessions.is_none(), "one step is no line");
        assert_eq!(day.sparklines(now + STEP * 10).since, None);
        day.note(&summary, start);
        assert_eq!(day.steps().len(), STEPS, "a clock that was set back changes nothing");
    }
}
