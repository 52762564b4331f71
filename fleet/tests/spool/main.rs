//! The spool keeps what it acknowledged, whatever happens to process and disk.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mect_fleet::spool::{Options, Spool, SpoolError};
use mect_fleet::store::{Record, story};
use mect_fleet::{Standing, Timestamp};
use proptest::prelude::*;

mod crash;
mod damage;
mod full_disk;

/// Tells a child process of a test where the spool is.
const DIR_VARIABLE: &str = "MECT_TEST_SPOOL_DIR";

fn open(dir: &Path) -> Spool {
    open_with(dir, Options::default())
}

/// Opens a spool that was closed just now. A child that another test is starting holds our locks from its fork to its
/// exec: waits for that moment to pass.
fn open_with(dir: &Path, options: Options) -> Spool {
    let started = Instant::now();
    loop {
        match Spool::open(dir, options) {
            Err(SpoolError::Locked { .. }) if started.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// This test program, about to run only the test `name`, which finds itself the child of its own.
fn child(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(DIR_VARIABLE, dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn dir_of_child() -> Option<std::path::PathBuf> {
    std::env::var_os(DIR_VARIABLE).map(Into::into)
}

/// The batch with that number: everything in it follows from the number.
fn batch(number: u32) -> Vec<Record> {
    let records = number * 7 % 40 + 1;
    let mut standing = Standing::default();
    let server = format!("srv-batch{:03}", number % 1000).parse().unwrap();
    let at = |n: u32| Timestamp::from_secs(i64::from(number) * 1000 + i64::from(n));
    (0..records).map(|n| story::observe(&mut standing, server, at(n), story::heartbeat(n + number))).collect()
}

fn number_of(records: &[Record]) -> u32 {
    u32::try_from(records[0].report.at.as_secs() / 1000).unwrap()
}

/// Takes everything out, batch by batch; gives the numbers of the batches after checking their content.
fn drain(spool: &Spool) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(oldest) = spool.oldest(1).unwrap() {
        let number = number_of(&oldest.records);
        assert_eq!(oldest.records, batch(number));
        numbers.push(number);
        spool.stored(&oldest);
    }
    numbers
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "spool")).collect();
    segments.sort();
    segments
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let Err(error) = Spool::open(dir.path(), Options::default()) else { panic!("opened twice") };
    assert!(matches!(error, SpoolError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("stop it"), "{error}");
    drop(spool);
    open(dir.path());
}

#[test]
fn an_emptied_spool_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    assert_eq!(spool.oldest(1).unwrap(), None);
    for number in 0..50 {
        spool.append(&batch(number)).unwrap();
    }
    let stats = spool.stats();
    assert_eq!(stats.records, (0..50).map(|number| batch(number).len() as u64).sum::<u64>());
    assert_eq!(stats.oldest, Some(Timestamp::from_secs(0)));
    let on_disk: u64 = segments(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(stats.bytes, on_disk);
    assert_eq!(drain(&spool), (0..50).collect::<Vec<_>>());
    assert_eq!(spool.stats(), mect_fleet::spool::Stats::default());
    assert!(segments(dir.path()).is_empty());
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 4 << 10, capacity_bytes: 64 << 10 };
    let spool = open_with(dir.path(), options);
    let mut appended = 0;
    for number in 0..300 {
        spool.append(&batch(number)).unwrap();
        appended += batch(number).len() as u64;
        assert!(spool.stats().bytes <= options.capacity_bytes);
    }
    let stats = spool.stats();
    assert!(stats.bytes > options.capacity_bytes / 2, "it gives up no more than it must: {stats:?}");
    assert_eq!(stats.dropped_records + stats.records, appended);
    let kept = drain(&spool);
    assert!(kept[0] > 0 && kept.iter().copied().eq(kept[0]..300), "the newest stay, without gaps: {kept:?}");
}

#[test]
fn a_restarted_collector_goes_on_from_the_newest_standings() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let mut standings = [Standing::default(), Standing::default()];
    let servers: [mect_fleet::ServerId; 2] = ["srv-aaaaaaaa".parse().unwrap(), "srv-bbbbbbbb".parse().unwrap()];
    for n in 0..20 {
        let at = Timestamp::from_secs(1000 + i64::from(n) * 120);
        let outcome = |server| if (n + server) % 4 == 0 { story::failed() } else { story::heartbeat(n) };
        let records = (0..2).map(|s| story::observe(&mut standings[s], servers[s], at, outcome(s as u32)));
        spool.append(&records.collect::<Vec<_>>()).unwrap();
    }
    drop(spool);
    let found = open(dir.path()).standings().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!([&found[&servers[0]], &found[&servers[1]]], [&standings[0], &standings[1]]);
}

/// What may happen to a spool.
#[derive(Debug, Clone)]
enum Step {
    Append,
    /// Read that many records, and forget them when told so.
    Read(usize, bool),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        3 => (1..200usize, any::<bool>()).prop_map(|(records, stored)| Step::Read(records, stored)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against a plain queue: the same batches in the same order. What was stored may come again after a reopening,
    /// never before it.
    #[test]
    fn is_a_queue(steps in proptest::collection::vec(step(), 1..60), segment_bytes in 1u64..6000) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes, ..Options::default() };
        let mut spool = Spool::open(dir.path(), options).unwrap();
        let mut queue: VecDeque<u32> = VecDeque::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Append => {
                    spool.append(&batch(next)).unwrap();
                    queue.push_back(next);
                    next += 1;
                }
                Step::Read(records, stored) => {
                    let Some(oldest) = spool.oldest(records).unwrap() else {
                        prop_assert!(queue.is_empty());
                        continue;
                    };
                    let mut taken = 0;
                    let mut expected = Vec::new();
                    while expected.len() < oldest.records.len() {
                        expected.extend(batch(queue[taken]));
                        taken += 1;
                    }
                    prop_assert_eq!(&oldest.records, &expected);
                    if stored {
                        spool.stored(&oldest);
                        queue.drain(..taken);
                    }
                }
                Step::Reopen => {
                    drop(spool);
                    spool = open_with(dir.path(), options);
                    // A part of a segment that was stored already comes again.
                    if let Some(oldest) = spool.oldest(1).unwrap() {
                        let first = number_of(&oldest.records);
                        let end = queue.front().copied().unwrap_or(next);
                        prop_assert!(first <= end);
                        for number in (first..end).rev() {
                            queue.push_front(number);
                        }
                    }
                }
            }
            let records: u64 = queue.iter().map(|number| batch(*number).len() as u64).sum();
            prop_assert_eq!(spool.stats().records, records);
        }
        prop_assert_eq!(drain(&spool), Vec::from(queue));
    }
}
