//! Uptime: the share of a time span in which a server was not down. Pure.
//!
//! Computed from flips of health, not from counts of scrapes: re-checks cluster around failures, and a collector that
//! did not run must not count for or against a server.

use std::ops::Range;

use crate::health::{Health, Transition};
use crate::time::Timestamp;
use crate::view::Standing;

/// The share, 0–1, of the judged part of `range` in which the server was not down; `None` when it was not judged in
/// it. `transitions` are all of this server since the start of `range`, oldest first; `standing` is its latest.
pub fn uptime(standing: &Standing, transitions: &[Transition], range: Range<Timestamp>) -> Option<f64> {
    let (mut judged, mut down) = (0.0, 0.0);
    let mut count = |health: Health, from: Timestamp, to: Timestamp| {
        let seconds = to.min(range.end).since(from.max(range.start)).as_secs_f64();
        judged += if health == Health::Pending { 0.0 } else { seconds };
        down += if health == Health::Down { seconds } else { 0.0 };
    };
    let mut from = range.start;
    for transition in transitions {
        count(transition.from, from, transition.at);
        from = transition.at.max(range.start);
    }
    let known = transitions.last();
    let latest = standing.state.since.filter(|since| *since > known.map_or(range.start, |last| last.at));
    match latest {
        // Flips may have been read a while ago: since then there was at least this one.
        Some(since) => {
            count(known.map_or_else(|| before(standing, since), |last| last.to), from, since);
            count(standing.state.health, since, range.end);
        }
        None => count(known.map_or(standing.state.health, |last| last.to), from, range.end),
    }
    (judged > 0.0).then(|| 1.0 - down / judged)
}

/// What a server was before its latest flip, as far as its standing tells.
fn before(standing: &Standing, since: Timestamp) -> Health {
    let answered = standing.first_heartbeat.is_some_and(|first| first < since);
    match standing.state.health {
        Health::Down if answered => Health::Active,
        Health::Active | Health::Degraded if standing.state.recovered_at == Some(since) => Health::Down,
        Health::Active | Health::Degraded if answered => Health::Active,
        _ => Health::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthState;

    fn flip(at: i64, from: Health, to: Health) -> Transition {
        let server = "srv-abcdefgh".parse().unwrap();
        Transition { server, number: 1, at: Timestamp::from_secs(at), from, to, reason: None, checks: 1 }
    }

    fn standing(health: Health) -> Standing {
        Standing { state: HealthState { health, ..HealthState::default() }, ..Standing::default() }
    }

    fn share(health: Health, flips: &[Transition]) -> Option<f64> {
        uptime(&standing(health), flips, Timestamp::from_secs(0)..Timestamp::from_secs(1000))
    }

    #[test]
    fn without_a_flip_the_standing_counts() {
        assert_eq!(share(Health::Active, &[]), Some(1.0));
        assert_eq!(share(Health::Down, &[]), Some(0.0));
        assert_eq!(share(Health::Pending, &[]), None);
    }

    #[test]
    fn a_flip_that_was_not_read_yet_counts_from_its_time() {
        let at = Timestamp::from_secs;
        let state =
            |health, recovered_at| HealthState { health, since: Some(at(900)), recovered_at, ..HealthState::default() };
        let share = |state: HealthState, first, flips: &[Transition], end| {
            let standing = Standing { state, first_heartbeat: first, ..Standing::default() };
            uptime(&standing, flips, at(0)..at(end))
        };
        let known = [flip(100, Health::Pending, Health::Active)];
        assert_eq!(share(state(Health::Down, None), Some(at(100)), &known, 1100), Some(0.8));
        assert_eq!(share(state(Health::Down, None), Some(at(-5)), &[], 1000), Some(0.9));
        assert_eq!(share(state(Health::Down, None), Some(at(-5)), &[], 800), Some(1.0), "a day before it");
        assert_eq!(share(state(Health::Down, None), None, &[], 1000), Some(0.0), "it never answered");
        assert_eq!(share(state(Health::Active, Some(at(900))), Some(at(-5)), &[], 1000), Some(1.0 - 0.9));
        assert_eq!(share(state(Health::Degraded, None), Some(at(-5)), &[], 1000), Some(1.0));
    }

    #[test]
    fn time_before_the_first_judgement_does_not_count() {
        let flips = [flip(500, Health::Pending, Health::Active), flip(900, Health::Active, Health::Down)];
        assert_eq!(share(Health::Down, &flips), Some(0.8));
    }

    #[test]
    fn degraded_is_up_and_flips_beyond_the_end_are_cut() {
        let flips = [
            flip(200, Health::Active, Health::Down),
            flip(300, Health::Down, Health::Degraded),
            flip(2000, Health::Degraded, Health::Down),
        ];
        assert_eq!(share(Health::Down, &flips), Some(0.9));
    }
}
