//! One audit chain of several collectors, and what becomes of it when somebody edits the database.

use bson::{Document, doc};
use mect_fleet::Timestamp;
use mect_fleet::store::mongo::Mongo;
use mect_fleet::store::{AuditEntry, Journal, verify_audit};

use crate::shared;

fn entry(who: &str, n: i64) -> AuditEntry {
    AuditEntry { at: Timestamp::from_secs(n), who: who.into(), action: format!("act-{n}"), ..AuditEntry::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_collectors_write_one_chain() {
    let names = ["a", "b", "c"];
    let mut writers = Vec::new();
    for who in names {
        let store = shared().open("audit_chain").await;
        writers.push(tokio::spawn(async move {
            for n in 0..30 {
                store.append_audit(entry(who, n)).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let store = shared().open("audit_chain").await;
    assert_eq!(verify_audit(&store).await.unwrap().unwrap().head.number, 90);
    let records = store.audit_after(0, 1000).await.unwrap();
    for who in names {
        let own: Vec<_> = records.iter().filter(|record| record.entry.who == who).map(|r| r.entry.at).collect();
        assert!(own.len() == 30 && own.is_sorted(), "an entry that was acknowledged stands before later ones");
    }
}

/// As an intruder does, with the database's own means.
fn write(database: &str, mut command: Document) {
    command.extend(doc! { "$db": database, "writeConcern": { "w": "majority" } });
    let answer = shared().set.command(0, command).unwrap();
    assert!(answer.get_i32("n").unwrap() > 0 && !answer.contains_key("writeErrors"), "{answer}");
}

/// What a verification says after an update by `filter` and `change`, or a deletion, in a chain of five.
async fn verified_after(name: &str, filter: Document, change: Option<Document>) -> Option<u64> {
    let store: Mongo = shared().open(name).await;
    for n in 0..5 {
        store.append_audit(entry("root", n)).await.unwrap();
    }
    assert!(verify_audit(&store).await.unwrap().is_ok());
    write(
        name,
        match change {
            Some(change) => doc! { "update": "audit", "updates": [{ "q": filter, "u": change }] },
            None => doc! { "delete": "audit", "deletes": [{ "q": filter, "limit": 0 }] },
        },
    );
    verify_audit(&store).await.unwrap().err().map(|broken| broken.number)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_is_found_at_its_first_entry() {
    let edited = verified_after("audit_edit", doc! { "number": 3i64 }, Some(doc! { "$set": { "who": "eve" } })).await;
    assert_eq!(edited, Some(3));
    assert_eq!(verified_after("audit_gap", doc! { "number": 2i64 }, None).await, Some(2));
    assert_eq!(verified_after("audit_cut", doc! { "number": { "$gt": 3i64 } }, None).await, Some(4));
    assert_eq!(verified_after("audit_all", doc! {}, None).await, Some(1));
    let moved = Some(doc! { "$set": { "number": 9i64 } });
    assert_eq!(verified_after("audit_move", doc! { "number": 2i64 }, moved).await, Some(2));
    let at = Some(doc! { "$set": { "at": bson::DateTime::from_millis(1) } });
    assert_eq!(verified_after("audit_time", doc! { "number": 5i64 }, at).await, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_did_not_move_the_head_does_no_harm() {
    let store = shared().open("audit_lag").await;
    for n in 0..3 {
        store.append_audit(entry("root", n)).await.unwrap();
    }
    let head = store.audit_marks().await.unwrap().head;
    store.append_audit(entry("root", 3)).await.unwrap();
    let back = doc! { "$set": { "head": { "number": head.number as i64, "seal": head.seal } } };
    let command = doc! { "update": "meta", "updates": [{ "q": { "_id": "audit" }, "u": back }] };
    write("audit_lag", command);
    assert_eq!(verify_audit(&store).await.unwrap().unwrap().head.number, 4);
    let other = shared().open("audit_lag").await;
    other.append_audit(entry("other", 4)).await.unwrap();
    assert_eq!(verify_audit(&store).await.unwrap().unwrap().head.number, 5);
}
