//! A primary that dies in the middle of recording: what was acknowledged is there, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{History, Inventory, Record, Recorder, story};
use mect_fleet::{ServerId, Standing, Timestamp};
use mect_testkit::mongo::ReplicaSet;

const SERVERS: usize = 40;
const KILLS: usize = 3;

/// Sends a batch until it is taken, as the collector does.
async fn insist(store: &Mongo, batch: Arc<Vec<Record>>) {
    while let Err(error) = store.record(Arc::clone(&batch)).await {
        assert!(!error.to_string().contains("duplicate"), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_loses_and_doubles_nothing() {
    let mut set = ReplicaSet::start(3);
    set.settle();
    let store = Arc::new(Mongo::open(&set.url("failover"), Options::default()).await.unwrap());
    let registered = store.register((0..SERVERS).map(story::registration).collect(), Timestamp::now()).await.unwrap();
    let servers: Vec<ServerId> = registered.iter().map(|server| server.id).collect();

    let stop = Arc::new(AtomicBool::new(false));
    let (writer, stopped, scraped) = (Arc::clone(&store), Arc::clone(&stop), servers.clone());
    let recording = tokio::spawn(async move {
        let mut standings = vec![Standing::default(); SERVERS];
        let (mut written, mut at) = (BTreeSet::new(), Timestamp::now() - Duration::from_secs(3600));
        let mut n = 0;
        while !stopped.load(Ordering::Relaxed) {
            at = at + Duration::from_millis(500);
            n += 1;
            let outcome = || if n % 11 > 6 { story::failed() } else { story::heartbeat(n) };
            let observe =
                |(server, standing): (&ServerId, &mut Standing)| story::observe(standing, *server, at, outcome());
            let batch: Vec<Record> = scraped.iter().zip(&mut standings).map(observe).collect();
            insist(&writer, Arc::new(batch)).await;
            written.insert(at);
        }
        (written, standings)
    });
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let primary = set.primary();
        set.kill(primary);
        set.primary();
        set.restart(primary);
        set.settle();
    }
    stop.store(true, Ordering::Relaxed);
    let (written, standings) = recording.await.unwrap();
    assert!(written.len() > 10, "{}", written.len());

    let all = Timestamp::from_secs(0)..Timestamp::now();
    for (server, standing) in servers.iter().zip(standings) {
        let read: Vec<_> = store.points(*server, all.clone()).await.unwrap().iter().map(|point| point.at).collect();
        assert_eq!(read, written.iter().copied().collect::<Vec<_>>());
        let mut flips = store.transitions(Some(*server), usize::MAX).await.unwrap();
        flips.reverse();
        assert!(flips.iter().zip(1..).all(|(flip, number)| flip.number == number), "{flips:?}");
        assert_eq!(flips.len() as u64, standing.state.transitions);
    }
}
