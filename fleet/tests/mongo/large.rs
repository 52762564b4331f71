//! The largest fleet that the design names.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use mect_fleet::store::{Inventory, Record, Recorder, story};
use mect_fleet::{Standing, Timestamp};

use crate::shared;

const SERVERS: usize = 50_000;
/// As many records as a collector hands over at once.
const BATCH: usize = 2048;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_servers() {
    let store = shared().open("large").await;
    let started = Instant::now();
    let registrations: Vec<_> = (0..SERVERS).map(story::registration).collect();
    let servers = store.register(registrations.clone(), Timestamp::now()).await.unwrap();
    println!("registered in {:?}", started.elapsed());
    assert_eq!(servers.iter().map(|server| server.id).collect::<HashSet<_>>().len(), SERVERS);
    assert!(servers.iter().zip(&registrations).all(|(server, wanted)| server.ip == wanted.ip));

    let started = Instant::now();
    let at = Timestamp::now();
    let scrape =
        |server: &mect_fleet::Server| story::observe(&mut Standing::default(), server.id, at, story::heartbeat(1));
    for servers in servers.chunks(BATCH) {
        let batch: Vec<Record> = servers.iter().map(scrape).collect();
        assert!(store.record(Arc::new(batch)).await.unwrap().refused.is_empty());
    }
    println!("recorded in {:?}", started.elapsed());

    let started = Instant::now();
    assert_eq!(store.register(registrations, Timestamp::now()).await.unwrap(), servers);
    println!("registered again in {:?}", started.elapsed());
    let started = Instant::now();
    let standings = store.standings().await.unwrap();
    println!("standings read in {:?}", started.elapsed());
    assert_eq!(standings.len(), SERVERS);
    assert!(standings.iter().all(|(_, standing)| standing.last_heartbeat == Some(at)));
}
