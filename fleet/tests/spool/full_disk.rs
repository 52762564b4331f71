//! A disk that fills up: appending fails with what is wrong, nothing half-written is kept, and it goes on once there is
//! space.

use std::path::Path;
use std::process::{Command, Stdio};

use mect_fleet::spool::{Options, Spool};

use crate::{batch, child, dir_of_child, drain, open};

/// The largest file that the child may write, in KiB: a limit on the file stands in for a small disk.
const LIMIT_KIB: u32 = 64;

#[test]
fn appending_resumes_once_there_is_space() {
    if let Some(dir) = dir_of_child() {
        return fill(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let test = child("full_disk::appending_resumes_once_there_is_space", dir.path());
    // The soft limit only, so that the child may lift it; the signal ignored, so that the write fails instead.
    let script = format!("trap '' XFSZ; ulimit -S -f {LIMIT_KIB}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).arg(test.get_program()).args(test.get_args());
    shell.env(crate::DIR_VARIABLE, dir.path()).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("went on"), "{said}\n{erred}");
}

/// Child: appends until the file may grow no more, lifts the limit, goes on.
fn fill(dir: &Path) {
    let spool = Spool::open(dir, Options::default()).unwrap();
    let mut number = 0;
    let error = loop {
        match spool.append(&batch(number)) {
            Ok(()) => number += 1,
            Err(error) => break error.to_string(),
        }
        assert!(number < 100_000, "the limit does not work");
    };
    assert!(error.starts_with("cannot write ") && error.contains("File too large"), "{error}");
    let before = spool.stats();
    assert!(spool.append(&batch(number)).is_err(), "still full");
    assert_eq!(spool.stats(), before);

    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    spool.append(&batch(number)).unwrap();
    drop(spool);
    let spool = open(dir);
    assert_eq!(spool.stats().torn_frames, 0);
    assert_eq!(drain(&spool), (0..=number).collect::<Vec<_>>());
    println!("went on after {number} batches");
}
