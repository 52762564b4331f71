//! Damaged files cost what is damaged and nothing else, and never a panic.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::embedded::Embedded;
use mect_fleet::store::{Accounts, History, Inventory, Record, Recorder, StoreError, story};
use mect_fleet::{ServerId, Standing, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};

use crate::{open, try_open};

const START: Timestamp = Timestamp::from_secs(20_800 * 86_400);
const STEP: Duration = Duration::from_secs(120);
const SCRAPES: u32 = 1500;

fn file(dir: &Path) -> PathBuf {
    dir.join("fleet.redb")
}

/// Two servers with two days of history, most of it in blocks.
async fn filled(dir: &Path) -> Vec<ServerId> {
    let store = open(dir);
    let servers = store.register((0..2).map(story::registration).collect(), START).await.unwrap();
    let servers: Vec<_> = servers.iter().map(|server| server.id).collect();
    for server in &servers {
        store.record(Arc::new(scrapes(*server))).await.unwrap();
    }
    store.maintain(START + STEP * SCRAPES, START).await.unwrap();
    servers
}

fn scrapes(server: ServerId) -> Vec<Record> {
    let mut standing = Standing::default();
    (0..SCRAPES)
        .map(|n| {
            let outcome = if n % 100 < 4 { story::failed() } else { story::heartbeat(n) };
            story::observe(&mut standing, server, START + STEP * n, outcome)
        })
        .collect()
}

/// Changes the stored bytes of `server` in `table`, behind the store's back.
fn tamper(dir: &Path, table: &str, server: ServerId, change: impl FnOnce(&mut Vec<u8>)) {
    let table = TableDefinition::<&[u8; 8], &[u8]>::new(table);
    let txn = Database::open(file(dir)).unwrap();
    let txn = txn.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let mut bytes = table.get(&server.key()).unwrap().unwrap().value().to_vec();
        change(&mut bytes);
        table.insert(&server.key(), bytes.as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

async fn count(store: &Embedded, server: ServerId) -> usize {
    store.points(server, START..START + STEP * SCRAPES).await.unwrap().len()
}

#[tokio::test]
async fn a_damaged_block_costs_one_day_of_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let servers = filled(dir.path()).await;
    tamper(dir.path(), &format!("history-{}", START.day()), servers[0], |block| {
        let middle = block.len() / 2;
        block[middle] ^= 1;
    });
    let store = open(dir.path());
    assert_eq!(count(&store, servers[0]).await, SCRAPES as usize - 720);
    assert_eq!(count(&store, servers[1]).await, SCRAPES as usize);

    // Sent again, the day is whole again: the block that cannot be read is replaced.
    store.record(Arc::new(scrapes(servers[0]))).await.unwrap();
    store.maintain(START + STEP * SCRAPES, START).await.unwrap();
    assert_eq!(count(&store, servers[0]).await, SCRAPES as usize);
}

#[tokio::test]
async fn a_damaged_standing_restarts_from_the_last_transition() {
    let dir = tempfile::tempdir().unwrap();
    let servers = filled(dir.path()).await;
    tamper(dir.path(), "standings", servers[0], |standing| standing.truncate(20));
    tamper(dir.path(), "standings", servers[1], Vec::clear);
    let store = open(dir.path());
    for (server, standing) in store.standings().await.unwrap() {
        let last = store.transitions(Some(server), 1).await.unwrap().remove(0);
        assert_eq!((standing.state.health, standing.state.transitions), (last.to, last.number));
        let mut standing = standing;
        let at = START + STEP * (SCRAPES + 1);
        store.record(Arc::new(vec![story::observe(&mut standing, server, at, story::heartbeat(1))])).await.unwrap();
        assert!(store.standings().await.unwrap().contains(&(server, standing)));
    }
}

#[tokio::test]
async fn a_damaged_server_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let servers = filled(dir.path()).await;
    tamper(dir.path(), "servers", servers[0], |server| server.truncate(30));
    let store = open(dir.path());
    let error = store.servers().await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { what, .. } if what == "server"), "{error:?}");
    let patch = mect_fleet::FlagsPatch::default();
    assert!(store.set_flags(&story::registration(0).ip, patch).await.is_err());
    assert!(store.set_flags(&story::registration(1).ip, patch).await.unwrap().is_some());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let database = Database::open(file(dir.path())).unwrap();
    let txn = database.begin_write().unwrap();
    let known = txn.open_table(META).unwrap().insert("schema", 99).unwrap().unwrap().value();
    txn.commit().unwrap();
    drop(database);

    let refused = try_open(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, known: k, .. } if k == known), "{refused:?}");
    let database = Database::open(file(dir.path())).unwrap();
    let txn = database.begin_read().unwrap();
    assert_eq!(txn.open_table(META).unwrap().get("schema").unwrap().unwrap().value(), 99);
    assert!(txn.list_tables().unwrap().any(|table| table.name() == "servers"));
}

#[test]
fn a_file_that_is_no_data_file_is_refused_and_left_alone() {
    for content in [b"not a database\n".repeat(1000), vec![0; 70_000], b"redb".to_vec(), vec![0xff; 5000]] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), &content).unwrap();
        let refused = try_open(dir.path()).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
        assert_eq!(std::fs::read(file(dir.path())).unwrap(), content);
    }
}

/// Bytes overwritten anywhere, and files cut anywhere: every call answers or fails, none panics or hangs.
#[tokio::test(flavor = "multi_thread")]
async fn random_damage_is_an_error_at_worst() {
    let dir = tempfile::tempdir().unwrap();
    let servers = filled(dir.path()).await;
    let sound = std::fs::read(file(dir.path())).unwrap();
    for round in 0..150usize {
        let mut bytes = sound.clone();
        let place = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
        if round % 3 == 0 {
            bytes.truncate(place % sound.len());
        } else {
            // A third of the damage in the file's head and first pages, where it hurts most.
            let place = place % if round % 3 == 1 { 16_384 } else { sound.len() };
            let end = sound.len().min(place + 1 + round % 64);
            bytes[place..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
        }
        std::fs::write(file(dir.path()), &bytes).unwrap();
        if let Ok(store) = try_open(dir.path()) {
            let all = START..START + STEP * SCRAPES;
            let _ = (store.servers().await, store.standings().await, store.users().await);
            let _ = (store.points(servers[0], all.clone()).await, store.points(servers[1], all).await);
            let _ = store.transitions(None, 100).await;
            let _ = store.record(Arc::new(scrapes(servers[1])[..200].to_vec())).await;
            let _ = store.maintain(START + STEP * (SCRAPES + 300), START).await;
        }
    }
}
