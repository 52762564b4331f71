//! Chapter one: servers and what the operator wants of them.

use std::collections::HashSet;
use std::sync::Arc;

use super::{heartbeat, observe, registered, registration};
use crate::server::{FlagsPatch, Place};
use crate::store::{Registration, Store};
use crate::time::Timestamp;
use crate::view::Standing;

pub(super) async fn tell(store: &Store) {
    assert!(store.inventory.servers().await.unwrap().is_empty(), "the story starts with an empty store");
    register_adds_once_and_updates(store).await;
    one_address_in_a_batch_is_one_server(store).await;
    flags_are_set_by_address(store).await;
    concurrent_patches_are_never_lost(store).await;
}

async fn register_adds_once_and_updates(store: &Store) {
    let born = Timestamp::from_secs(1000);
    let batch: Vec<_> = (0..20).map(registration).collect();
    let first = store.inventory.register(batch.clone(), born).await.unwrap();
    assert_eq!(first.iter().map(|s| &s.ip).collect::<Vec<_>>(), batch.iter().map(|r| &r.ip).collect::<Vec<_>>());
    assert_eq!(first.iter().map(|s| s.id).collect::<HashSet<_>>().len(), 20, "identities are unique");
    assert!(first.iter().all(|s| s.registered_at == born && s.enabled && !s.gaming && !s.streaming && !s.paid));

    let again = store.inventory.register(batch, Timestamp::from_secs(2000)).await.unwrap();
    assert_eq!(again, first, "a known address keeps everything");

    let patch = FlagsPatch { gaming: Some(true), enabled: Some(false), ..FlagsPatch::default() };
    let flagged = store.inventory.set_flags(&first[3].ip, patch).await.unwrap().unwrap();
    let moved = Registration {
        hostname: "renamed".into(),
        place: Place { city: "Oslo".into(), ..Place::default() },
        flags: FlagsPatch { gaming: Some(false), enabled: Some(true), ..FlagsPatch::default() },
        ..registration(3)
    };
    let moved = store.inventory.register(vec![moved], Timestamp::from_secs(3000)).await.unwrap().remove(0);
    assert_eq!((moved.hostname.as_str(), moved.place.city.as_str()), ("renamed", "Oslo"));
    assert_eq!((moved.id, moved.registered_at), (flagged.id, born));
    assert!(moved.gaming && !moved.enabled, "what the operator set survives discovery");

    let mut listed = store.inventory.servers().await.unwrap();
    listed.sort_by_key(|server| server.registered_at.as_millis() + i64::from(server.id != moved.id));
    assert_eq!(listed.len(), 20);
    assert_eq!(listed[0], moved);
}

async fn one_address_in_a_batch_is_one_server(store: &Store) {
    let flags = FlagsPatch { paid: Some(true), enabled: Some(false), ..FlagsPatch::default() };
    let new = Registration { flags, is_static: true, ..registration(100) };
    let renamed = Registration { hostname: "later name".into(), ..registration(100) };
    let both = store.inventory.register(vec![new, renamed], Timestamp::from_secs(1)).await.unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(both[0].id, both[1].id);
    assert_eq!(both[1].hostname, "later name");
    assert!(both[1].paid && !both[1].enabled && both[1].is_static, "flags of a new server come from its registration");
    let listed = store.inventory.servers().await.unwrap();
    assert_eq!(listed.iter().filter(|server| server.ip == both[0].ip).count(), 1);
    assert!(store.inventory.register(Vec::new(), Timestamp::from_secs(1)).await.unwrap().is_empty());
}

async fn flags_are_set_by_address(store: &Store) {
    let patch = FlagsPatch { streaming: Some(true), ..FlagsPatch::default() };
    assert_eq!(store.inventory.set_flags("203.0.113.250", patch).await.unwrap(), None);
    let server = store.inventory.set_flags(&registration(5).ip, patch).await.unwrap().unwrap();
    assert!(server.streaming && server.enabled && !server.paid);
    let untouched = store.inventory.set_flags(&server.ip, FlagsPatch::default()).await.unwrap();
    assert_eq!(untouched.as_ref(), Some(&server));
    assert!(store.inventory.servers().await.unwrap().contains(&server));
}

/// Four operators set a flag each while discovery renames the server and scrapes are recorded.
async fn concurrent_patches_are_never_lost(store: &Store) {
    for round in 0..10 {
        let server = registered(store, 200 + round).await;
        let mut tasks = Vec::new();
        let on = Some(true);
        for patch in [
            FlagsPatch { gaming: on, ..FlagsPatch::default() },
            FlagsPatch { streaming: on, ..FlagsPatch::default() },
            FlagsPatch { paid: on, ..FlagsPatch::default() },
            FlagsPatch { enabled: Some(false), ..FlagsPatch::default() },
        ] {
            let (inventory, ip) = (Arc::clone(&store.inventory), server.ip.clone());
            tasks.push(tokio::spawn(async move {
                assert!(inventory.set_flags(&ip, patch).await.unwrap().is_some());
            }));
        }
        let inventory = Arc::clone(&store.inventory);
        tasks.push(tokio::spawn(async move {
            let renamed = Registration { hostname: "renamed".into(), ..registration(200 + round) };
            inventory.register(vec![renamed], Timestamp::from_secs(9)).await.unwrap();
        }));
        let recorder = Arc::clone(&store.recorder);
        tasks.push(tokio::spawn(async move {
            let record = observe(&mut Standing::default(), server.id, Timestamp::from_secs(50), heartbeat(1));
            recorder.record(Arc::new(vec![record])).await.unwrap();
        }));
        for task in tasks {
            task.await.unwrap();
        }
        let now = store.inventory.servers().await.unwrap().into_iter().find(|s| s.id == server.id).unwrap();
        assert_eq!((now.gaming, now.streaming, now.paid, now.enabled), (true, true, true, false));
        assert_eq!(now.hostname, "renamed");
    }
}
