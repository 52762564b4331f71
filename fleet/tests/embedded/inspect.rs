//! Looking at a data directory tells what a start would find, and changes nothing.

use mect_fleet::store::StoreError;
use mect_fleet::store::embedded::{Inspection, inspect};
use redb::{Database, TableDefinition};

use crate::open;

#[test]
fn every_state_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    assert_eq!(inspect(&data).unwrap(), Inspection::Absent);
    assert!(!data.exists());
    let held = open(&data);
    assert_eq!(inspect(&data).unwrap(), Inspection::Held);
    drop(held);
    let before = std::fs::read(data.join("fleet.redb")).unwrap();
    let Inspection::Sound { schema, known } = inspect(&data).unwrap() else { panic!("it was closed") };
    assert_eq!(schema, known);
    assert!(std::fs::read(data.join("fleet.redb")).unwrap() == before, "nothing was changed");

    set_schema(&data, 99);
    assert!(matches!(inspect(&data).unwrap(), Inspection::Sound { schema: 99, .. }));
    std::fs::write(data.join("fleet.redb"), [7; 10_000]).unwrap();
    let damaged = inspect(&data).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
}

/// What a newer program would have written.
fn set_schema(dir: &std::path::Path, version: u32) {
    let database = Database::open(dir.join("fleet.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TableDefinition::<&str, u32>::new("meta")).unwrap().insert("schema", version).unwrap();
    txn.commit().unwrap();
}
