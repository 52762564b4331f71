//! What a running collector can tell is wrong with it or around it: pure. The command `mect-collector doctor` looks at
//! more, which only it can reach.

use mect_fleet::installation::Facts;
use mect_fleet::store::StoreState;
use mect_fleet::{FleetView, Timestamp};

use crate::pages::format;

/// Share of the open files from which on it gets tight.
const TIGHT: f64 = 0.8;
/// Makers of geolocation databases publish another one every week or month; an older one than this was forgotten.
const OLD_DATABASE_DAYS: u64 = 120;
const DAY: u64 = 86_400;

/// What is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Situation {
    pub(super) facts: Facts,
    pub(super) now: Timestamp,
    pub(super) store_lost_since: Option<Timestamp>,
    pub(super) is_https: bool,
    pub(super) servers: usize,
    /// Servers whose latest check is old.
    pub(super) stale: usize,
    /// Servers whose failures are doubted.
    pub(super) unverified: usize,
    /// Servers that wait for an operator.
    pub(super) waiting: usize,
}

impl Situation {
    pub(super) fn of(view: &FleetView, state: StoreState, facts: &Facts, is_https: bool) -> Self {
        let count = |is: fn(&mect_fleet::ServerView) -> bool| view.servers().iter().filter(|view| is(view)).count();
        Self {
            facts: facts.clone(),
            now: Timestamp::now(),
            store_lost_since: match state {
                StoreState::Lost { since } => Some(since),
                StoreState::Answers => None,
            },
            is_https,
            servers: view.servers().len(),
            stale: count(|view| view.stale && view.monitored),
            unverified: count(mect_fleet::ServerView::is_unverified),
            waiting: count(|view| view.server.awaits_approval),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Problem,
    Warning,
    Fine,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) what: String,
    /// What to do; empty where nothing is to be done.
    pub(crate) advice: &'static str,
}

impl Finding {
    /// The state whose mark it has.
    pub(crate) const fn state(&self) -> &'static str {
        match self.verdict {
            Verdict::Problem => "down",
            Verdict::Warning => "degraded",
            Verdict::Fine => "active",
        }
    }

    /// The word beside the mark.
    pub(crate) const fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Problem => "problem",
            Verdict::Warning => "look at this",
            Verdict::Fine => "fine",
        }
    }
}

fn problem(what: String, advice: &'static str) -> Finding {
    Finding { verdict: Verdict::Problem, what, advice }
}

fn warning(what: String, advice: &'static str) -> Finding {
    Finding { verdict: Verdict::Warning, what, advice }
}

fn fine(what: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Fine, what: what.into(), advice: "" }
}

/// Everything that was found, the worst first.
pub(super) fn judge(situation: &Situation) -> Vec<Finding> {
    let facts = &situation.facts;
    let mut findings = vec![match situation.store_lost_since {
        Some(since) => problem(
            format!("The database has not answered since {}", format::utc(since)),
            "Servers are still checked and shown. See that the database runs and can be reached.",
        ),
        None => fine("The store answers"),
    }];
    findings.extend(facts.redis.map(|is_up| match is_up {
        true => fine("Redis answers"),
        false => warning(
            "Redis does not answer".into(),
            "Nothing is lost; news between collectors come later. See that Redis runs and can be reached.",
        ),
    }));
    findings.extend(facts.bad_target_files.iter().map(|why| {
        problem(format!("Target file not used: {why}"), "What it said before stays in force. Mend the file.")
    }));
    findings.extend(facts.bad_target_lists.iter().map(|why| {
        let todo = "What it said before stays in force. See that its server can be reached and gives a good list.";
        problem(format!("Target list not used: {why}"), todo)
    }));
    if situation.servers > 0 {
        findings.push(match situation.stale {
            0 => fine("Every server is checked in time"),
            stale => problem(
                format!("{} not checked in time", servers(stale, "was", "were")),
                "The collector cannot keep up, or another one that should check them is gone. Its log says more.",
            ),
        });
    }
    if situation.unverified > 0 {
        findings.push(problem(
            format!("{} and cannot be verified", servers(situation.unverified, "fails", "fail")),
            "The collector's own network may be to blame. Name addresses outside of the fleet in [guard] canaries.",
        ));
    }
    if situation.servers == 1 && facts.canaries == 0 {
        findings.push(warning(
            "Nobody can witness that the only server is down".into(),
            "Name an address outside of the fleet in [guard] canaries.",
        ));
    }
    if situation.waiting > 0 {
        findings.push(warning(
            format!("{} for approval", servers(situation.waiting, "waits", "wait")),
            "See who announced itself: let it in, or reject it.",
        ));
    }
    findings.extend(databases(facts, situation.now));
    let (open, allowed) = facts.open_files;
    findings.extend(allowed.filter(|_| open > 0).map(|allowed| match open as f64 >= allowed as f64 * TIGHT {
        true => warning(format!("{open} of {allowed} files are open"), "Raise LimitNOFILE, or `ulimit -n`."),
        false => fine("There is room for open files"),
    }));
    findings.push(match situation.is_https {
        true => fine("Browsers reach these pages over TLS"),
        false => warning(
            "Passwords travel unencrypted, unless a proxy in front speaks TLS".into(),
            "Set web.public_url to the https address of the proxy, or name a certificate in web.tls_certificate.",
        ),
    });
    findings.sort_by_key(|finding| finding.verdict);
    findings
}

fn databases(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let judged = facts.databases.iter().map(|database| match &database.content {
        None => problem(
            format!("The geolocation database {} cannot be read", database.file),
            "Servers keep the places that are known. The log says what is wrong with the file.",
        ),
        Some((_, at)) if now.since(*at).as_secs() > OLD_DATABASE_DAYS * DAY => warning(
            format!("The geolocation database {} is from {}", database.file, format::utc(*at)),
            "Fetch a newer one from its maker; it is read again by itself.",
        ),
        Some(_) => fine(format!("The geolocation database {} is in use", database.file)),
    });
    judged.collect()
}

/// `1 server waits`, `2 servers wait`.
fn servers(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 server {one}") } else { format!("{count} servers {many}") }
}

#[cfg(test)]
mod tests {
    use mect_fleet::installation::Database;

    use super::*;

    fn told(situation: &Situation) -> Vec<(Verdict, String)> {
        judge(situation).into_iter().map(|finding| (finding.verdict, finding.what)).collect()
    }

    #[test]
    fn all_is_well_where_it_is() {
        let facts = Facts {
            redis: Some(true),
            open_files: (10, Some(100)),
            databases: vec![Database {
                file: "a.mmdb".into(),
                content: Some(("City".into(), Timestamp::from_secs(5))),
            }],
            ..Facts::default()
        };
        let well =
            Situation { facts, now: Timestamp::from_secs(10), is_https: true, servers: 2, ..Situation::default() };
        assert!(told(&well).iter().all(|(verdict, _)| *verdict == Verdict::Fine), "{:?}", told(&well));
    }

    #[test]
    fn every_trouble_is_named_and_the_worst_comes_first() {
        let facts = Facts {
            redis: Some(false),
            open_files: (80, Some(100)),
            bad_target_files: vec!["targets.yml: line 3".into()],
            bad_target_lists: vec!["http://cmdb/targets: connection refused".into()],
            databases: vec![
                Database { file: "gone.mmdb".into(), content: None },
                Database { file: "old.mmdb".into(), content: Some(("City".into(), Timestamp::from_secs(0))) },
            ],
            ..Facts::default()
        };
        let ill = Situation {
            facts,
            now: Timestamp::from_secs(200 * 86_400),
            store_lost_since: Some(Timestamp::from_secs(60)),
            servers: 1,
            stale: 3,
            unverified: 4,
            waiting: 5,
            is_https: false,
        };
        let (told, words) = (told(&ill), judge(&ill));
        assert!(told.is_sorted_by_key(|(verdict, _)| *verdict));
        assert!(words.iter().all(|finding| finding.verdict != Verdict::Fine && !finding.advice.is_empty()), "{told:?}");
        for word in ["1970-01-01", "Redis", "line 3", "3 servers", "4 servers", "5 servers", "gone", "old", "80 of 100"]
        {
            assert!(told.iter().any(|(_, what)| what.contains(word)), "{word}: {told:?}");
        }
    }
}
