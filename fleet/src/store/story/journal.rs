//! What happened, and who changed what: newest first, and gone with retention.

use std::time::Duration;

use super::registered;
use crate::store::{AuditAnchor, AuditEntry, AuditRecord, Event, EventKind, Store, verify_audit};
use crate::time::Timestamp;

const START: Timestamp = Timestamp::from_secs(1_796_000_000);
const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn tell(store: &Store) {
    let server = registered(store, 420).await.id;
    let event = |n: u32| Event {
        at: START + SECOND * (n / 2),
        kind: EventKind::ALL[n as usize % EventKind::ALL.len()],
        server: n.is_multiple_of(3).then_some(server),
        detail: format!("$event {n}"),
    };
    let events: Vec<_> = (0..20).map(event).collect();
    store.journal.append_events(events.clone()).await.unwrap();
    store.journal.append_events(Vec::new()).await.unwrap();
    let end = START + SECOND * 100;
    let newest: Vec<_> = events.iter().rev().cloned().collect();
    assert_eq!(store.journal.events(None, end, 100).await.unwrap(), newest);
    assert_eq!(store.journal.events(None, end, 3).await.unwrap(), newest[..3]);
    assert!(store.journal.events(None, end, 0).await.unwrap().is_empty());
    // Before, not at: two events share the second.
    let before = store.journal.events(None, START + SECOND * 5, 100).await.unwrap();
    assert_eq!(before, newest[10..]);
    let of_server: Vec<_> = newest.iter().filter(|event| event.server.is_some()).cloned().collect();
    assert_eq!(store.journal.events(Some(server), end, 100).await.unwrap(), of_server);
    assert_eq!(store.journal.events(Some(server), end, 2).await.unwrap(), of_server[..2]);

    the_audit_is_a_chain(store).await;
    let kept = store.journal.events(None, end, 100).await.unwrap();
    assert_eq!(kept.len(), 14, "what is older than the history goes with it");
}

fn entry(n: u32) -> AuditEntry {
    AuditEntry {
        at: START + SECOND * n,
        who: format!("user-{}", n % 2),
        address: "2001:db8::1".into(),
        action: "server.edit".into(),
        subject: "srv-00000001".into(),
        detail: "$set: \"paid\" \u{0} \u{202e}".into(),
        before: r#"{"paid":false}"#.into(),
        after: r#"{"paid":true}"#.into(),
    }
}

async fn the_audit_is_a_chain(store: &Store) {
    let journal = &store.journal;
    let nothing = verify_audit(&**journal).await.unwrap().unwrap();
    assert_eq!((nothing.floor.number, nothing.head), (0, AuditAnchor::default()));
    let mut last = AuditAnchor::default();
    let mut newest = Vec::new();
    for n in 0..6 {
        let record = journal.append_audit(entry(n)).await.unwrap();
        assert_eq!(record, AuditRecord::after(&last, entry(n)));
        last = record.anchor();
        newest.insert(0, record);
    }
    assert_eq!(journal.audit(None, 100).await.unwrap(), newest);
    assert_eq!(journal.audit(Some(4), 2).await.unwrap(), newest[3..5]);
    assert!(journal.audit(None, 0).await.unwrap().is_empty());
    let oldest_first: Vec<_> = newest.iter().rev().cloned().collect();
    assert_eq!(journal.audit_after(0, 100).await.unwrap(), oldest_first);
    assert_eq!(journal.audit_after(2, 2).await.unwrap(), oldest_first[2..4]);
    assert_eq!(verify_audit(&**journal).await.unwrap().unwrap().head, last);

    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    journal.append_audit(entry(100 + writer * 10 + n)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(verify_audit(&**journal).await.unwrap().unwrap().head.number, 86, "several at once form one chain");

    // What goes by retention leaves a mark, from which on the chain still holds.
    store.recorder.maintain(START + SECOND * 100, START + SECOND * 3).await.unwrap();
    let kept = journal.audit_after(0, 100).await.unwrap();
    assert_eq!((kept.len(), kept[0].number), (83, 4));
    let marks = verify_audit(&**journal).await.unwrap().unwrap();
    assert_eq!((marks.floor, marks.head.number), (oldest_first[2].anchor(), 86));
    store.recorder.maintain(START + SECOND * 100, START + SECOND * 3).await.unwrap();
    assert_eq!(journal.audit_after(0, 100).await.unwrap().len(), 83, "nothing that is younger goes");
}
