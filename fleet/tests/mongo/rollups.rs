//! What is read from rolled-up hours is what the scrapes themselves would give, whatever came when.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::series::{self, HOUR};
use mect_fleet::store::mongo::Mongo;
use mect_fleet::store::{History, Inventory, Record, Recorder, story};
use mect_fleet::{ServerId, Standing, Timestamp};

use crate::shared;

/// A little after midnight, not at an hour; long ago, so that every record counts as late.
const PAST: Timestamp = Timestamp::from_secs(1_790_035_200 + 77);
/// The same in days to come: no record is late.
const FUTURE: Timestamp = Timestamp::from_secs(4_102_444_800 + 77);
const STEP: Duration = Duration::from_secs(407);
const SCRAPES: u32 = 700;

async fn server(store: &Mongo) -> ServerId {
    store.register(vec![story::registration(1)], PAST).await.unwrap()[0].id
}

fn records(server: ServerId, start: Timestamp) -> Vec<Record> {
    let mut standing = Standing::default();
    let scrape = |n: u32| {
        // A gap of several hours, too.
        let at = start + STEP * if n > 400 { n + 60 } else { n };
        story::observe(&mut standing, server, at, if n % 50 > 44 { story::failed() } else { story::heartbeat(n) })
    };
    (0..SCRAPES).map(scrape).collect()
}

/// Every series is exactly what the scrapes give.
async fn assert_equal(store: &Mongo, server: ServerId, start: Timestamp) {
    let end = start + STEP * (SCRAPES + 70);
    for hours in [1, 2, 5, 24] {
        for (from, to) in [(start, end), (start + HOUR * 7, start + HOUR * 31), (end - HOUR * 3, end + HOUR)] {
            let step = HOUR * hours;
            let read = store.series(server, from..to, step).await.unwrap();
            let whole = series::aligned(from..to, step);
            let expected = series::of_points(&store.points(server, whole).await.unwrap(), step);
            let differs = read.iter().zip(&expected).find(|(read, expected)| read != expected);
            assert_eq!(differs, None, "{hours} h, {from} to {to}");
            assert_eq!(read.len(), expected.len(), "{hours} h, {from} to {to}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_come_out_the_same_rolled_up_or_not() {
    rolled_up_or_not("rollups_past", PAST).await;
    rolled_up_or_not("rollups_future", FUTURE).await;
}

async fn rolled_up_or_not(database: &str, start: Timestamp) {
    let store = shared().open(database).await;
    let server = server(&store).await;
    let records = records(server, start);
    let (late, timely): (Vec<_>, Vec<_>) =
        records.into_iter().enumerate().partition(|(n, _)| start == PAST && n % 97 < 3);
    let [late, timely] =
        [late, timely].map(|records| records.into_iter().map(|(_, record)| record).collect::<Vec<_>>());
    let mut rolled = 0;
    for batch in timely.chunks(90) {
        store.record(Arc::new(batch.to_vec())).await.unwrap();
        assert_equal(&store, server, start).await;
        let now = batch.last().unwrap().report.at;
        rolled += store.maintain(now, start).await.unwrap().points_sealed;
        assert_equal(&store, server, start).await;
    }
    assert!(rolled > 600, "{rolled}");
    assert!(shared().set.dump(database, "rollups").len() >= 3, "a document a day");
    // Late ones are seen at once, and after they were taken up.
    assert_eq!(late.is_empty(), start == FUTURE);
    store.replay(Arc::new(late)).await.unwrap();
    assert_equal(&store, server, start).await;
    assert_eq!(shared().set.dump(database, "rollups_late").is_empty(), start == FUTURE);
    let now = start + STEP * (SCRAPES + 100);
    store.maintain(now, start).await.unwrap();
    assert_equal(&store, server, start).await;
    assert!(shared().set.dump(database, "rollups_late").is_empty());
    assert_eq!(store.maintain(now, start).await.unwrap().points_sealed, 0, "nothing is left to do");
    // Retention takes whole days from both.
    store.maintain(now, start + HOUR * 30).await.unwrap();
    assert_equal(&store, server, start).await;
    let first = store.points(server, start..now).await.unwrap()[0].at;
    assert_eq!(first.day(), (start + HOUR * 30).day());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_by_the_hour_reads_no_scrape() {
    let store = shared().open("month").await;
    let server = server(&store).await;
    store.record(Arc::new(records(server, FUTURE))).await.unwrap();
    let now = FUTURE + STEP * (SCRAPES + 100);
    store.maintain(now, FUTURE).await.unwrap();
    let before = store.series(server, FUTURE..now, HOUR).await.unwrap();
    // Behind its back: what is rolled up does not need the scrapes any more.
    let set = &shared().set;
    set.command(0, bson::doc! { "drop": "heartbeats", "$db": "month" }).unwrap();
    let after = store.series(server, FUTURE..now, HOUR).await.unwrap();
    let over = |at: Timestamp| at + HOUR + HOUR / 3 <= now;
    let rolled: Vec<_> = before.into_iter().filter(|bucket| over(bucket.at)).collect();
    assert_eq!(after, rolled);
    assert!(after.len() > 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_maintain_at_once_without_harm() {
    let store = Arc::new(shared().open("together").await);
    let server = server(&store).await;
    store.record(Arc::new(records(server, FUTURE))).await.unwrap();
    let now = FUTURE + STEP * (SCRAPES + 100);
    let turns: Vec<_> = (0..5)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.maintain(now, FUTURE).await.unwrap().points_sealed })
        })
        .collect();
    let mut sealed = 0;
    for turn in turns {
        sealed += turn.await.unwrap();
    }
    assert!(sealed > 0);
    assert_equal(&store, server, FUTURE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_server_keeps_its_history() {
    let store = shared().open("deleted").await;
    let server = server(&store).await;
    let records = records(server, FUTURE);
    store.record(Arc::new(records.clone())).await.unwrap();
    // Some of it rolled up before, the rest after.
    store.maintain(records[600].report.at, FUTURE).await.unwrap();
    assert!(store.delete_server(server).await.unwrap());
    assert_equal(&store, server, FUTURE).await;
    store.maintain(FUTURE + STEP * (SCRAPES + 100), FUTURE).await.unwrap();
    assert_equal(&store, server, FUTURE).await;
}
