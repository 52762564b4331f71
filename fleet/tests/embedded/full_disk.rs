//! A disk that fills up: recording fails, nothing half-written is kept, and it goes on once there is space.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::embedded::Embedded;
use mect_fleet::store::{History, Inventory, Record, Recorder, StoreError, story};
use mect_fleet::{ServerId, Standing, Timestamp};

use crate::{child, dir_of_child, open};

const START: Timestamp = Timestamp::from_secs(20_800 * 86_400);
const STEP: Duration = Duration::from_secs(120);
/// Records in a batch.
const BATCH: u32 = 500;
/// The largest file that the child may write, in KiB: a limit on the file stands in for a small disk.
const LIMIT_KIB: u32 = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn recording_resumes_once_there_is_space() {
    if let Some(dir) = dir_of_child() {
        return fill(&dir).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = child("full_disk::recording_resumes_once_there_is_space", dir.path());
    // The soft limit only, so that the child may lift it; the signal ignored, so that the write fails instead.
    let script = format!("trap '' XFSZ; ulimit -S -f {LIMIT_KIB}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).arg(test.get_program()).args(test.get_args());
    shell.env(crate::DIR_VARIABLE, dir.path()).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("went on"), "{said}\n{erred}");
}

/// Child: records until the file may grow no more, lifts the limit, goes on.
async fn fill(dir: &Path) {
    let store = open(dir);
    let server = store.register(vec![story::registration(0)], START).await.unwrap()[0].id;
    let mut standing = Standing::default();
    let mut stored = 0;
    let failed = loop {
        let batch = batch(server, &mut standing, stored);
        match store.record(Arc::clone(&batch)).await {
            Ok(_) => stored += BATCH,
            Err(error) => {
                assert!(matches!(error, StoreError::Backend(_)), "{error:?}");
                break batch;
            }
        }
        assert!(stored < 1_000_000, "the limit does not work");
    };
    assert!(stored > 0);
    assert_eq!(count(&store, server).await, stored, "all of the acknowledged batches, nothing of the failed one");
    assert!(store.record(Arc::clone(&failed)).await.is_err(), "still full");
    assert_eq!(count(&store, server).await, stored);

    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    store.record(failed).await.unwrap();
    assert_eq!(count(&store, server).await, stored + BATCH);
    assert_eq!(store.standings().await.unwrap(), [(server, standing)]);
    drop(store);
    assert_eq!(count(&open(dir), server).await, stored + BATCH);
    println!("went on after {stored} records");
}

fn batch(server: ServerId, standing: &mut Standing, from: u32) -> Arc<Vec<Record>> {
    let scrape = |n: u32| story::observe(standing, server, START + STEP * n, story::heartbeat(n));
    Arc::new((from..from + BATCH).map(scrape).collect())
}

async fn count(store: &Embedded, server: ServerId) -> u32 {
    let all = START..Timestamp::from_millis(i64::MAX);
    u32::try_from(store.points(server, all).await.unwrap().len()).unwrap()
}
