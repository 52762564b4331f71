//! A database of the old system is used as it is.

use bson::{Bson, Document};
use mect_fleet::store::mongo::{Mongo, Options};
use mect_fleet::store::{Accounts, Inventory, Record, Recorder, StoreError, story};
use mect_fleet::{FlagsPatch, Role, Server, Timestamp};

use crate::shared;

const SERVERS: &str = include_str!("../fixtures/old/servers.json");
const USERS: &str = include_str!("../fixtures/old/users.json");

async fn opened(database: &str) -> Mongo {
    shared().set.load(database, "servers", SERVERS);
    shared().set.load(database, "users", USERS);
    Mongo::open(&shared().url(database), Options::default()).await.unwrap()
}

async fn server(store: &Mongo, ip: &str) -> Server {
    store.servers().await.unwrap().into_iter().find(|server| server.ip == ip).unwrap()
}

/// What is not ours: the documents without our sub-document, and without the `server_id` that one of them lacked.
fn foreign(documents: Vec<Document>, lacked: bool) -> Vec<Document> {
    let without = |mut document: Document| {
        let ours = document.remove("mect");
        if lacked && document.get_str("hostname").ok() == Some("us-nyc-1") {
            assert_eq!(document.remove("server_id").as_ref(), ours.unwrap().as_document().unwrap().get("id"));
        }
        document
    };
    documents.into_iter().map(without).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_every_form_are_read_and_nothing_foreign_changes() {
    let store = opened("old_servers").await;
    let servers = store.servers().await.unwrap();
    assert_eq!(servers.len(), 4, "the one without an address is left aside");

    let first = server(&store, "198.51.100.10").await;
    assert_eq!(first.id.to_string(), "srv-de1a2b3c");
    assert_eq!((first.hostname.as_str(), first.place.city.as_str()), ("de-fra-1", "Frankfurt am Main"));
    assert!(first.gaming && !first.streaming && first.paid && first.enabled && first.is_static);
    assert_eq!(first.registered_at.to_string(), "2024-03-12T18:42:58Z", "as old as its first heartbeat");

    let second = server(&store, "198.51.100.11").await;
    assert_ne!(second.id, first.id);
    assert!(!second.enabled && second.streaming);
    let third = server(&store, "198.51.100.12").await;
    assert!(third.enabled && !third.gaming);
    assert_eq!(third.registered_at.to_string(), "2024-03-12T18:40:50Z", "as old as its document");
    let by_hand = server(&store, "fi.example.net").await;
    assert_eq!(by_hand.hostname, "fi.example.net");
    assert_ne!(by_hand.id, first.id, "the first one keeps the identity");

    let standings = store.standings().await.unwrap();
    let heard = |id| standings.iter().find(|(known, _)| *known == id).unwrap().1.clone();
    assert_eq!(heard(first.id).last_heartbeat.unwrap().to_string(), "2026-11-20T08:15:30.123Z");
    assert_eq!(heard(second.id).last_heartbeat.unwrap().to_string(), "2026-11-19T22:01:02.345Z");
    assert_eq!(heard(second.id).first_heartbeat.unwrap().to_string(), "2025-01-02T03:04:05Z");

    let before: Vec<Document> = serde_json::from_str(SERVERS).unwrap();
    let after = shared().set.dump("old_servers", "servers");
    let sorted = |mut documents: Vec<Document>| {
        documents.sort_by_key(|document| document.get("_id").map(Bson::to_string));
        documents
    };
    assert_eq!(foreign(sorted(after), true), sorted(before));
    let again = Mongo::open(&shared().url("old_servers"), Options::default()).await.unwrap();
    assert_eq!(again.added(), [] as [String; 0]);
    assert_eq!(again.servers().await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_writes_what_other_programs_read_and_nothing_else() {
    let store = opened("old_heartbeat").await;
    let first = server(&store, "198.51.100.10").await;
    let before = shared().set.dump("old_heartbeat", "servers");
    let mut standing = store.standings().await.unwrap().into_iter().find(|(id, _)| *id == first.id).unwrap().1;
    let at = Timestamp::from_secs(1_795_500_000);
    let record: Record = story::observe(&mut standing, first.id, at, story::heartbeat(2));
    store.record(vec![record].into()).await.unwrap();
    let patch = FlagsPatch { paid: Some(false), ..FlagsPatch::default() };
    store.set_flags(&first.ip, patch).await.unwrap().unwrap();

    let after = shared().set.dump("old_heartbeat", "servers");
    let find = |documents: &[Document]| {
        let is_first = |document: &&Document| document.get_str("ip").ok() == Some("198.51.100.10");
        documents.iter().find(is_first).unwrap().clone()
    };
    let (mut before, mut after) = (find(&before), find(&after));
    assert_eq!(after.get_datetime("last_heartbeat").unwrap().timestamp_millis(), at.as_millis());
    assert_eq!(after.get_datetime("first_heartbeat").unwrap(), before.get_datetime("first_heartbeat").unwrap());
    assert_eq!(after.get_str("status").unwrap(), "active");
    assert_eq!(after.get_document("load").unwrap().get_f64("cpu").unwrap(), 0.02);
    assert_eq!(after.get_array("services").unwrap().len(), 1);
    assert!(!after.get_bool("paid").unwrap());
    for ours in ["last_heartbeat", "status", "load", "services", "paid", "mect"] {
        assert!(before.remove(ours).is_some() && after.remove(ours).is_some(), "{ours}");
    }
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_heartbeat_stays_as_it_was_written() {
    let store = opened("old_first").await;
    let second = server(&store, "198.51.100.11").await;
    let mut standing = store.standings().await.unwrap().into_iter().find(|(id, _)| *id == second.id).unwrap().1;
    let at = Timestamp::from_secs(1_795_500_000);
    store.record(vec![story::observe(&mut standing, second.id, at, story::heartbeat(2))].into()).await.unwrap();
    let documents = shared().set.dump("old_first", "servers");
    let find = |document: &&Document| document.get_str("ip").ok() == Some("198.51.100.11");
    let document = documents.iter().find(find).unwrap();
    assert_eq!(document.get_str("first_heartbeat").unwrap(), "2025-01-02 03:04:05");
    assert_eq!(document.get_datetime("last_heartbeat").unwrap().timestamp_millis(), at.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_keep_what_is_theirs() {
    let store = opened("old_users").await;
    let names: Vec<_> = store.users().await.unwrap().into_iter().map(|user| (user.username, user.role)).collect();
    let expected = [("boss", Role::Superadmin), ("nobody-set-a-role", Role::Readonly), ("watcher", Role::Readonly)];
    assert_eq!(names, expected.map(|(name, role)| (name.to_owned(), role)));
    let boss = store.user("boss").await.unwrap().unwrap();
    assert!(boss.password_hash.starts_with("$2b$12$") && !boss.must_change_password && boss.epoch == 0);

    assert!(store.upgrade_hash("boss", &boss.password_hash, "$argon2id$new".into()).await.unwrap());
    assert!(!store.upgrade_hash("boss", &boss.password_hash, "$late".into()).await.unwrap());
    assert_eq!(store.user("boss").await.unwrap().unwrap().epoch, 0, "the same password");
    let changed = store.set_password("boss", 0, "$argon2id$other".into(), false).await.unwrap();
    assert_eq!(changed.epoch, 1);
    let late = store.set_password("boss", 0, "$late".into(), false).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))));

    let mut documents = shared().set.dump("old_users", "users");
    documents[0].remove("mect");
    assert_eq!(documents[0].insert("hashed_password", boss.password_hash), Some("$argon2id$other".into()));
    assert_eq!(documents, serde_json::from_str::<Vec<Document>>(USERS).unwrap());
}
