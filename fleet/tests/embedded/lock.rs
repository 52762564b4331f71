//! One collector at a time, and nobody else looks in.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mect_fleet::store::StoreError;

use crate::{child, dir_of_child, open, try_open};

#[test]
fn a_second_process_is_refused() {
    if let Some(dir) = dir_of_child() {
        return hold(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut holder = child("lock::a_second_process_is_refused", dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")));

    let refused = try_open(dir.path()).err().unwrap();
    let file = dir.path().join("fleet.redb").display().to_string();
    assert!(matches!(&refused, StoreError::Locked { path } if *path == file), "{refused:?}");
    assert!(refused.to_string().contains("another collector"), "{refused}");

    // The lock dies with its holder, however it dies.
    holder.kill().unwrap();
    holder.wait().unwrap();
    open(dir.path());
}

#[test]
fn a_second_open_in_this_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    assert!(matches!(try_open(dir.path()), Err(StoreError::Locked { .. })));
    drop(held);
    open(dir.path());
}

/// Child: opens the store and keeps it until it is killed.
fn hold(dir: &Path) {
    let _held = open(dir);
    println!("held");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn directory_and_file_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new/data");
    drop(open(&dir));
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    assert_eq!(mode(dir.join("fleet.redb")), 0o600);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(try_open(&file.join("data")), Err(StoreError::DataDir { .. })));
}
