use std::path::{Path, PathBuf};

use super::*;

fn head() -> Head {
    Head { schema: 7, taken_at: Timestamp::from_secs(5), program: "0.1.0".into() }
}

fn written(dir: &Path) -> PathBuf {
    let path = dir.join("archive");
    let mut writer = Writer::new(std::fs::File::create(&path).unwrap(), &head()).unwrap();
    writer.file("secret.key", b"hidden").unwrap();
    writer.table("first").unwrap();
    writer.row(b"key", b"value").unwrap();
    writer.row(b"", &[7; 5000]).unwrap();
    writer.table("second").unwrap();
    assert_eq!(writer.finish().unwrap(), Tally { tables: 2, rows: 2 });
    path
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(&written(dir.path())).unwrap();
    assert_eq!(reader.head(), &head());
    let mut sections = Vec::new();
    while let Some(section) = reader.next_section().unwrap() {
        sections.push(section);
    }
    let rows = vec![(b"key".to_vec(), b"value".to_vec()), (Vec::new(), vec![7; 5000])];
    assert_eq!(
        sections,
        [
            Section::File { name: "secret.key".into(), bytes: b"hidden".to_vec() },
            Section::Table("first".into()),
            Section::Rows(rows),
            Section::Table("second".into()),
        ]
    );
    assert_eq!(reader.seen(), Tally { tables: 2, rows: 2 });
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let places = (0..300).chain((300..whole.len()).step_by(997)).chain(whole.len() - 40..whole.len());
    for place in places {
        std::fs::write(&path, &whole[..place]).unwrap();
        Reader::open(&path).unwrap_err();
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        std::fs::write(&path, flipped).unwrap();
        Reader::open(&path).unwrap_err();
    }
    std::fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
    assert!(matches!(Reader::open(&path), Err(ArchiveError::Damaged { .. })));
}

#[test]
fn something_else_and_something_newer_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    for other in [&b""[..], b"mect-", b"PK\x03\x04 and so on", b"mect-archive"] {
        std::fs::write(&path, other).unwrap();
        assert!(matches!(Reader::open(&path), Err(ArchiveError::Foreign { .. })), "{other:?}");
    }
    std::fs::write(&path, [MAGIC, &[VERSION + 1]].concat()).unwrap();
    let refused = Reader::open(&path).unwrap_err();
    assert!(matches!(&refused, ArchiveError::Newer { .. }), "{refused}");
    assert!(matches!(Reader::open(&dir.path().join("none")), Err(ArchiveError::Io { .. })));
}
