//! How far a move is, as lines: one a second while something goes on, and one at the end of every part.

use std::io::Write;
use std::time::{Duration, Instant};

use mect_fleet::migration::{Progress, Watch};

/// Lines come this often at most.
const EVERY: Duration = Duration::from_secs(1);

/// Prints to the standard output. A part began when the one before ended, the first one when this was made.
pub(super) struct Lines {
    began: Instant,
    printed: Instant,
}

impl Lines {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, printed: now }
    }

    /// What is to be printed of this, if anything.
    fn due(&mut self, progress: &Progress, now: Instant) -> Option<String> {
        if !progress.is_end && now.duration_since(self.printed) < EVERY {
            return None;
        }
        let text = line(progress, now.duration_since(self.began));
        self.printed = now;
        if progress.is_end {
            self.began = now;
        }
        Some(text)
    }
}

impl Watch for Lines {
    fn told(&mut self, progress: Progress) {
        if let Some(text) = self.due(&progress, Instant::now()) {
            // That nobody reads it any more is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

fn line(progress: &Progress, since: Duration) -> String {
    let Progress { stage, done, day, is_end } = *progress;
    let seconds = since.as_secs_f64();
    // Of a moment a rate says nothing.
    let rate = if seconds >= 0.1 { format!(", {:.0} a second", done as f64 / seconds) } else { String::new() };
    let day = day.map_or(String::new(), |day| format!(" up to {}", &day.to_string()[..10]));
    if is_end {
        format!("{stage}: {done} in {seconds:.1} s{rate}")
    } else {
        format!("{stage}:{day} {done} so far{rate}")
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::Timestamp;
    use mect_fleet::migration::Stage;

    use super::*;

    #[test]
    fn lines_tell_day_number_and_rate() {
        let day = Some(Timestamp::from_secs(1_790_035_200));
        let progress = Progress { stage: Stage::Scrapes, done: 5000, day, is_end: false };
        let told = line(&progress, Duration::from_secs(2));
        assert_eq!(told, "scrapes: up to 2026-09-22 5000 so far, 2500 a second");
        let ended = Progress { stage: Stage::Users, done: 3, day: None, is_end: true };
        assert_eq!(line(&ended, Duration::from_millis(20)), "users: 3 in 0.0 s");
    }
    #[test]
    fn a_part_takes_what_passed_since_the_one_before_ended() {
        let mut lines = Lines::new();
        let started = lines.began;
        let after = |millis| started + Duration::from_millis(millis);
        let told = |stage, done, is_end| Progress { stage, done, day: None, is_end };
        assert_eq!(lines.due(&told(Stage::Users, 1, false), after(500)), None, "a line a second");
        let users = lines.due(&told(Stage::Users, 8, true), after(2000)).unwrap();
        assert_eq!(users, "users: 8 in 2.0 s, 4 a second");
        // Told of once, at its end.
        let scrapes = lines.due(&told(Stage::Scrapes, 300, true), after(5000)).unwrap();
        assert_eq!(scrapes, "scrapes: 300 in 3.0 s, 100 a second");
    }
}
