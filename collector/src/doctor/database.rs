//! MongoDB: does it answer, is it a patched server in a replica set, and is everything there that readers count on.

use std::time::Duration;

use mect_fleet::store::StoreError;
use mect_fleet::store::mongo::{Heartbeats, Inspection};

use super::{Finding, Site};
use crate::control::Status;
use crate::run::DAY;

const CHECK: &str = "store";
const SET: &str = "replica set";
const VERSION: &str = "database";
const INDEXES: &str = "indexes";
const RETENTION: &str = "retention";

/// First versions, by release line, that do not show their memory to strangers (CVE-2025-14847). Lines after the last
/// are younger than the fault.
const PATCHED: [[u32; 3]; 5] = [[5, 0, 32], [6, 0, 27], [7, 0, 28], [8, 0, 17], [8, 2, 3]];
/// Below, there are no time series.
const OLDEST: u32 = 5;
/// A set of this many survives the loss of one.
const MEMBERS: usize = 3;

pub(super) fn check(site: &Site, inspected: &Result<Inspection, StoreError>) -> Vec<Finding> {
    match inspected {
        Ok(found) => {
            vec![
                schema(found, site.running.as_ref().ok()),
                set(found),
                version(&found.version),
                indexes(found),
                retention(found),
            ]
        }
        Err(error) => vec![Finding::problem(
            CHECK,
            error.to_string(),
            "see that MONGO_URL names the set's members and its name, that user and password are right, and that \
             the network lets this machine through",
        )],
    }
}

fn schema(found: &Inspection, running: Option<&Status>) -> Finding {
    let known = found.known_schema;
    if let Some(Status { store_lost_since: Some(since), process, .. }) = running {
        return Finding::problem(
            CHECK,
            format!("it answers, but the running collector (process {process}) has had no answer since {since}"),
            "see the collector's log",
        );
    }
    match found.schema {
        None => Finding::ok(CHECK, "the database answers; nothing of ours is in it yet, the first start adds it"),
        Some(schema) if schema > known => Finding::problem(
            CHECK,
            format!("schema version {schema}, this program knows up to {known}"),
            "run the newer program",
        ),
        Some(schema) => Finding::ok(CHECK, format!("the database answers, schema version {schema}")),
    }
}

fn set(found: &Inspection) -> Finding {
    match found.members {
        _ if !found.is_replica_set => Finding::problem(
            SET,
            "the server is not part of a replica set",
            "start it with --replSet and initiate the set; one node is enough",
        ),
        // A router does not tell.
        0 => Finding::ok(SET, "behind a router"),
        members if members < MEMBERS => Finding::warning(
            SET,
            format!("{members} of the {MEMBERS} members that survive the loss of one"),
            "add members, where the database must survive a machine",
        ),
        members => Finding::ok(SET, format!("{members} members, with a primary")),
    }
}

fn version(version: &str) -> Finding {
    let numbers: Option<Vec<u32>> =
        version.split(['-', '+']).next().unwrap_or_default().split('.').map(|number| number.parse().ok()).collect();
    let Some(&[major, minor, patch]) = numbers.as_deref() else {
        return Finding::warning(
            VERSION,
            format!("MongoDB {version:?}"),
            "see that its version is patched against CVE-2025-14847",
        );
    };
    if major < OLDEST {
        return Finding::problem(VERSION, format!("MongoDB {version} is older than {OLDEST}.0"), "upgrade it");
    }
    let newest_line = PATCHED[PATCHED.len() - 1];
    let first = PATCHED.into_iter().find(|first| first[..2] == [major, minor]);
    let is_patched = first.map_or(newest_line[..2] < [major, minor][..], |[_, _, first]| patch >= first);
    if is_patched {
        return Finding::ok(VERSION, format!("MongoDB {version}"));
    }
    let wanted = first.map_or("a newer release line".to_owned(), |[a, b, c]| format!("{a}.{b}.{c} or later"));
    Finding::warning(
        VERSION,
        format!("MongoDB {version} shows its memory to whoever reaches it (CVE-2025-14847)"),
        format!("upgrade to {wanted}, or take zlib from net.compression.compressors"),
    )
}

fn indexes(found: &Inspection) -> Finding {
    match found.missing_indexes.as_slice() {
        [] => Finding::ok(INDEXES, "all there"),
        _ if found.schema.is_none() => Finding::ok(INDEXES, "none yet; the first start makes them"),
        missing => Finding::problem(
            INDEXES,
            format!("missing: {}", missing.join(", ")),
            "start a collector again, which makes them",
        ),
    }
}

fn retention(found: &Inspection) -> Finding {
    let days = |time: Duration| time.as_secs() / DAY;
    match found.heartbeats {
        Heartbeats::Missing if found.schema.is_none() => {
            Finding::ok(RETENTION, "no heartbeats yet; the first start makes their collection")
        }
        Heartbeats::Missing => Finding::problem(
            RETENTION,
            "the collection `heartbeats` is gone",
            "start a collector again, which makes it; its history is lost",
        ),
        Heartbeats::Ordinary => Finding::problem(
            RETENTION,
            "`heartbeats` is an ordinary collection, not one of ours",
            "rename it, or name another database in MONGO_URL",
        ),
        Heartbeats::TimeSeries { kept: None, .. } => Finding::warning(
            RETENTION,
            "the database never deletes heartbeats",
            "start a collector again, which sets it",
        ),
        Heartbeats::TimeSeries { kept: Some(kept), wanted } if kept == wanted => {
            Finding::ok(RETENTION, format!("the database deletes heartbeats after {} days", days(kept)))
        }
        Heartbeats::TimeSeries { kept: Some(kept), wanted } => Finding::warning(
            RETENTION,
            format!(
                "the database deletes heartbeats after {} days, the configuration means {}",
                days(kept),
                days(wanted)
            ),
            "start a collector again, which sets it; see that all of them have the same `retention_days`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{self, Ok as Fine, Problem, Warning};
    use super::*;

    fn good() -> Inspection {
        let month = Duration::from_secs(32 * DAY);
        Inspection {
            version: "8.0.17".into(),
            is_replica_set: true,
            members: 3,
            clock_ahead_ms: 0,
            schema: Some(1),
            known_schema: 1,
            missing_indexes: Vec::new(),
            heartbeats: Heartbeats::TimeSeries { kept: Some(month), wanted: month },
        }
    }

    #[test]
    fn unpatched_versions_are_named_with_what_is_patched() {
        for (text, verdict) in [
            ("8.0.17", Fine),
            ("8.0.16", Warning),
            ("8.2.3", Fine),
            ("8.2.2", Warning),
            ("8.1.9", Warning),
            ("8.3.0", Fine),
            ("9.0.0-rc1", Fine),
            ("7.0.28", Fine),
            ("7.3.4", Warning),
            ("6.0.5", Warning),
            ("6.0.27", Fine),
            ("5.0.31", Warning),
            ("4.4.30", Problem),
            ("", Warning),
            ("eight", Warning),
        ] {
            assert_eq!(version(text).verdict, verdict, "{text}");
        }
        assert!(version("6.0.5").advice.unwrap().contains("6.0.27"));
    }

    #[test]
    fn what_is_missing_is_a_problem_only_after_a_first_start() {
        let verdicts = |found: &Inspection| -> Vec<Verdict> {
            [schema(found, None), set(found), indexes(found), retention(found)].map(|finding| finding.verdict).to_vec()
        };
        assert_eq!(verdicts(&good()), [Fine; 4]);
        let missing_indexes = vec!["servers.mect_ip".to_owned()];
        let new = Inspection { schema: None, missing_indexes, heartbeats: Heartbeats::Missing, ..good() };
        assert_eq!(verdicts(&new), [Fine; 4]);
        assert_eq!(verdicts(&Inspection { schema: Some(1), ..new }), [Fine, Fine, Problem, Problem]);
        assert_eq!(verdicts(&Inspection { schema: Some(2), ..good() }), [Problem, Fine, Fine, Fine]);
        assert_eq!(set(&Inspection { is_replica_set: false, ..good() }).verdict, Problem);
        assert_eq!(set(&Inspection { members: 1, ..good() }).verdict, Warning);
        assert_eq!(set(&Inspection { members: 0, ..good() }).verdict, Fine);
    }

    #[test]
    fn another_retention_is_told_in_days() {
        let (week, month) = (Duration::from_secs(9 * DAY), Duration::from_secs(32 * DAY));
        let other = Heartbeats::TimeSeries { kept: Some(month), wanted: week };
        let told = retention(&Inspection { heartbeats: other, ..good() });
        assert!(told.verdict == Warning && told.text.contains("32 days") && told.text.contains("means 9"), "{told}");
        let never = Heartbeats::TimeSeries { kept: None, wanted: week };
        assert_eq!(retention(&Inspection { heartbeats: never, ..good() }).verdict, Warning);
        assert_eq!(retention(&Inspection { heartbeats: Heartbeats::Ordinary, ..good() }).verdict, Problem);
    }
}
