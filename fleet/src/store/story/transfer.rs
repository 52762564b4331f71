//! The last chapter: what a move to another store takes and puts. Put twice, everything is there once.

use std::sync::Arc;
use std::time::Duration;

use super::{assert_points, failed, heartbeat, observe, registered, registration};
use crate::account::{ApiToken, Role, Scope, Totp, User};
use crate::health::{Health, Transition};
use crate::series::{self, HOUR};
use crate::server::{Origin, Period, Server, ServerId};
use crate::store::{
    AuditEntry, AuditMarks, AuditRecord, Event, EventKind, Mark, Point, Position, Record, Registration, Store,
    verify_audit,
};
use crate::time::Timestamp;
use crate::view::Standing;

/// A midnight after the chapters before.
const START: Timestamp = Timestamp::from_secs(1_806_019_200);
const STEP: Duration = Duration::from_secs(120);
/// A day.
const SCRAPES: u32 = 720;
/// Enough for everything at once.
const ALL: usize = 100_000;

pub(super) async fn tell(store: &Store) {
    marks_are_kept(store).await;
    servers_come_with_identity_and_standing(store).await;
    accounts_are_put(store).await;
    flips_are_put_in_order(store).await;
    events_are_put_in_order(store).await;
    the_audit_goes_on_as_one_chain(store).await;
    scrapes_are_put_once(store).await;
}

async fn marks_are_kept(store: &Store) {
    let transfer = &store.transfer;
    assert_eq!(transfer.mark().await.unwrap(), None);
    for unfinished in [true, false] {
        let mark = Mark { fleet: u32::MAX, unfinished };
        transfer.set_mark(mark).await.unwrap();
        assert_eq!(transfer.mark().await.unwrap(), Some(mark));
    }
    assert!(transfer.collectors().await.unwrap().is_empty());
}

/// A server of which everything is said that can be.
fn server(key: [u8; 8], n: usize) -> Server {
    let id = ServerId::from_key(key).unwrap();
    let said = Registration {
        hostname: format!("$moved {n}"),
        origin: Origin::Hand,
        is_static: true,
        tags: ["eu".parse().unwrap()].into(),
        notes: "$notes".into(),
        capacity_bytes_per_second: Some(125_000_000),
        awaits_approval: n.is_multiple_of(2),
        ..registration(n)
    };
    let mut server = Server::new(id, &said, Timestamp::from_secs(77));
    (server.gaming, server.paid, server.enabled, server.revision) = (true, true, false, 7);
    server.draining = Some(Period { since: Timestamp::from_secs(80), until: None });
    server
}

async fn find(store: &Store, id: ServerId) -> (Option<Server>, Option<Standing>) {
    let servers = store.inventory.servers().await.unwrap();
    let standings = store.recorder.standings().await.unwrap();
    let standing = standings.into_iter().find(|(of, _)| *of == id).map(|(_, standing)| standing);
    (servers.into_iter().find(|server| server.id == id), standing)
}

async fn servers_come_with_identity_and_standing(store: &Store) {
    let (mut one, mut other) = (server(*b"moved222", 500), server(*b"moved333", 501));
    let mut standing = Standing::default();
    for (n, outcome) in (0..).zip([heartbeat(4), failed(), failed(), failed()]) {
        observe(&mut standing, one.id, START - Duration::from_secs(900 - n * 100), outcome);
    }
    assert_eq!(standing.state.health, Health::Down);
    let both = vec![(one.clone(), standing.clone()), (other.clone(), Standing::default())];
    for _ in 0..2 {
        store.transfer.put_servers(both.clone()).await.unwrap();
        assert_eq!(find(store, one.id).await, (Some(one.clone()), Some(standing.clone())));
        let (found, of_other) = find(store, other.id).await;
        assert_eq!((found.as_ref(), of_other.unwrap_or_default()), (Some(&other), Standing::default()));
    }
    // They exchange their addresses.
    std::mem::swap(&mut one.ip, &mut other.ip);
    one.enabled = true;
    store
        .transfer
        .put_servers(vec![(one.clone(), standing.clone()), (other.clone(), Standing::default())])
        .await
        .unwrap();
    let again = store.inventory.register(vec![registration(500), registration(501)], START).await.unwrap();
    assert_eq!([again[0].id, again[1].id], [other.id, one.id]);
    // Recording goes on from there.
    let record = observe(&mut standing, one.id, START, heartbeat(5));
    let recorded = store.recorder.record(Arc::new(vec![record])).await.unwrap();
    assert!(recorded.refused.is_empty());
    assert_eq!(find(store, one.id).await.1, Some(standing));
}

async fn accounts_are_put(store: &Store) {
    let (username, password_hash) = ("moved", "$2b$12$of the old system".to_owned());
    let (role, created_at) = (Role::Admin, Timestamp::from_secs(5));
    let totp = Some(Totp { secret: vec![1, 2, 3], confirmed: true, last_step: 9 });
    let mut user = User { epoch: 41, totp, ..User::new(username, password_hash, role, created_at) };
    let (digest, username, name) = ([99; 32], "moved".to_owned(), "grafana".to_owned());
    let (scopes, last_used_at) = (Scope::ALL.into(), Some(Timestamp::from_secs(6)));
    let token = ApiToken { digest, username, name, scopes, created_at, expires_at: None, last_used_at };
    for must_change_password in [true, false] {
        user.must_change_password = must_change_password;
        store.transfer.put_users(vec![user.clone()]).await.unwrap();
        store.transfer.put_tokens(vec![token.clone()]).await.unwrap();
        assert_eq!(store.accounts.user("moved").await.unwrap(), Some(user.clone()));
        assert_eq!(store.accounts.tokens("moved").await.unwrap(), std::slice::from_ref(&token));
    }
    let changed = store.accounts.set_password("moved", 41, "$argon2id".into(), false).await.unwrap();
    assert_eq!(changed.epoch, 42);
    let revoked = ([3; 16], Timestamp::from_secs(5_000_000_000));
    store.accounts.revoke(&revoked.0, revoked.1).await.unwrap();
    assert!(store.transfer.revocations().await.unwrap().contains(&revoked));
}

/// Everything from `from` on, in pages of three.
async fn flips(store: &Store, from: Timestamp) -> Vec<Transition> {
    let mut all: Vec<Transition> = Vec::new();
    loop {
        let page = store.transfer.transitions_page(from, all.last(), 3).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn flips_are_put_in_order(store: &Store) {
    let flip = |number: u32, server, seconds: u32| Transition {
        server,
        number: number.into(),
        at: START + Duration::from_secs(seconds.into()),
        from: Health::Down,
        to: Health::Active,
        reason: None,
        checks: 2,
    };
    let [one, other] = [*b"flips222", *b"flips333"].map(|key| ServerId::from_key(key).unwrap());
    // Several at the same moment, of one server and of two.
    let new = vec![flip(1, one, 1), flip(2, one, 1), flip(1, other, 1), flip(3, one, 2), flip(2, other, 9)];
    for _ in 0..2 {
        store.transfer.put_transitions(new.iter().rev().cloned().collect()).await.unwrap();
    }
    store.transfer.put_transitions(vec![Transition { checks: 9, ..flip(3, one, 2) }]).await.unwrap();
    assert_eq!(flips(store, START + Duration::from_secs(1)).await, new, "the first told stays");
    let early = Timestamp::from_secs(0);
    assert_eq!(flips(store, early).await, store.history.transitions_since(early).await.unwrap());
    assert_eq!(store.history.transitions(Some(one), 1).await.unwrap(), [new[3].clone()]);
}

async fn events_are_put_in_order(store: &Store) {
    let event = |n: u32| Event {
        at: START + Duration::from_secs((n / 3).into()),
        kind: EventKind::StoreLost,
        server: None,
        // Some are the same to the letter, and happened twice all the same.
        detail: format!("{}", n / 2),
    };
    let events: Vec<_> = (0..10).map(|n| (Position { at: event(n).at, number: (n % 3).into() }, event(n))).collect();
    for _ in 0..2 {
        store.transfer.put_events(events.clone()).await.unwrap();
    }
    let from = Position::first(START);
    assert_eq!(store.transfer.events_page(from, ALL).await.unwrap(), events);
    let page = store.transfer.events_page(events[3].0.next(), 4).await.unwrap();
    assert_eq!(page, events[4..8]);
    let newest: Vec<_> = events.iter().rev().map(|(_, event)| event.clone()).collect();
    let end = START + HOUR;
    assert_eq!(store.journal.events(None, end, 10).await.unwrap(), newest);
    // What happens from then on comes behind.
    let late = Event { detail: "late".into(), ..event(12) };
    store.journal.append_events(vec![late.clone()]).await.unwrap();
    assert_eq!(store.journal.events(None, end, 1).await.unwrap(), [late]);
}

async fn the_audit_goes_on_as_one_chain(store: &Store) {
    let entry =
        |n: u32| AuditEntry { at: START, who: "$moved".into(), detail: format!("{n}"), ..AuditEntry::default() };
    let last = store.journal.audit(None, 1).await.unwrap()[0].anchor();
    let mut records: Vec<AuditRecord> = Vec::new();
    for n in 0..10 {
        let before = records.last().map_or(last.clone(), AuditRecord::anchor);
        records.push(AuditRecord::after(&before, entry(n)));
    }
    for _ in 0..2 {
        store.transfer.put_audit(records.clone()).await.unwrap();
    }
    assert_eq!(store.journal.audit_after(last.number, ALL).await.unwrap(), records);
    let marks = AuditMarks { floor: records[2].anchor(), head: records[9].anchor() };
    store.transfer.put_audit_marks(marks.clone()).await.unwrap();
    assert_eq!(store.journal.audit_marks().await.unwrap(), marks);
    assert_eq!(store.journal.audit_after(0, ALL).await.unwrap(), records[3..], "what lies up to the floor goes");
    let next = store.journal.append_audit(entry(10)).await.unwrap();
    assert_eq!(next, AuditRecord::after(&records[9].anchor(), entry(10)));
    let ends = verify_audit(store.journal.as_ref()).await.unwrap().unwrap();
    assert_eq!(ends, AuditMarks { head: next.anchor(), ..marks });
}

async fn scrapes_are_put_once(store: &Store) {
    let id = registered(store, 510).await.id;
    let mut standing = Standing::default();
    let outcome = |n: u32| if (200..220).contains(&n) { failed() } else { heartbeat(n) };
    let records: Vec<Record> = (0..SCRAPES).map(|n| observe(&mut standing, id, START + STEP * n, outcome(n))).collect();
    // Some were recorded here before.
    store.recorder.record(Arc::new(records[100..300].to_vec())).await.unwrap();
    let day = START.day();
    let recorded = points(store, id, day).await;
    assert_points(&recorded, &records[100..300]);
    assert!(store.transfer.servers_of(day).await.unwrap().contains(&id));
    assert!(!store.transfer.servers_of(day + 1).await.unwrap().contains(&id));
    assert!(points(store, id, day - 1).await.is_empty() && points(store, id, day + 1).await.is_empty());

    let gone = ServerId::from_key(*b"gone2222").unwrap();
    let all = of_records(store, &records).await;
    for _ in 0..2 {
        // Also of a server that nobody knows any more.
        store.transfer.put_points(day, vec![(id, all.clone()), (gone, all.clone())]).await.unwrap();
    }
    let now = START + STEP * SCRAPES + HOUR;
    store.transfer.finish(now).await.unwrap();
    for _ in 0..2 {
        for server in [id, gone] {
            assert_points(&points(store, server, day).await, &records);
            for step in [STEP, HOUR, HOUR * 24] {
                let told = store.history.series(server, START..now, step).await.unwrap();
                assert_eq!(told, series::of_points(&all, step), "in steps of {step:?}");
            }
        }
        store.recorder.maintain(now, START).await.unwrap();
    }
}

async fn points(store: &Store, server: ServerId, day: i64) -> Vec<Point> {
    let mut found = store.transfer.points_of(&[server], day).await.unwrap();
    assert!(found.iter().all(|(of, points)| *of == server && !points.is_empty()));
    found.pop().map(|(_, points)| points).unwrap_or_default()
}

/// The points of records, by way of another server that has them all.
async fn of_records(store: &Store, records: &[Record]) -> Vec<Point> {
    let id = registered(store, 511).await.id;
    let of_other = |record: &Record| {
        let mut record = record.clone();
        record.report.server = id;
        record.transition = None;
        record
    };
    store.recorder.record(Arc::new(records.iter().map(of_other).collect())).await.unwrap();
    points(store, id, START.day()).await
}
