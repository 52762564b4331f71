//! How many files may be open at once: every scrape under way and every browser holds a socket.

use rustix::process::{Resource, getrlimit};

use super::{Finding, Site};
use crate::run::OTHER_FILES;

const CHECK: &str = "open files";
/// Without so many beside the scrapes nothing goes on: store, log, a few browsers.
const LEAST_OTHER_FILES: u64 = 128;
/// A limit that is used up to this part is near.
const NEARLY: f64 = 0.8;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    /// `None`: any number.
    allowed: Option<u64>,
    /// Of a running collector.
    used: Option<u64>,
    /// Scrapes at once, at most.
    scrapes: u64,
    /// Targets there are.
    targets: u64,
}

pub(super) fn check(site: &Site) -> Finding {
    let (allowed, used) = match &site.running {
        Ok(status) => (status.open_files_allowed, Some(status.open_files)),
        // A start raises the limit as far as it may.
        Err(_) => (getrlimit(Resource::Nofile).maximum, None),
    };
    let targets = site.candidates.len();
    let scrapes = site.config.scrape.max_in_flight(targets) as u64;
    judge(Facts { allowed, used, scrapes, targets: targets as u64 })
}

fn judge(facts: Facts) -> Finding {
    let Facts { allowed, used, scrapes, targets } = facts;
    let (wanted, least) = (scrapes + OTHER_FILES, scrapes.min(targets) + LEAST_OTHER_FILES);
    let whose = if used.is_some() { "the running collector" } else { "a collector started like this" };
    let advice = || format!("raise LimitNOFILE in the unit, or `ulimit -n`, to {wanted}");
    let Some(allowed) = allowed else { return Finding::ok(CHECK, format!("{whose} may have any number")) };
    let text = format!("{whose} may have {allowed}");
    if allowed < least {
        return Finding::problem(CHECK, format!("{text}, and {targets} targets need {least} at least"), advice());
    }
    if let Some(used) = used.filter(|used| *used as f64 > NEARLY * allowed as f64) {
        return Finding::warning(CHECK, format!("{text}, and has {used} of them"), advice());
    }
    if allowed < wanted {
        return Finding::warning(CHECK, format!("{text}; with all scrapes at once it may need {wanted}"), advice());
    }
    let used = used.map_or(String::new(), |used| format!(" and has {used}"));
    Finding::ok(CHECK, format!("{text}{used}; {targets} targets need at most {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    #[test]
    fn a_limit_is_measured_by_the_fleet() {
        let facts = Facts { allowed: Some(65_536), used: None, scrapes: 1000, targets: 200 };
        assert_eq!(judge(facts).verdict, Fine);
        assert_eq!(judge(Facts { allowed: None, ..facts }).verdict, Fine);
        assert_eq!(judge(Facts { allowed: Some(1024), ..facts }).verdict, Warning);
        assert_eq!(judge(Facts { allowed: Some(327), ..facts }).verdict, Problem);
        assert_eq!(judge(Facts { allowed: Some(328), ..facts }).verdict, Warning);
        assert_eq!(judge(Facts { scrapes: 100_000, targets: 100_000, ..facts }).verdict, Problem);
        assert_eq!(judge(Facts { used: Some(60_000), ..facts }).verdict, Warning);
        assert_eq!(judge(Facts { used: Some(300), ..facts }).verdict, Fine);
    }
}
