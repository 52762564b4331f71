//! The embedded store tells the story, and survives what a data file meets in life.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Result, Store, story};

mod audit;
mod backup;
mod crash;
mod damage;
mod full_disk;
mod inspect;
mod lock;
mod slices;

/// Tells a child process of a test where the data directory is.
const DIR_VARIABLE: &str = "MECT_TEST_DATA_DIR";

fn open(dir: &Path) -> Embedded {
    try_open(dir).unwrap()
}

fn try_open(dir: &Path) -> Result<Embedded> {
    Embedded::open(dir, Options::default())
}

/// This test program, about to run only the test `name`, which finds itself the child of its own and works on the store
/// in `dir`.
fn child(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(DIR_VARIABLE, dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The data directory, when this process is a child.
fn dir_of_child() -> Option<std::path::PathBuf> {
    std::env::var_os(DIR_VARIABLE).map(Into::into)
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_the_story() {
    let dir = tempfile::tempdir().unwrap();
    story::tell(Store::of(Arc::new(open(dir.path())))).await;
}

#[tokio::test]
async fn remembers_after_it_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::of(Arc::new(open(dir.path())));
    let servers = store.inventory.register(vec![story::registration(1)], mect_fleet::Timestamp::from_secs(1)).await;
    drop(store);
    let store = Store::of(Arc::new(open(dir.path())));
    assert_eq!(store.inventory.servers().await.unwrap(), servers.unwrap());
}
