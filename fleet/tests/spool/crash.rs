//! Killed without warning, again and again: what was acknowledged is there, exactly once and in order.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mect_fleet::spool::{Options, Spool};

use crate::{batch, child, dir_of_child, drain};

const KILLS: u32 = 30;
/// Small, so that every life sees several segments begin.
const OPTIONS: Options = Options { segment_bytes: 8 << 10, capacity_bytes: 1 << 30 };

#[test]
fn nothing_acknowledged_is_lost_doubled_or_moved() {
    if let Some(dir) = dir_of_child() {
        return append_for_ever(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        acknowledged.extend(killed_while_appending(dir.path(), kill));
    }
    assert!(acknowledged.len() > 4 * KILLS as usize, "{} batches prove little", acknowledged.len());
    let spool = Spool::open(dir.path(), OPTIONS).unwrap();
    assert_eq!(spool.stats().damaged_frames, 0);
    let kept = drain(&spool);
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice: {kept:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|number| kept.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let surplus = kept.len() - acknowledged.len();
    assert!(surplus <= KILLS as usize, "at most the batch under way may be there without its word: {surplus}");
    println!("{} batches acknowledged over {KILLS} kills, {surplus} unacknowledged ones kept", acknowledged.len());
}

/// Runs the child and kills it at a moment that differs from run to run; gives the batches it acknowledged.
fn killed_while_appending(dir: &Path, kill: u32) -> Vec<u32> {
    let mut command = child("crash::nothing_acknowledged_is_lost_doubled_or_moved", dir);
    let mut program = command.env("MECT_TEST_FIRST", (kill * 100_000).to_string()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut follow = |line: std::io::Result<String>| {
        let number = line.unwrap().strip_prefix("appended ").map(|number| number.parse::<u32>().unwrap());
        acknowledged.extend(number);
        number.is_some()
    };
    while !follow(lines.next().unwrap()) {}
    let patience = Duration::from_micros(u64::from(5_000 + kill * 79_919 % 60_000));
    let started = Instant::now();
    while started.elapsed() < patience {
        follow(lines.next().unwrap());
    }
    program.kill().unwrap();
    program.wait().unwrap();
    // What it said before it died counts, also when it was not read yet.
    for line in lines {
        follow(line);
    }
    acknowledged
}

/// Child: appends one batch after the other until it is killed.
fn append_for_ever(dir: &Path) {
    let first: u32 = std::env::var("MECT_TEST_FIRST").unwrap().parse().unwrap();
    let spool = Spool::open(dir, OPTIONS).unwrap();
    for number in first.. {
        spool.append(&batch(number)).unwrap();
        println!("appended {number}");
        std::io::stdout().flush().unwrap();
    }
}
