//! Chapter two: reports go in, history, transitions and standings come out.

use std::sync::Arc;
use std::time::Duration;

use super::{assert_points, failed, heartbeat, observe, registered};
use crate::health::{Health, Transition};
use crate::host_id::HostId;
use crate::reading::Reading;
use crate::report::{Failure, Outcome};
use crate::server::ServerId;
use crate::store::{Record, Store};
use crate::time::Timestamp;
use crate::view::Standing;

const STEP: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);
/// Scrapes in the chapter: three and a half days.
const SCRAPES: u32 = 2520;
/// Scrapes in one batch.
const BATCH: usize = 100;

pub(super) async fn tell(store: &Store) {
    let start = Timestamp::from_secs(1_790_035_200);
    let (one, other) = (registered(store, 300).await.id, registered(store, 301).await.id);
    let records = recorded(store, one, start).await;
    let beside = recorded(store, other, start).await;
    let now = start + STEP * SCRAPES;

    everything_reads_back(store, one, &records).await;
    transitions_are_told_once(store, one, other, &records, &beside).await;
    standings_are_the_latest(store, one, &records).await;
    // Compressed or not, recorded before or after: the answers stay the same.
    for pass in 0..2 {
        store.recorder.maintain(now, start).await.unwrap();
        everything_reads_back(store, one, &records).await;
        everything_reads_back(store, other, &beside).await;
        store.recorder.record(Arc::new(records[pass * 50..][..BATCH].to_vec())).await.unwrap();
        everything_reads_back(store, one, &records).await;
        standings_are_the_latest(store, one, &records).await;
    }
    late_points_join_their_day(store, start, now).await;
    a_clock_that_was_set_back_holds_no_standing_up(store, start).await;
    the_host_behind_a_server_is_remembered(store, start).await;
    old_days_go(store, one, &records, start, now).await;
}

/// Scrapes of days: up, now and then down for a while. Every batch is sent twice, as an unsure collector does.
async fn recorded(store: &Store, server: ServerId, start: Timestamp) -> Vec<Record> {
    let mut standing = Standing::default();
    let records: Vec<Record> = (0..SCRAPES)
        .map(|n| {
            let outcome = if n % 500 > 490 { failed() } else { heartbeat(n) };
            observe(&mut standing, server, start + STEP * n, outcome)
        })
        .collect();
    for batch in records.chunks(BATCH) {
        let batch = Arc::new(batch.to_vec());
        store.recorder.record(Arc::clone(&batch)).await.unwrap();
        store.recorder.record(batch).await.unwrap();
    }
    store.recorder.record(Arc::default()).await.unwrap();
    records
}

async fn everything_reads_back(store: &Store, server: ServerId, records: &[Record]) {
    let at = |n: usize| records[n].report.at;
    let last = records.len() - 1;
    let read = |range| async move { store.history.points(server, range).await.unwrap() };
    assert_points(&read(at(0)..at(last) + STEP).await, records);
    assert_points(&read(Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX)).await, records);
    // Start included, end not.
    assert_points(&read(at(700)..at(1500)).await, &records[700..1500]);
    let millisecond = Duration::from_millis(1);
    assert_points(&read(at(10) + millisecond..at(11) + millisecond).await, &records[11..12]);
    assert!(read(at(10)..at(10)).await.is_empty());
    assert!(read(at(11)..at(10)).await.is_empty());
    assert!(read(at(0) - DAY..at(0)).await.is_empty());
    assert!(read(at(last) + millisecond..at(last) + DAY).await.is_empty());
    let stranger = ServerId::from_key(*b"22222222").unwrap();
    assert!(store.history.points(stranger, at(0)..at(last)).await.unwrap().is_empty());
}

async fn transitions_are_told_once(
    store: &Store,
    one: ServerId,
    other: ServerId,
    records: &[Record],
    beside: &[Record],
) {
    let newest_first = |records: &[Record]| -> Vec<Transition> {
        records.iter().rev().filter_map(|record| record.transition.clone()).collect()
    };
    let expected = newest_first(records);
    assert!(expected.len() > 8, "the chapter has flips to tell");
    assert_eq!(store.history.transitions(Some(one), usize::MAX).await.unwrap(), expected);
    assert_eq!(store.history.transitions(Some(one), 3).await.unwrap(), expected[..3]);
    assert_eq!(store.history.transitions(Some(other), usize::MAX).await.unwrap(), newest_first(beside));
    assert!(store.history.transitions(None, 0).await.unwrap().is_empty());

    let both = store.history.transitions(None, expected.len() * 2).await.unwrap();
    assert_eq!(both.len(), expected.len() * 2);
    assert!(both.is_sorted_by(|newer, older| newer.at >= older.at));
    assert_eq!(both.iter().filter(|t| t.server == one).cloned().collect::<Vec<_>>(), expected);
    assert_eq!(store.history.transitions(None, 3).await.unwrap(), both[..3]);

    let millisecond = Duration::from_millis(1);
    let before = |server, at, limit| async move { store.history.transitions_before(server, at, limit).await.unwrap() };
    let late = both[0].at + millisecond;
    assert_eq!(before(None, late, both.len()).await, both);
    assert_eq!(before(Some(one), late, usize::MAX).await, expected);
    assert_eq!(before(Some(one), expected[2].at, 3).await, expected[3..6]);
    assert_eq!(before(Some(one), expected[2].at + millisecond, 3).await, expected[2..5]);
    let third = both[2].at;
    let older: Vec<_> = both.iter().filter(|found| found.at < third).cloned().collect();
    assert_eq!(before(None, third, usize::MAX).await[..older.len()], older);
    assert!(before(None, Timestamp::from_millis(i64::MIN), 9).await.is_empty());
    assert!(before(None, late, 0).await.is_empty());

    // Server and number are unique for ever: what was told first stays.
    let mut retold = records.iter().find(|record| record.transition.is_some()).unwrap().clone();
    retold.transition = retold.transition.map(|told| Transition { at: told.at + STEP, checks: 9, ..told });
    store.recorder.record(Arc::new(vec![retold])).await.unwrap();
    assert_eq!(store.history.transitions(Some(one), usize::MAX).await.unwrap(), expected);
    assert_eq!(store.history.transitions(None, both.len()).await.unwrap(), both);
}

async fn standings_are_the_latest(store: &Store, server: ServerId, records: &[Record]) {
    let standings = store.recorder.standings().await.unwrap();
    let of_server: Vec<_> = standings.iter().filter(|(id, _)| *id == server).collect();
    assert_eq!(of_server.len(), 1);
    assert_eq!(of_server[0].1, records.last().unwrap().standing, "an old batch sent again must not set it back");
}

async fn the_host_behind_a_server_is_remembered(store: &Store, start: Timestamp) {
    let server = registered(store, 304).await.id;
    let [known, other] = ["0a", "b1"].map(|pair| pair.repeat(16).parse::<HostId>().unwrap());
    let page = Outcome::Up(Reading { host: Some(known), ..Reading::default() });
    let stranger = Outcome::Failed(Failure::of_another_host(other, known));
    let mut standing = Standing::default();
    for (step, outcome, expected) in [(0, page, (Some(known), None)), (1, stranger, (Some(known), Some(other)))] {
        let record = observe(&mut standing, server, start + STEP * step, outcome);
        store.recorder.record(Arc::new(vec![record])).await.unwrap();
        let standings = store.recorder.standings().await.unwrap();
        let stored = standings.into_iter().find(|(id, _)| *id == server).unwrap().1;
        assert_eq!((stored.host, stored.stranger), expected);
        assert_eq!(stored, standing);
    }
}

/// A spool replays points of a day that is compressed already, out of order and some of them twice.
async fn late_points_join_their_day(store: &Store, start: Timestamp, now: Timestamp) {
    let server = registered(store, 302).await.id;
    let mut standing = Standing::default();
    let records: Vec<_> = (0..600).map(|n| observe(&mut standing, server, start + STEP * n, heartbeat(n))).collect();
    let (late, timely): (Vec<_>, Vec<_>) = records.iter().cloned().partition(|r| r.report.at.as_secs() % 7 == 0);
    store.recorder.record(Arc::new(timely)).await.unwrap();
    store.recorder.maintain(now, start).await.unwrap();
    store.recorder.record(Arc::new(late.iter().rev().cloned().collect())).await.unwrap();
    assert_points(&store.history.points(server, start..now).await.unwrap(), &records);
    store.recorder.maintain(now, start).await.unwrap();
    store.recorder.record(Arc::new(late)).await.unwrap();
    assert_points(&store.history.points(server, start..now).await.unwrap(), &records);
    assert!(store.history.transitions(Some(server), 10).await.unwrap().len() <= 1);
}

/// A collector starts with a clock that is ahead, and goes on after that was set right.
async fn a_clock_that_was_set_back_holds_no_standing_up(store: &Store, start: Timestamp) {
    let server = registered(store, 303).await.id;
    let mut standing = Standing::default();
    let ahead: Vec<_> = (0..5).map(|n| observe(&mut standing, server, start + DAY + STEP * n, heartbeat(n))).collect();
    let right: Vec<_> = (5..8).map(|n| observe(&mut standing, server, start + STEP * n, heartbeat(n))).collect();
    store.recorder.record(Arc::new(ahead.clone())).await.unwrap();
    for record in &right {
        store.recorder.record(Arc::new(vec![record.clone()])).await.unwrap();
        let standings = store.recorder.standings().await.unwrap();
        let stored = standings.iter().find(|(id, _)| *id == server);
        assert_eq!(stored.map(|(_, standing)| standing), Some(&record.standing));
    }
    store.recorder.record(Arc::new(ahead)).await.unwrap();
    standings_are_the_latest(store, server, &right).await;
}

async fn old_days_go(store: &Store, server: ServerId, records: &[Record], start: Timestamp, now: Timestamp) {
    let oldest = start + DAY + DAY;
    store.recorder.maintain(now, oldest).await.unwrap();
    let kept = records.iter().position(|record| record.report.at >= oldest).unwrap();
    assert_points(&store.history.points(server, oldest..now).await.unwrap(), &records[kept..]);
    assert!(store.history.points(server, start..oldest - DAY).await.unwrap().is_empty());
    let again = store.recorder.maintain(now, oldest).await.unwrap();
    assert_eq!(again.days_deleted, 0);
    let transitions = store.history.transitions(Some(server), usize::MAX).await.unwrap();
    let expected = records[kept..].iter().rev().filter_map(|record| record.transition.clone());
    assert_eq!(transitions, expected.collect::<Vec<_>>());
    let standings = store.recorder.standings().await.unwrap();
    assert!(standings.iter().any(|(id, standing)| *id == server && standing.state.health != Health::Pending));
}
