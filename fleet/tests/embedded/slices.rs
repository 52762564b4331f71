//! Maintenance of more than fits in one transaction.

use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{History, Inventory, Record, Recorder, story};
use mect_fleet::{ServerId, Standing, Timestamp};

use crate::open;

const START: Timestamp = Timestamp::from_secs(20_800 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_are_sealed_and_deleted_to_the_last() {
    const SERVERS: usize = 2500;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let servers = store.register((0..SERVERS).map(story::registration).collect(), START).await.unwrap();
    let times = [START, START + HOUR * 23, START + DAY, START + HOUR * 30];
    let mut batch: Vec<Record> = Vec::new();
    for server in &servers {
        let mut standing = Standing::default();
        batch.extend(times.map(|at| story::observe(&mut standing, server.id, at, story::heartbeat(4))));
    }
    store.record(Arc::new(batch)).await.unwrap();

    let done = store.maintain(START + DAY + DAY, START).await.unwrap();
    assert_eq!((done.points_sealed, done.days_deleted), ((SERVERS * times.len()) as u64, 0));
    let read = async |id: ServerId| -> Vec<Timestamp> {
        store.points(id, START..START + DAY + DAY).await.unwrap().iter().map(|point| point.at).collect()
    };
    for server in &servers {
        assert_eq!(read(server.id).await, times);
    }
    let done = store.maintain(START + DAY + DAY, START + DAY).await.unwrap();
    assert_eq!((done.points_sealed, done.days_deleted), (0, 1));
    for server in &servers {
        assert_eq!(read(server.id).await, times[2..]);
    }
}

/// A replay of weeks: a server with more points than a slice takes.
#[tokio::test(flavor = "multi_thread")]
async fn many_points_of_one_server_are_sealed_to_the_last() {
    const SCRAPES: u32 = 20_000;
    const STEP: Duration = Duration::from_secs(60);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let server = store.register(vec![story::registration(0)], START).await.unwrap()[0].id;
    let mut standing = Standing::default();
    let mut scrape = |n: u32| story::observe(&mut standing, server, START + STEP * n, story::heartbeat(n));
    store.record(Arc::new((0..SCRAPES).map(&mut scrape).collect())).await.unwrap();
    let end = START + STEP * SCRAPES;
    let before = store.points(server, START..end).await.unwrap();
    assert_eq!(before.len(), SCRAPES as usize);
    let done = store.maintain(end + HOUR * 3, START).await.unwrap();
    assert_eq!(done.points_sealed, u64::from(SCRAPES));
    assert_eq!(store.points(server, START..end).await.unwrap(), before);
    assert_eq!(store.maintain(end + HOUR * 3, START).await.unwrap().points_sealed, 0);
}
