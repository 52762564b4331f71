//! A file that ends anywhere, or holds something else than was written.

use std::fs;

use mect_fleet::spool::{Options, Spool, SpoolError};

use crate::{batch, drain, open, segments};

/// A directory with one segment of three batches, its content, and where the batches end in it.
fn three_batches() -> (tempfile::TempDir, Vec<u8>, [usize; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ends = [1, 2, 3].map(|number| {
        spool.append(&batch(number)).unwrap();
        spool.stats().bytes as usize
    });
    drop(spool);
    let content = fs::read(&segments(dir.path())[0]).unwrap();
    assert_eq!(content.len(), ends[2]);
    (dir, content, ends)
}

#[test]
fn a_cut_anywhere_costs_the_torn_batch_alone() {
    let (dir, content, ends) = three_batches();
    let segment = segments(dir.path()).remove(0);
    for length in 0..content.len() {
        fs::write(&segment, &content[..length]).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() as u32;
        let is_torn = length != 0 && !ends.contains(&length);
        let spool = open(dir.path());
        assert_eq!(spool.stats().torn_frames, u64::from(is_torn), "cut at {length}");
        spool.append(&batch(9)).unwrap();
        // Killed and opened once more: what came after the torn batch counts too.
        drop(spool);
        let spool = open(dir.path());
        assert_eq!(spool.stats().torn_frames, 0, "cut at {length}");
        assert_eq!(drain(&spool), (1..=whole).chain([9]).collect::<Vec<_>>(), "cut at {length}");
    }
}

#[test]
fn a_damaged_batch_is_counted_and_hides_none() {
    let (dir, content, ends) = three_batches();
    let segment = segments(dir.path()).remove(0);
    for place in (ends[0]..ends[1]).step_by(11) {
        let mut damaged = content.clone();
        damaged[place] = !damaged[place];
        fs::write(&segment, &damaged).unwrap();
        let spool = open(dir.path());
        assert_eq!((spool.stats().damaged_frames, spool.stats().torn_frames), (1, 0), "byte {place}");
        drop(spool);
        let spool = open(dir.path());
        assert_eq!(spool.oldest(usize::MAX).unwrap().unwrap().records, [batch(1), batch(3)].concat(), "byte {place}");
    }
}

#[test]
fn damage_under_an_open_spool_is_counted() {
    let (dir, content, ends) = three_batches();
    let spool = open(dir.path());
    let mut damaged = content;
    damaged[ends[0] + 40] ^= 1;
    fs::write(&segments(dir.path())[0], &damaged[..ends[2] - 1]).unwrap();
    assert_eq!(drain(&spool), [1], "the second is damaged, the third is cut");
    assert_eq!(spool.stats().damaged_frames, 2);
}

#[test]
fn a_newer_programs_spool_is_refused_and_kept() {
    let (dir, mut content, ends) = three_batches();
    let segment = segments(dir.path()).remove(0);
    // The version of the second frame, and the checksum that goes with it.
    let frame = &mut content[ends[0]..ends[1]];
    frame[24] = 2;
    let checksum = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&segment, &content).unwrap();
    let Err(error) = Spool::open(dir.path(), Options::default()) else { panic!("opened") };
    assert!(matches!(error, SpoolError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), content);
}
