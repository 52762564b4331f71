//! A backup holds everything, and what is restored from it is the same store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::account::Grant;
use mect_fleet::archive::{Reader, Section, Tally};
use mect_fleet::store::embedded::{Embedded, restore};
use mect_fleet::store::{Accounts, Backup, Companion, Inventory, Recorder, Store, StoreError, story};
use mect_fleet::{Session, Standing, Timestamp};
use redb::{Database, TableDefinition};

use crate::{open, try_open};

/// The rows of every table.
type Content = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

async fn back_up(store: &Embedded, to: &Path) -> Tally {
    let key = Companion { name: "secret.key".into(), bytes: b"hidden".to_vec() };
    store.back_up(vec![key], Box::new(File::create(to).unwrap())).await.unwrap()
}

fn content(archive: &Path) -> Content {
    let (mut reader, mut content, mut table) = (Reader::open(archive).unwrap(), Content::new(), String::new());
    while let Some(section) = reader.next_section().unwrap() {
        match section {
            Section::Table(name) => {
                content.insert(name.clone(), Vec::new());
                table = name;
            }
            Section::Rows(rows) => content.get_mut(&table).unwrap().extend(rows),
            Section::File { .. } => {}
        }
    }
    content
}

/// A store with something in every table, and its backup.
async fn told(dir: &Path) -> std::path::PathBuf {
    let store = Arc::new(open(&dir.join("data")));
    story::tell(Store::of_own(store.clone())).await;
    let now = Timestamp::now();
    let server = store.servers().await.unwrap()[0].id;
    let hour = Duration::from_secs(3600);
    let mut standing = Standing::default();
    let records =
        [now - hour * 30, now - hour * 5, now].map(|at| story::observe(&mut standing, server, at, story::heartbeat(4)));
    store.record(Arc::new(records.to_vec())).await.unwrap();
    store.maintain(now, now - hour * 1000).await.unwrap();
    let username = "adam".to_owned();
    store
        .create_session(Session {
            digest: [9; 32],
            username,
            epoch: 1,
            created_at: now,
            expires_at: now,
            address: String::new(),
        })
        .await
        .unwrap();
    let (id, digest, username, created_at, expires_at) = ([9; 16], [9; 32], "adam".to_owned(), now, now + hour);
    store.create_grant(Grant { id, digest, username, epoch: 1, created_at, expires_at }).await.unwrap();
    let archive = dir.join("backup");
    back_up(&store, &archive).await;
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_is_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let archive = told(dir.path()).await;
    let restored = restore(&archive, &dir.path().join("new/data")).unwrap();
    let new = dir.path().join("new/data");
    assert_eq!(restored.companions, ["secret.key"]);
    assert_eq!(std::fs::read(new.join("secret.key")).unwrap(), b"hidden");
    for (path, mode) in [("", 0o700), ("fleet.redb", 0o600), ("secret.key", 0o600)] {
        assert_eq!(std::fs::metadata(new.join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 2, "no draft is left");
    let again = dir.path().join("again");
    let tally = back_up(&open(&new), &again).await;
    assert_eq!(tally, restored.tally);
    let (before, after) = (content(&archive), content(&again));
    assert_eq!(before, after);
    let filled = before.iter().filter(|(_, rows)| !rows.is_empty()).map(|(name, _)| name.as_str());
    let filled: Vec<_> = filled.filter(|name| !name.starts_with("history-")).collect();
    let all = [
        "audit_chain",
        "audit_marks",
        "events",
        "grants",
        "meta",
        "revoked",
        "server_by_ip",
        "servers",
        "sessions",
        "standings",
        "tail",
        "tokens",
        "transitions",
        "transitions_by_time",
        "users",
    ];
    assert_eq!(filled, all, "the story leaves no table empty");
    assert!(before.keys().any(|name| name.starts_with("history-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let archive = told(dir.path()).await;
    let whole = std::fs::read(&archive).unwrap();
    let new = dir.path().join("new");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    for bytes in [&whole[..whole.len() - 1], &whole[..whole.len() / 3], &flipped] {
        std::fs::write(&archive, bytes).unwrap();
        let refused = restore(&archive, &new).unwrap_err();
        assert!(refused.to_string().contains("damaged"), "{refused}");
        assert!(!new.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_holds_something_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data"));
    let archive = dir.path().join("backup");
    back_up(&store, &archive).await;
    drop(store);
    let before = std::fs::read(dir.path().join("data/fleet.redb")).unwrap();
    let refused = restore(&archive, &dir.path().join("data")).unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(text) if text.contains("fleet.redb")), "{refused}");
    assert_eq!(std::fs::read(dir.path().join("data/fleet.redb")).unwrap(), before);

    // What a killed attempt left does not stand in the way, nor does an empty directory.
    let half = dir.path().join("half");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("fleet.redb.restoring"), "half").unwrap();
    restore(&archive, &half).unwrap();
    assert_eq!(std::fs::read_dir(&half).unwrap().count(), 2);
    open(&half);
}

/// A full disk, or somebody at the other end who went away: an error, and the store goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_takes_no_more_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of_own(Arc::new(open(dir.path())));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let refused = store.backup.as_ref().unwrap().back_up(Vec::new(), Box::new(full)).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be written"), "{refused}");
    story::tell(store).await;
}

/// Recording goes on while a backup is taken, and the backup knows nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir.path().join("data")));
    let roles = Store::of_own(store.clone());
    let server = roles.inventory.register(vec![story::registration(1)], Timestamp::from_secs(1)).await.unwrap()[0].id;
    let mut standing = Standing::default();
    let mut record = |n: i64| {
        let at = Timestamp::from_secs(1_790_000_000 + n * 120);
        Arc::new(vec![story::observe(&mut standing, server, at, story::heartbeat(n as u32))])
    };
    for n in 0..3 {
        store.record(record(n)).await.unwrap();
    }
    let (go, wait) = std::sync::mpsc::channel();
    let archive = dir.path().join("backup");
    let to = Held { file: File::create(&archive).unwrap(), wait: Some(wait) };
    let backup = tokio::spawn({
        let store = store.clone();
        async move { store.back_up(Vec::new(), Box::new(to)).await.unwrap() }
    });
    // The snapshot is taken before the first byte is written, but perhaps not yet now: what counts is that it ends.
    for n in 3..200 {
        store.record(record(n)).await.unwrap();
    }
    go.send(()).unwrap();
    backup.await.unwrap();
    let new = dir.path().join("new");
    restore(&archive, &new).unwrap();
    let all = Timestamp::from_secs(0)..Timestamp::from_secs(2_000_000_000);
    let restored = Store::of_own(Arc::new(open(&new)));
    let points = restored.history.points(server, all.clone()).await.unwrap();
    assert!((3..200).contains(&points.len()), "{}", points.len());
    assert_eq!(restored.recorder.standings().await.unwrap()[0].1.last_scrape, points.last().map(|point| point.at));
    assert_eq!(roles.history.points(server, all).await.unwrap().len(), 200);
}

/// Takes nothing until it is told to.
struct Held {
    file: File,
    wait: Option<std::sync::mpsc::Receiver<()>>,
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(wait) = self.wait.take() {
            wait.recv().unwrap();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A table that is not known must not be left out in silence.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_table_fails_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let database = Database::open(dir.path().join("fleet.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TableDefinition::<u8, u8>::new("strange")).unwrap();
    txn.commit().unwrap();
    drop(database);
    let store = try_open(dir.path()).unwrap();
    let failed = store.back_up(Vec::new(), Box::new(std::io::sink())).await.unwrap_err();
    assert!(failed.to_string().contains("strange"), "{failed}");
}

/// The audit of version 2 was a table of another form.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_program_left_is_taken_along() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(open(&data));
    let old = TableDefinition::<(i64, u64), &[u8]>::new("audit");
    let database = Database::open(data.join("fleet.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(old).unwrap().insert((5, 0), b"an entry".as_slice()).unwrap();
    txn.commit().unwrap();
    drop(database);
    let archive = dir.path().join("backup");
    back_up(&open(&data), &archive).await;
    restore(&archive, &dir.path().join("new")).unwrap();
    drop(open(&dir.path().join("new")));
    assert_eq!(content(&archive)["audit"].len(), 1);
}
