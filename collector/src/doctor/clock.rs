//! This machine's clock, against the database's and against what targets say the time is.
//!
//! A clock that is off makes heartbeats old or early, and tokens void; leases go by the database's clock alone.

use mect_fleet::Timestamp;

use super::{Finding, Site};

const CHECK: &str = "clock";
/// A date in an answer has no fractions of a second, and the answer was under way.
const DATE_ERROR_MS: i64 = 2000;
/// Time synchronisation keeps within this, whoever asks.
const FINE_MS: i64 = 2000;
/// From here on a tick of a minute falls into the wrong minute, and tokens look expired.
const WRONG_MS: i64 = 30_000;
/// Targets that are named.
const NAMED: usize = 3;

/// A clock and by how many milliseconds it is ahead of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Other {
    name: String,
    ahead_ms: i64,
}

pub(super) fn check(site: &Site) -> Finding {
    let database = site.database.as_ref().and_then(|database| database.as_ref().ok());
    let database = database.map(|found| Other { name: "the database".into(), ahead_ms: found.clock_ahead_ms });
    let targets = site.answers.iter().filter_map(|answer| {
        let (date, at) = (answer.date?, answer.at);
        Some(Other { name: answer.address.clone(), ahead_ms: ahead(date, at) })
    });
    judge(database.as_ref(), &targets.collect::<Vec<_>>())
}

/// By how much a date of whole seconds is ahead of the moment at which it came.
fn ahead(date: Timestamp, at: Timestamp) -> i64 {
    const HALF_SECOND_MS: i64 = 500;
    date.as_millis().saturating_add(HALF_SECOND_MS).saturating_sub(at.as_millis())
}

/// The database counts most. Of targets several that agree: one that is off is itself wrong.
fn judge(database: Option<&Other>, targets: &[Other]) -> Finding {
    if let Some(database) = database
        && database.ahead_ms.abs() > FINE_MS
    {
        return off(database);
    }
    let mut sorted = targets.to_vec();
    sorted.sort_by_key(|target| target.ahead_ms);
    let median = sorted.get(sorted.len() / 2);
    if let (None, Some(median), true) = (database, median, sorted.len() > 1)
        && median.ahead_ms.abs() > FINE_MS + DATE_ERROR_MS
    {
        return off(&Other { name: format!("{} targets, in the middle,", sorted.len()), ..median.clone() });
    }
    let strays = targets.iter().filter(|target| target.ahead_ms.abs() > FINE_MS + DATE_ERROR_MS);
    let strays: Vec<_> = strays.map(|stray| format!("{} by {}", stray.name, seconds(stray.ahead_ms))).collect();
    if !strays.is_empty() {
        let named = strays[..strays.len().min(NAMED)].join(", ");
        let text = format!("targets with another time than this machine: {named}");
        return Finding::warning(CHECK, text, "see that they, and this machine, synchronise their time");
    }
    match (database, targets.len()) {
        (None, 0) => Finding::ok(CHECK, "nothing answered that it could be compared with"),
        (None, targets) => Finding::ok(CHECK, format!("agrees with {targets} targets")),
        (Some(database), targets) => {
            let by = seconds(database.ahead_ms);
            Finding::ok(CHECK, format!("agrees with the database ({by}) and {targets} targets"))
        }
    }
}

fn off(other: &Other) -> Finding {
    let text = format!("this machine's clock is off: {} is {} from it", other.name, seconds(other.ahead_ms));
    let advice = "synchronise the time of both (systemd-timesyncd, chrony)";
    if other.ahead_ms.abs() > WRONG_MS {
        Finding::problem(CHECK, text, advice)
    } else {
        Finding::warning(CHECK, text, advice)
    }
}

/// `+1.5 s`
fn seconds(ms: i64) -> String {
    format!("{:+.1} s", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{self, Ok as Fine, Problem, Warning};
    use super::*;

    fn verdict(database: Option<i64>, targets: &[i64]) -> Verdict {
        let other = |ahead_ms: i64| Other { name: "192.0.2.1:9776".into(), ahead_ms };
        judge(database.map(other).as_ref(), &targets.iter().map(|ms| other(*ms)).collect::<Vec<_>>()).verdict
    }

    #[test]
    fn the_database_decides() {
        assert_eq!(verdict(Some(300), &[]), Fine);
        assert_eq!(verdict(Some(-5000), &[0, 0, 0]), Warning);
        assert_eq!(verdict(Some(60_000), &[]), Problem);
        assert_eq!(verdict(Some(0), &[60_000, 60_000]), Warning, "the targets are off, not we");
    }

    #[test]
    fn targets_that_agree_decide_without_one() {
        assert_eq!(verdict(None, &[]), Fine);
        assert_eq!(verdict(None, &[900, -1500, 1200]), Fine);
        assert_eq!(verdict(None, &[60_000, 59_000, 61_000]), Problem);
        assert_eq!(verdict(None, &[10_000, 9_000, 0, 11_000]), Warning);
        assert_eq!(verdict(None, &[0, 60_000, 0]), Warning, "one of them is off");
        assert_eq!(verdict(None, &[60_000]), Warning, "who is off cannot be told");
    }

    #[test]
    fn a_date_is_taken_for_the_middle_of_its_second() {
        assert_eq!(ahead(Timestamp::from_secs(100), Timestamp::from_millis(100_900)), -400);
    }
}
