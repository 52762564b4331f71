//! Charts and uptime: what is summed up is what the scrapes say, whatever was summed up before.

use std::sync::Arc;
use std::time::Duration;

use super::{failed, heartbeat, observe, registered};
use crate::series::{self, HOUR};
use crate::server::ServerId;
use crate::store::{Record, Store};
use crate::time::Timestamp;
use crate::uptime::uptime;
use crate::view::Standing;

/// A midnight after the chapters before.
const START: Timestamp = Timestamp::from_secs(1_790_640_000);
const STEP: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);
/// Two days and a few hours.
const SCRAPES: u32 = 1560;

pub(super) async fn tell(store: &Store) {
    let server = registered(store, 430).await.id;
    let (records, late) = recorded(store, server).await;
    let now = START + STEP * SCRAPES;
    agree(store, server, now).await;
    // Summed up, and then joined by what comes late from a spool.
    store.recorder.maintain(now, START).await.unwrap();
    agree(store, server, now).await;
    store.recorder.replay(Arc::new(late.clone())).await.unwrap();
    store.recorder.replay(Arc::new(late)).await.unwrap();
    agree(store, server, now).await;
    store.recorder.maintain(now, START).await.unwrap();
    agree(store, server, now).await;
    let all = store.history.series(server, START..now, DAY).await.unwrap();
    assert_eq!(all.iter().map(|day| day.checks).sum::<u32>(), SCRAPES, "every scrape once");
    uptimes(store, server, &records, now).await;
}

/// Up but for some hours; every seventh scrape is held back.
async fn recorded(store: &Store, server: ServerId) -> (Vec<Record>, Vec<Record>) {
    let mut standing = Standing::default();
    let outcome = |n: u32| if (700..760).contains(&n) { failed() } else { heartbeat(n) };
    let records: Vec<_> = (0..SCRAPES).map(|n| observe(&mut standing, server, START + STEP * n, outcome(n))).collect();
    let is_late = |record: &Record| record.transition.is_none() && record.report.at.as_secs() / 120 % 7 == 0;
    let (late, timely): (Vec<_>, Vec<_>) = records.iter().cloned().partition(is_late);
    for batch in timely.chunks(300) {
        store.recorder.record(Arc::new(batch.to_vec())).await.unwrap();
    }
    (records, late)
}

/// Every step and range gives what the points give.
async fn agree(store: &Store, server: ServerId, now: Timestamp) {
    let points = store.history.points(server, START..now).await.unwrap();
    for step in [Duration::from_secs(300), HOUR, HOUR * 5 / 2, HOUR * 6, DAY] {
        for range in [START..now, START + HOUR * 7 + STEP..START + HOUR * 30] {
            let told = store.history.series(server, range.clone(), step).await.unwrap();
            let wide = series::aligned(range, step);
            let within: Vec<_> = points.iter().filter(|point| wide.contains(&point.at)).copied().collect();
            assert_eq!(told, series::of_points(&within, step), "in steps of {step:?}");
        }
    }
    let nobody = ServerId::from_key(*b"88888888").unwrap();
    assert!(store.history.series(nobody, START..now, HOUR).await.unwrap().is_empty());
}

async fn uptimes(store: &Store, server: ServerId, records: &[Record], now: Timestamp) {
    let since = |from: Timestamp| async move {
        let told = store.history.transitions_since(from).await.unwrap();
        assert!(told.is_sorted_by_key(|flip| flip.at));
        told.into_iter().filter(|flip| flip.server == server).collect::<Vec<_>>()
    };
    let expected: Vec<_> = records.iter().filter_map(|record| record.transition.clone()).collect();
    let all = since(START).await;
    assert_eq!(all, expected);
    assert_eq!(since(expected[1].at).await, expected[1..], "the start is included");
    let standing = &records[records.len() - 1].standing;
    let down = expected[2].at.since(expected[1].at).as_secs_f64();
    let judged = now.since(expected[0].at).as_secs_f64();
    // The server is younger than a month: what nobody judged counts for nothing.
    for days in [7, 30] {
        let range = now - DAY * days..now;
        let ratio = uptime(standing, &since(range.start).await, range).unwrap();
        assert!((ratio - (1.0 - down / judged)).abs() < 1e-9, "{days} days: {ratio}");
    }
    let day = now - DAY..now;
    let of_day = uptime(standing, &since(day.start).await, day.clone()).unwrap();
    let down_of_day = expected[2].at.since(expected[1].at.max(day.start)).as_secs_f64();
    assert!((of_day - (1.0 - down_of_day / DAY.as_secs_f64())).abs() < 1e-9, "{of_day}");
}
