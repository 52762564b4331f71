//! A fleet moves to MongoDB and back, is stopped on the way, and is there once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use mect_fleet::migration::{MigrationError, Moved, Progress, Refusal, Span, Stage, migrate};
use mect_fleet::store::embedded::{self, Embedded};
use mect_fleet::store::{
    AuditEntry, AuditMarks, AuditRecord, Event, EventKind, Leases, Member, Point, Record, Store, story, verify_audit,
};
use mect_fleet::{ApiToken, Role, Scope, ServerId, Standing, Timestamp, Transition, User};

use crate::shared;

const STEP: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);
/// A little over two days.
const SCRAPES: u32 = 1500;

fn embedded(dir: &Path) -> Store {
    Store::of_own(Arc::new(Embedded::open(dir, embedded::Options::default()).unwrap()))
}

async fn mongo(database: &str) -> Store {
    Store::of_shared(Arc::new(shared().open(database).await))
}

fn span() -> Span {
    let now = Timestamp::now();
    Span { oldest: now - DAY * 30, now }
}

async fn moved(from: &Store, to: &Store) -> Result<Moved, MigrationError> {
    migrate(from, to, span(), &mut |_| {}).await
}

/// Fills an empty store: four servers of which one is forgotten since, accounts, and logs.
async fn fill(store: &Store) {
    let now = Timestamp::now();
    let start = now - STEP * (SCRAPES - 1);
    let registrations = (0..4).map(story::registration).collect();
    let servers = store.inventory.register(registrations, start).await.unwrap();
    let (seldom, often) = ((400..410), (0..SCRAPES));
    for (server, n) in servers.iter().zip(0..) {
        let mut standing = Standing::default();
        let outcome = |scrape: u32| {
            let down = seldom.contains(&scrape) || n == 1 && scrape % 100 < 5;
            if down { story::failed() } else { story::heartbeat(scrape * 7 + n) }
        };
        let records: Vec<Record> =
            often.clone().map(|i| story::observe(&mut standing, server.id, start + STEP * i, outcome(i))).collect();
        store.recorder.record(Arc::new(records)).await.unwrap();
    }
    store.recorder.maintain(now, now - DAY * 30).await.unwrap();
    store.inventory.delete_server(servers[3].id).await.unwrap();
    let at = |n: u32| now - STEP * n;
    for (username, hash) in [("admin", "$argon2id$a"), ("zoe", "$2b$12$of the old system")] {
        let user = User { epoch: 3, ..User::new(username, hash.to_owned(), Role::Superadmin, start) };
        store.accounts.create_user(user).await.unwrap();
    }
    let (username, name, created_at) = ("zoe".to_owned(), "grafana".to_owned(), start);
    let scopes = [Scope::ReadFleet].into();
    let token = ApiToken { digest: [7; 32], username, name, scopes, created_at, expires_at: None, last_used_at: None };
    store.accounts.create_token(token).await.unwrap();
    store.accounts.revoke(&[8; 16], now + DAY).await.unwrap();
    let event = |n: u32| Event { at: at(n / 3), kind: EventKind::StoreLost, server: None, detail: String::new() };
    store.journal.append_events((0..30).rev().map(event).collect()).await.unwrap();
    // The oldest ones are deleted by and by: the chain begins with its seventh entry.
    for n in 0..13 {
        let at = if n < 6 { now - DAY * 40 } else { at(n) };
        let (who, action, subject) = ("admin".into(), "server.edit".into(), servers[0].id.to_string());
        let entry = AuditEntry { at, who, action, subject, detail: format!("{n}"), ..AuditEntry::default() };
        store.journal.append_audit(entry).await.unwrap();
    }
    let old = store.journal.audit_after(5, 1).await.unwrap().remove(0);
    let marks = AuditMarks { floor: old.anchor(), head: store.journal.audit_marks().await.unwrap().head };
    store.transfer.put_audit_marks(marks).await.unwrap();
    // Older than what is moved.
    store.journal.append_events(vec![Event { at: now - DAY * 40, ..event(0) }]).await.unwrap();
}

/// All that a store tells, by its other roles.
struct Told {
    servers: Vec<mect_fleet::Server>,
    standings: Vec<(ServerId, Standing)>,
    users: Vec<User>,
    tokens: Vec<ApiToken>,
    transitions: Vec<Transition>,
    events: Vec<Event>,
    audit: Vec<AuditRecord>,
    audit_ends: AuditMarks,
    is_revoked: bool,
    points: Vec<(ServerId, Vec<Point>)>,
    series: Vec<mect_fleet::series::Bucket>,
}

/// Part by part: all at once would be told in megabytes.
#[track_caller]
fn same(told: &Told, expected: &Told) {
    assert_eq!(told.servers, expected.servers);
    assert_eq!(told.standings, expected.standings);
    assert_eq!((&told.users, &told.tokens), (&expected.users, &expected.tokens));
    assert_eq!((&told.transitions, &told.events), (&expected.transitions, &expected.events));
    assert_eq!((&told.audit, &told.audit_ends), (&expected.audit, &expected.audit_ends));
    assert_eq!(told.is_revoked, expected.is_revoked);
    assert!(told.points == expected.points, "points differ");
    assert!(told.series == expected.series, "series differ");
}

async fn told(store: &Store) -> Told {
    let mut servers = store.inventory.servers().await.unwrap();
    servers.sort_by_key(|server| server.id);
    let mut standings = store.recorder.standings().await.unwrap();
    standings.sort_by_key(|(id, _)| *id);
    let (now, end) = (Timestamp::now(), Timestamp::now() + DAY);
    let from = now - DAY * 30;
    let mut all = store.history.transitions_since(from).await.unwrap();
    all.sort_by_key(|flip| (flip.at, flip.server, flip.number));
    let mut ids: Vec<_> = all.iter().map(|flip| flip.server).collect();
    ids.sort_unstable();
    ids.dedup();
    let (mut points, mut series) = (Vec::new(), Vec::new());
    for id in ids {
        points.push((id, store.history.points(id, from..end).await.unwrap()));
        for step in [STEP * 5, Duration::from_secs(3600), DAY] {
            series.extend(store.history.series(id, from..end, step).await.unwrap());
        }
    }
    let mut events = store.journal.events(None, end, 1000).await.unwrap();
    events.retain(|event| event.at >= from);
    Told {
        servers,
        standings,
        users: store.accounts.users().await.unwrap(),
        tokens: store.accounts.tokens("zoe").await.unwrap(),
        transitions: all,
        events,
        audit: store.journal.audit(None, 1000).await.unwrap(),
        audit_ends: verify_audit(store.journal.as_ref()).await.unwrap().unwrap(),
        is_revoked: store.accounts.revoked(now).await.unwrap().contains(&[8; 16]),
        points,
        series,
    }
}

/// Documents of a collection, as they lie there.
fn documents(database: &str, collection: &str) -> i32 {
    let count = doc! { "aggregate": collection, "pipeline": [{ "$count": "n" }], "cursor": {}, "$db": database };
    let answer = shared().set.command(0, count).unwrap();
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.first().map_or(0, |counted| counted.as_document().unwrap().get_i32("n").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_moves_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let old = embedded(&dir.path().join("old"));
    fill(&old).await;
    let before = told(&old).await;
    assert_eq!((before.servers.len(), before.points.len()), (3, 4), "what a forgotten server did is history too");

    let database = mongo("moved").await;
    let done = moved(&old, &database).await.unwrap();
    let flips = before.transitions.len() as u64;
    let scrapes = 4 * u64::from(SCRAPES);
    let expected = Moved { servers: 3, users: 2, tokens: 1, transitions: flips, events: 30, audit: 7, scrapes };
    assert_eq!(done, expected);
    same(&told(&database).await, &before);
    assert!(before.is_revoked && before.audit.len() == 7);
    assert_eq!(documents("moved", "heartbeats"), 4 * SCRAPES as i32);
    // Hours were summed up on the way: maintenance finds nothing to do, and changes nothing.
    let (now, rollups) = (Timestamp::now(), documents("moved", "rollups"));
    assert!(rollups >= 8, "{rollups}");
    let maintained = database.recorder.maintain(now, now - DAY * 30).await.unwrap();
    assert_eq!(maintained.points_sealed, 0);
    same(&told(&database).await, &before);

    assert_eq!(moved(&old, &database).await.unwrap(), expected, "moved again");
    same(&told(&database).await, &before);
    let lie = ["heartbeats", "rollups", "events", "audit"].map(|name| documents("moved", name));
    assert_eq!(lie, [4 * SCRAPES as i32, rollups, 30 + flips as i32, 7], "nothing is there twice");

    let new = embedded(&dir.path().join("new"));
    assert_eq!(moved(&database, &new).await.unwrap(), expected);
    same(&told(&new).await, &before);
    assert_eq!(moved(&database, &new).await.unwrap(), expected);
    same(&told(&new).await, &before);
    // The way back to where it came from is open as long as nothing happened since.
    assert_eq!(moved(&database, &old).await.unwrap(), expected);
    same(&told(&old).await, &before);
}

/// Steps after which a move is stopped: in every stage, the last three among the scrapes.
const STOPS: [u32; 8] = [1, 3, 4, 6, 8, 11, 12, 13];

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_stopped_anywhere_comes_to_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let old = embedded(&dir.path().join("old"));
    fill(&old).await;
    let before = told(&old).await;
    let (new, database) = (dir.path().join("new"), mongo("stopped").await);
    let new = embedded(&new);
    for (from, to) in [(&old, &database), (&database, &new)] {
        for steps in STOPS {
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let mut stop = Some(stop);
            let (mut told, mut last) = (0, Stage::Servers);
            let mut watch = |progress: Progress| {
                told += 1;
                assert_ne!(progress.stage, Stage::Check);
                last = progress.stage;
                if told == steps {
                    let _ = stop.take().unwrap().send(());
                }
            };
            tokio::select! {
                done = migrate(from, to, span(), &mut watch) => panic!("{done:?}"),
                _ = stopped => {}
            }
            assert_eq!(last == Stage::Scrapes, steps > 10, "{last}");
            assert!(to.transfer.mark().await.unwrap().unwrap().unfinished);
            let half = moved(to, &embedded(&dir.path().join(format!("half-{steps}")))).await.unwrap_err();
            assert!(matches!(half, MigrationError::Refused(Refusal::Unfinished)), "{half}");
        }
        moved(from, to).await.unwrap();
        assert!(!to.transfer.mark().await.unwrap().unwrap().unfinished);
        same(&told(to).await, &before);
        for steps in STOPS {
            std::fs::remove_dir_all(dir.path().join(format!("half-{steps}"))).unwrap();
        }
    }
    assert_eq!(documents("stopped", "heartbeats"), 4 * SCRAPES as i32);
}

async fn refusal(from: &Store, to: &Store) -> Refusal {
    match moved(from, to).await.unwrap_err() {
        MigrationError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_other_data_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (embedded(&dir.path().join("one")), embedded(&dir.path().join("other")));
    fill(&one).await;
    fill(&other).await;
    let database = mongo("refused").await;
    moved(&one, &database).await.unwrap();
    let before = told(&database).await;
    assert!(matches!(refusal(&other, &database).await, Refusal::OtherFleet { .. }));
    assert!(matches!(refusal(&database, &other).await, Refusal::OtherFleet { .. }));

    // The database goes on: a scrape, then a user.
    let (server, mut standing) = before.standings[0].clone();
    let record = story::observe(&mut standing, server, Timestamp::now(), story::heartbeat(1));
    database.recorder.record(Arc::new(vec![record])).await.unwrap();
    assert!(matches!(refusal(&one, &database).await, Refusal::Newer { .. }));
    database.accounts.create_user(User { username: "new".into(), ..before.users[0].clone() }).await.unwrap();
    assert!(matches!(refusal(&one, &database).await, Refusal::Beyond { .. }));
    // Back is a step forward, for users too.
    let on = told(&database).await;
    assert_eq!(moved(&database, &one).await.unwrap().users, 3);
    same(&told(&one).await, &on);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_runs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let old = embedded(dir.path());
    fill(&old).await;
    let running = Arc::new(shared().open("running").await);
    let database = Store::of_shared(running.clone());
    let member = Member { id: "one".into(), name: "frankfurt".into() };
    running.join(&member, Duration::from_secs(60)).await.unwrap();
    for (from, to) in [(&old, &database), (&database, &old)] {
        let refused = refusal(from, to).await;
        assert!(matches!(refused, Refusal::Running { .. }) && refused.to_string().contains("frankfurt"), "{refused}");
    }
    running.leave(&member).await.unwrap();
    moved(&old, &database).await.unwrap();
}

/// Somebody writes to the target behind the back of the move: it says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_at_the_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let old = embedded(dir.path());
    fill(&old).await;
    let database = mongo("differs").await;
    moved(&old, &database).await.unwrap();
    database.journal.append_audit(AuditEntry { at: Timestamp::now(), ..AuditEntry::default() }).await.unwrap();
    let differs = moved(&old, &database).await.unwrap_err();
    let says_so = |error: &MigrationError| {
        matches!(error, MigrationError::Differs { stage: Stage::Audit, of_source: 7, of_target: 8, .. })
    };
    assert!(says_so(&differs), "{differs}");
    assert!(database.transfer.mark().await.unwrap().unwrap().unfinished);

    let (server, points) = {
        let day = Timestamp::now().day() - 1;
        let servers = old.transfer.servers_of(day).await.unwrap();
        old.transfer.points_of(&servers[..1], day).await.unwrap().remove(0)
    };
    let extra = Point { at: points[0].at + Duration::from_millis(1), ..points[0] };
    let fresh = mongo("differs_too").await;
    moved(&old, &fresh).await.unwrap();
    fresh.transfer.put_points(extra.at.day(), vec![(server, vec![extra])]).await.unwrap();
    let differs = moved(&old, &fresh).await.unwrap_err();
    assert!(matches!(differs, MigrationError::Differs { stage: Stage::Scrapes, .. }), "{differs}");
}
