//! How far a move is, as lines: one a second while something goes on, and one at the end of every part.

use std::io::Write;
use std::time::{Duration, Instant};

use mect_fleet::migration::{Progress, Stage, Watch};

/// Lines come this often at most.
const EVERY: Duration = Duration::from_secs(1);

/// Prints to the standard output.
#[derive(Default)]
pub(super) struct Lines {
    part: Option<Part>,
}

/// A part of the work as it was first and last told of.
struct Part {
    stage: Stage,
    started: Instant,
    printed: Instant,
}

impl Watch for Lines {
    fn told(&mut self, progress: Progress) {
        let now = Instant::now();
        let part = match &mut self.part {
            Some(part) if part.stage == progress.stage => part,
            _ => self.part.insert(Part { stage: progress.stage, started: now, printed: now }),
        };
        if progress.is_end || now.duration_since(part.printed) >= EVERY {
            part.printed = now;
            // That nobody reads it any more is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{}", line(&progress, now.duration_since(part.started)));
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
}
