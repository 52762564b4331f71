//! Whoever edits the data file by hand is found out.

use mect_fleet::Timestamp;
use mect_fleet::store::embedded::Embedded;
use mect_fleet::store::{AuditEntry, Journal, Recorder, verify_audit};
use redb::{Database, ReadableTable, Table, TableDefinition};

use crate::open;

const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit_chain");

fn entry(n: i64) -> AuditEntry {
    AuditEntry { at: Timestamp::from_secs(n), who: "root".into(), action: format!("act-{n}"), ..AuditEntry::default() }
}

/// What a verification says after `tamper` worked on a chain of six entries of which retention deleted two.
async fn verified_after(tamper: impl FnOnce(&mut Table<'_, u64, &'static [u8]>)) -> Option<(u64, &'static str)> {
    let dir = tempfile::tempdir().unwrap();
    let store: Embedded = open(dir.path());
    for n in 0..6 {
        store.append_audit(entry(n)).await.unwrap();
    }
    store.maintain(Timestamp::from_secs(6), Timestamp::from_secs(2)).await.unwrap();
    drop(store);
    {
        let database = Database::open(dir.path().join("fleet.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        tamper(&mut txn.open_table(AUDIT).unwrap());
        txn.commit().unwrap();
    }
    verify_audit(&open(dir.path())).await.unwrap().err().map(|broken| (broken.number, broken.problem))
}

fn bytes(table: &Table<'_, u64, &'static [u8]>, number: u64) -> Vec<u8> {
    table.get(number).unwrap().unwrap().value().to_vec()
}

#[tokio::test]
async fn every_tampering_is_found_at_its_first_entry() {
    assert_eq!(verified_after(|_| {}).await, None);
    let edit = |table: &mut Table<'_, u64, &'static [u8]>| {
        let edited = String::from_utf8(bytes(table, 4)).unwrap().replace("root", "eve!");
        table.insert(4, edited.as_bytes()).unwrap();
    };
    assert_eq!(verified_after(edit).await.unwrap().0, 4);
    let swap = |table: &mut Table<'_, u64, &'static [u8]>| {
        let (fourth, fifth) = (bytes(table, 4), bytes(table, 5));
        table.insert(4, fifth.as_slice()).unwrap();
        table.insert(5, fourth.as_slice()).unwrap();
    };
    assert_eq!(verified_after(swap).await.unwrap().0, 4);
    for (removed, first_bad) in [(3, 3), (4, 4), (6, 6)] {
        let found = verified_after(|table| _ = table.remove(removed).unwrap()).await.unwrap();
        assert_eq!(found.0, first_bad, "{found:?}");
        assert!(found.1.contains("missing"), "{found:?}");
    }
    let cut = |table: &mut Table<'_, u64, &'static [u8]>| table.retain(|number, _| number < 5).unwrap();
    assert_eq!(verified_after(cut).await.unwrap().0, 5);
    assert_eq!(verified_after(|table| table.retain(|_, _| false).unwrap()).await.unwrap().0, 3);
    let moved = |table: &mut Table<'_, u64, &'static [u8]>| {
        let last = bytes(table, 6);
        table.insert(7, last.as_slice()).unwrap();
    };
    assert_eq!(verified_after(moved).await.unwrap().0, 7);
}
