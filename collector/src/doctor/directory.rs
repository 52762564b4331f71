//! The embedded store: can it be opened, or who has it open.

use mect_fleet::store::StoreError;
use mect_fleet::store::embedded::{Inspection, inspect};

use super::{Finding, Site};
use crate::control::{AskError, Status};

const CHECK: &str = "store";

pub(super) fn check(site: &Site) -> Finding {
    let data_dir = &site.config.store.data_dir;
    judge(&data_dir.display().to_string(), inspect(data_dir), &site.running)
}

fn judge(data_dir: &str, found: Result<Inspection, StoreError>, running: &Result<Status, AskError>) -> Finding {
    match found {
        Ok(Inspection::Absent) => Finding::ok(CHECK, format!("{data_dir}: none yet; the first start makes it")),
        Ok(Inspection::Held) => held(data_dir, running),
        Ok(Inspection::Sound { schema, known }) if schema > known => Finding::problem(
            CHECK,
            format!("{data_dir}: schema version {schema}, this program knows up to {known}"),
            "run the newer program",
        ),
        Ok(Inspection::Sound { schema, known }) if schema < known => {
            let text = format!("{data_dir}: opens; schema version {schema} becomes {known} at the next start");
            Finding::ok(CHECK, text)
        }
        Ok(Inspection::Sound { schema, .. }) => {
            Finding::ok(CHECK, format!("{data_dir}: opens, schema version {schema}; no collector runs on it"))
        }
        Ok(Inspection::Unrepaired) => Finding::ok(
            CHECK,
            format!("{data_dir}: the collector on it was killed; the next start goes back to the last commit"),
        ),
        Err(error) => {
            Finding::problem(CHECK, error.to_string(), "restore a backup, or ask as the collector's own user")
        }
    }
}

fn held(data_dir: &str, running: &Result<Status, AskError>) -> Finding {
    match running {
        Ok(Status { program, process, servers, store_lost_since: None, .. }) => Finding::ok(
            CHECK,
            format!(
                "{data_dir}: held by a running collector ({program}, process {process}) that says it is well, with {servers} servers"
            ),
        ),
        Ok(Status { process, store_lost_since: Some(since), .. }) => Finding::problem(
            CHECK,
            format!("{data_dir}: the running collector (process {process}) cannot write it since {since}"),
            "see its log: the disk may be full",
        ),
        Err(error) => Finding::warning(
            CHECK,
            format!("{data_dir}: held by another program; {error}"),
            "it may be a collector of an older version, or one that starts just now",
        ),
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::Timestamp;

    use super::super::Verdict::{Ok as Fine, Problem, Warning};
    use super::*;

    fn status(lost: Option<Timestamp>) -> Status {
        Status {
            program: "0.1.0".into(),
            process: 7,
            started_at: Timestamp::default(),
            store: "embedded".into(),
            store_lost_since: lost,
            servers: 3,
            targets: 3,
            open_files: 9,
            open_files_allowed: None,
        }
    }

    #[test]
    fn every_state_has_its_verdict() {
        let nobody = || Err(AskError::Nobody);
        let judge = |found, running| judge("/data", found, &running);
        let sound = |schema| Ok(Inspection::Sound { schema, known: 2 });
        assert_eq!(judge(Ok(Inspection::Absent), nobody()).verdict, Fine);
        assert_eq!(judge(sound(2), nobody()).verdict, Fine);
        assert_eq!(judge(sound(1), nobody()).verdict, Fine);
        let newer = judge(sound(3), nobody());
        assert!(newer.verdict == Problem && newer.text.contains("version 3"), "{newer}");
        assert_eq!(judge(Ok(Inspection::Unrepaired), nobody()).verdict, Fine);
        assert_eq!(judge(Ok(Inspection::Held), nobody()).verdict, Warning);
        let running = judge(Ok(Inspection::Held), Ok(status(None)));
        assert!(running.verdict == Fine && running.text.contains("running collector"), "{running}");
        assert_eq!(judge(Ok(Inspection::Held), Ok(status(Some(Timestamp::default())))).verdict, Problem);
        let damaged = StoreError::Damaged { what: "fleet.redb".into(), detail: "cut".into() };
        assert_eq!(judge(Err(damaged), nobody()).verdict, Problem);
    }
}
