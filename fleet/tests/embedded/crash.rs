//! Killed without warning, again and again: what was acknowledged is there, exactly once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mect_fleet::store::embedded::Embedded;
use mect_fleet::store::{History, Inventory, Record, Recorder, story};
use mect_fleet::{Outcome, ServerId, Standing, Timestamp};

use crate::{child, dir_of_child, open};

const KILLS: usize = 25;
const SERVERS: usize = 12;
/// Between two scrapes: long, so that the run spans days and maintenance has much to seal and to delete.
const STEP: Duration = Duration::from_secs(600);
/// Scrapes of each server in one batch.
const TICKS: u32 = 6;
const START: Timestamp = Timestamp::from_secs(20_800 * 86_400 + 3600);
const RETENTION: Duration = Duration::from_secs(3 * 86_400);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled() {
    if let Some(dir) = dir_of_child() {
        return write(&dir).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.register((0..SERVERS).map(story::registration).collect(), START).await.unwrap();
    let servers = ids(&store).await;
    drop(store);
    let mut stored = 0;
    for kill in 1..=KILLS {
        let acknowledged = killed_while_recording(dir.path(), kill).await;
        let store = open(dir.path());
        stored = verified(&store, &servers).await;
        println!("kill {kill}: {acknowledged} batches acknowledged, {stored} stored");
        assert!(stored >= acknowledged, "{acknowledged} acknowledged, {stored} stored");
        assert!(stored <= acknowledged + 1, "at most the batch under way may be there without its word");
    }
    assert!(stored as usize > KILLS, "a run this short ({stored} batches) proves little");
}

/// Runs the child and kills it at a moment that differs from run to run; gives the number of batches acknowledged.
async fn killed_while_recording(dir: &Path, kill: usize) -> u32 {
    let mut writer = child("crash::nothing_acknowledged_is_lost_or_doubled", dir).spawn().unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    let mut follow = |line: std::io::Result<String>| -> bool {
        let number = line.unwrap().strip_prefix("stored ").map(|number| number.parse().unwrap());
        acknowledged = number.unwrap_or(acknowledged);
        number.is_some()
    };
    while !follow(lines.next().unwrap()) {}
    // Spread over a fifth of a second; the scheduler adds the randomness.
    let patience = Duration::from_micros(20_000 + (kill * 79_919 % 200_000) as u64);
    let started = Instant::now();
    while started.elapsed() < patience {
        follow(lines.next().unwrap());
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What it said before it died counts, also when it was not read yet.
    for line in lines {
        follow(line);
    }
    acknowledged
}

/// Child: goes on where the store stands, one batch after the other, with maintenance beside it, until it is killed.
async fn write(dir: &Path) {
    let store = Arc::new(open(dir));
    let servers = ids(&store).await;
    let mut standings = vec![Standing::default(); SERVERS];
    let mut next = 0;
    for (id, standing) in store.standings().await.unwrap() {
        next = next.max(tick_of(standing.last_scrape.unwrap()) + 1);
        standings[servers.iter().position(|server| *server == id).unwrap()] = standing;
    }
    let clock = Arc::new(AtomicU32::new(next));
    tokio::spawn(maintain(Arc::clone(&store), Arc::clone(&clock)));
    for number in next / TICKS.. {
        let mut batch: Vec<Record> = Vec::new();
        for tick in number * TICKS..(number + 1) * TICKS {
            let servers = servers.iter().zip(&mut standings).enumerate();
            let scrape = |(n, (id, standing)): (_, (&_, &mut _))| {
                story::observe(standing, *id, START + STEP * tick, outcome(n, tick))
            };
            batch.extend(servers.map(scrape));
        }
        let batch = Arc::new(batch);
        store.record(Arc::clone(&batch)).await.unwrap();
        println!("stored {}", number + 1);
        std::io::stdout().flush().unwrap();
        clock.store(number * TICKS, Ordering::Relaxed);
        if number % 5 == 0 {
            store.record(batch).await.unwrap();
        }
    }
}

async fn maintain(store: Arc<Embedded>, clock: Arc<AtomicU32>) {
    loop {
        let now = START + STEP * clock.load(Ordering::Relaxed);
        store.maintain(now, now - RETENTION).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// Checks that the store holds what the first batches made, no more and no less; gives their number.
async fn verified(store: &Embedded, servers: &[ServerId]) -> u32 {
    let standings = store.standings().await.unwrap();
    assert_eq!(standings.len(), SERVERS);
    let last = tick_of(standings[0].1.last_scrape.unwrap());
    let oldest = START + STEP * last - RETENTION;
    let midnight = Timestamp::from_secs((oldest.day() + 1) * 86_400);
    let end = START + STEP * (last + 10);
    let logged = store.transitions(None, usize::MAX).await.unwrap();
    for (n, server) in servers.iter().enumerate() {
        let mut standing = Standing::default();
        let records: Vec<_> = (0..=last)
            .map(|tick| story::observe(&mut standing, *server, START + STEP * tick, outcome(n, tick)))
            .collect();
        assert!(standings.contains(&(*server, standing)), "standing of server {n} after batch {last}");

        let kept = records.iter().filter(|record| record.report.at >= midnight);
        let points = store.points(*server, midnight..end).await.unwrap();
        assert!(points.iter().map(|p| (p.at, p.health)).eq(kept.map(|r| (r.report.at, r.standing.state.health))));

        let mut expected: Vec<_> = records.into_iter().filter_map(|record| record.transition).collect();
        expected.reverse();
        expected.retain(|transition| transition.at >= oldest);
        let of_server = |transitions: &[mect_fleet::Transition]| -> Vec<_> {
            transitions.iter().filter(|t| t.server == *server && t.at >= oldest).cloned().collect()
        };
        assert_eq!(of_server(&store.transitions(Some(*server), usize::MAX).await.unwrap()), expected);
        assert_eq!(of_server(&logged), expected);
    }
    assert_eq!((last + 1) % TICKS, 0, "a batch is stored as a whole");
    (last + 1) / TICKS
}

/// Follows from server and tick alone, so that the parent knows what the child wrote.
fn outcome(server: usize, tick: u32) -> Outcome {
    if (tick as usize / 7 + server).is_multiple_of(3) { story::failed() } else { story::heartbeat(tick) }
}

fn tick_of(at: Timestamp) -> u32 {
    u32::try_from(at.since(START).as_secs() / STEP.as_secs()).unwrap()
}

async fn ids(store: &Embedded) -> Vec<ServerId> {
    let mut servers = store.servers().await.unwrap();
    servers.sort_by(|a, b| a.ip.cmp(&b.ip));
    servers.iter().map(|server| server.id).collect()
}
