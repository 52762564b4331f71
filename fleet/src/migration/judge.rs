//! Which stores go together: a target that is empty, or that holds what an earlier run brought, and nothing since.

use std::collections::BTreeSet;

use super::{MigrationError, source, target};
use crate::server::ServerId;
use crate::store::{Mark, Position, Result, Store};
use crate::time::Timestamp;

/// Names that an error tells.
const NAMED: usize = 3;

/// Why a move is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody writes there.
    #[error(
        "a collector runs on the {side}: {names}; stop every collector first, and wait a minute after one was killed"
    )]
    Running {
        /// `source` or `target`.
        side: &'static str,
        /// Names of the collectors.
        names: String,
    },
    /// Not everything is in the source.
    #[error("the source is itself the target of a move that was not finished; run that one again first")]
    Unfinished,
    /// Another fleet.
    #[error("the target holds other data: {what}; name an empty database or data directory")]
    OtherFleet {
        /// What.
        what: String,
    },
    /// The same fleet, on its own way.
    #[error("the target has {what} that the source does not know; name an empty database or data directory")]
    Beyond {
        /// What.
        what: String,
    },
    /// The same fleet, later.
    #[error(
        "the target went on after the source: its newest scrape is of {of_target}, that of the source of {of_source}; \
         this would set it back. If that is wanted, name an empty database or data directory"
    )]
    Newer {
        /// Newest scrape in the target.
        of_target: Timestamp,
        /// Newest scrape in the source.
        of_source: Timestamp,
    },
}

/// What is judged of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Facts {
    mark: Option<Mark>,
    servers: BTreeSet<ServerId>,
    users: BTreeSet<String>,
    tokens: BTreeSet<[u8; 32]>,
    /// There are flips, events or entries of the audit.
    has_logs: bool,
    newest_scrape: Timestamp,
}

/// Refuses what must not be moved.
pub(super) async fn check(from: &Store, to: &Store) -> Result<(), MigrationError> {
    refuse_running(from, to).await?;
    let (of_source, of_target) = (facts(from).await.map_err(source)?, facts(to).await.map_err(target)?);
    Ok(judge(&of_source, &of_target)?)
}

/// Refuses stores that somebody writes to.
pub(super) async fn refuse_running(from: &Store, to: &Store) -> Result<(), MigrationError> {
    let of_source = from.transfer.collectors().await.map_err(source)?;
    let of_target = to.transfer.collectors().await.map_err(target)?;
    for (side, names) in [("source", of_source), ("target", of_target)] {
        if !names.is_empty() {
            return Err(Refusal::Running { side, names: names.join(", ") }.into());
        }
    }
    Ok(())
}

async fn facts(store: &Store) -> Result<Facts> {
    let users: BTreeSet<_> = store.accounts.users().await?.into_iter().map(|user| user.username).collect();
    let mut tokens = BTreeSet::new();
    for user in &users {
        tokens.extend(store.accounts.tokens(user).await?.into_iter().map(|token| token.digest));
    }
    let standings = store.recorder.standings().await?;
    let start = Timestamp::default();
    let (transfer, first) = (&store.transfer, Position::first(start));
    let has_logs = !transfer.transitions_page(start, None, 1).await?.is_empty()
        || !transfer.events_page(first, 1).await?.is_empty()
        || !store.journal.audit(None, 1).await?.is_empty();
    Ok(Facts {
        mark: transfer.mark().await?,
        servers: store.inventory.servers().await?.into_iter().map(|server| server.id).collect(),
        users,
        tokens,
        has_logs,
        newest_scrape: standings.iter().filter_map(|(_, standing)| standing.last_scrape).max().unwrap_or_default(),
    })
}

fn judge(source: &Facts, target: &Facts) -> Result<(), Refusal> {
    if source.mark.is_some_and(|mark| mark.unfinished) {
        return Err(Refusal::Unfinished);
    }
    let is_empty = target.servers.is_empty() && target.users.is_empty() && !target.has_logs;
    if is_empty {
        return Ok(());
    }
    let fleet = |facts: &Facts| facts.mark.map(|mark| mark.fleet);
    if fleet(target).is_none() || fleet(target) != fleet(source) {
        return Err(Refusal::OtherFleet { what: described(target) });
    }
    for (what, beyond) in [
        ("servers", named(source.servers.iter(), target.servers.iter())),
        ("users", named(source.users.iter(), target.users.iter())),
    ] {
        if let Some(names) = beyond {
            return Err(Refusal::Beyond { what: format!("{what} ({names})") });
        }
    }
    if !target.tokens.is_subset(&source.tokens) {
        return Err(Refusal::Beyond { what: "API tokens".into() });
    }
    if target.newest_scrape > source.newest_scrape {
        return Err(Refusal::Newer { of_target: target.newest_scrape, of_source: source.newest_scrape });
    }
    Ok(())
}

/// Some of those that only the target has.
fn named<'a, T: Ord + ToString + 'a>(
    source: impl Iterator<Item = &'a T>,
    target: impl Iterator<Item = &'a T>,
) -> Option<String> {
    let known: BTreeSet<_> = source.collect();
    let beyond: Vec<_> = target.filter(|one| !known.contains(one)).take(NAMED).map(T::to_string).collect();
    (!beyond.is_empty()).then(|| beyond.join(", "))
}

fn described(facts: &Facts) -> String {
    let users: Vec<_> = facts.users.iter().take(NAMED).map(String::as_str).collect();
    match (facts.servers.len(), users.join(", ").as_str()) {
        (0, "") => "events or an audit".into(),
        (servers, users) => format!("{servers} servers, users {users}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(fleet: u32) -> Facts {
        let server = |key| ServerId::from_key(key).unwrap();
        Facts {
            mark: Some(Mark { fleet, unfinished: false }),
            servers: [server(*b"aaaaaaaa"), server(*b"bbbbbbbb")].into(),
            users: ["admin".to_owned(), "zoe".to_owned()].into(),
            tokens: [[1; 32]].into(),
            has_logs: true,
            newest_scrape: Timestamp::from_secs(100),
        }
    }

    #[test]
    fn an_empty_target_and_one_of_an_earlier_run_are_taken() {
        assert_eq!(judge(&facts(1), &Facts::default()), Ok(()));
        assert_eq!(judge(&Facts { mark: None, ..facts(1) }, &Facts::default()), Ok(()));
        let marked = Facts { mark: Some(Mark { fleet: 9, unfinished: true }), ..Facts::default() };
        assert_eq!(judge(&facts(1), &marked), Ok(()), "nothing came there yet");
        let mut part = Facts { mark: Some(Mark { fleet: 1, unfinished: true }), ..facts(1) };
        assert_eq!(judge(&facts(1), &part), Ok(()));
        part.servers.pop_last();
        part.users.clear();
        assert_eq!(judge(&facts(1), &part), Ok(()));
        assert_eq!(judge(&facts(1), &facts(1)), Ok(()));
    }

    #[test]
    fn other_data_is_refused() {
        let refused = judge(&facts(1), &facts(2)).unwrap_err();
        assert_eq!(refused, Refusal::OtherFleet { what: "2 servers, users admin, zoe".into() });
        let unmarked = Facts { mark: None, ..facts(1) };
        assert!(matches!(judge(&unmarked, &unmarked), Err(Refusal::OtherFleet { .. })));
        let started_once = Facts { users: ["admin".to_owned()].into(), ..Facts::default() };
        assert!(matches!(judge(&facts(1), &started_once), Err(Refusal::OtherFleet { .. })));
        let logs = Facts { has_logs: true, ..Facts::default() };
        assert!(matches!(judge(&facts(1), &logs), Err(Refusal::OtherFleet { .. })));
    }

    #[test]
    fn a_target_that_went_on_is_refused() {
        let mut on = facts(1);
        on.newest_scrape = Timestamp::from_secs(101);
        assert!(matches!(judge(&facts(1), &on), Err(Refusal::Newer { .. })));
        let mut on = facts(1);
        on.users.insert("new".into());
        assert_eq!(judge(&facts(1), &on), Err(Refusal::Beyond { what: "users (new)".into() }));
        let mut on = facts(1);
        on.servers.insert(ServerId::from_key(*b"cccccccc").unwrap());
        assert_eq!(judge(&facts(1), &on), Err(Refusal::Beyond { what: "servers (srv-cccccccc)".into() }));
        let mut on = facts(1);
        on.tokens.insert([2; 32]);
        assert_eq!(judge(&facts(1), &on), Err(Refusal::Beyond { what: "API tokens".into() }));
    }

    #[test]
    fn half_a_source_is_refused() {
        let half = Facts { mark: Some(Mark { fleet: 1, unfinished: true }), ..facts(1) };
        assert_eq!(judge(&half, &Facts::default()), Err(Refusal::Unfinished));
    }
}
