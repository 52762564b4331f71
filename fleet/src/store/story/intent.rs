//! The last chapter: what an operator does to servers, and which ones are forgotten for their silence.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{heartbeat, observe, registered, registration};
use crate::server::{
    Coordinates, FlagsPatch, Origin, Period, Place, PlacePatch, ScrapeTarget, Server, ServerId, ServerPatch, Tag,
};
use crate::store::{Registration, Store, StoreError};
use crate::time::Timestamp;
use crate::view::Standing;

/// A day on which the chapters before it are long over.
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn tell(store: &Store) {
    a_server_is_added_once(store).await;
    of_many_who_add_an_address_one_does(store).await;
    an_edit_changes_what_it_names(store).await;
    everything_an_operator_says_is_kept(store).await;
    the_strongest_source_is_believed(store).await;
    an_edit_of_another_revision_is_refused(store).await;
    many_are_edited_at_once(store).await;
    an_address_belongs_to_one(store).await;
    edits_and_scrapes_do_not_undo_each_other(store).await;
    a_deleted_server_leaves_the_others(store).await;
    the_silent_are_forgotten(store).await;
}

async fn find(store: &Store, id: ServerId) -> Option<Server> {
    store.inventory.servers().await.unwrap().into_iter().find(|server| server.id == id)
}

async fn a_server_is_added_once(store: &Store) {
    let flags = FlagsPatch { paid: Some(true), ..FlagsPatch::default() };
    let wanted = Registration { flags, is_static: true, ..registration(400) };
    let added = store.inventory.create_server(wanted.clone(), NOW).await.unwrap();
    assert_eq!((&added.ip, &added.hostname, added.registered_at), (&wanted.ip, &wanted.hostname, NOW));
    assert!(added.paid && added.enabled && added.is_static);
    assert_eq!(find(store, added.id).await.as_ref(), Some(&added));
    let again = store.inventory.create_server(wanted, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(registered(store, 400).await.id, added.id, "discovery finds it");
}

async fn of_many_who_add_an_address_one_does(store: &Store) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let inventory = Arc::clone(&store.inventory);
            tokio::spawn(async move { inventory.create_server(registration(401), NOW).await })
        })
        .collect();
    let mut added = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => added += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(added, 1);
}

async fn an_edit_changes_what_it_names(store: &Store) {
    let before = registered(store, 402).await;
    let nothing = store.inventory.edit_server(before.id, ServerPatch::default()).await.unwrap();
    assert_eq!(nothing.as_ref(), Some(&before));
    let patch = ServerPatch {
        hostname: Some("$renamed".into()),
        place: PlacePatch { city: Some("Oslo".into()), ..PlacePatch::default() },
        flags: FlagsPatch { gaming: Some(true), ..FlagsPatch::default() },
        is_static: Some(true),
        ..ServerPatch::default()
    };
    let edited = store.inventory.edit_server(before.id, patch).await.unwrap().unwrap();
    assert_eq!((edited.hostname.as_str(), edited.place.city.as_str()), ("$renamed", "Oslo"));
    assert!(edited.gaming && edited.is_static && edited.enabled && !edited.paid);
    assert_eq!(edited.place.country, before.place.country, "of which the edit says nothing");
    assert_eq!((edited.ip.as_str(), edited.registered_at), (before.ip.as_str(), before.registered_at));
    assert_eq!(find(store, before.id).await, Some(edited));
    let nobody = ServerId::from_key(*b"99999999").unwrap();
    assert_eq!(store.inventory.edit_server(nobody, ServerPatch::default()).await.unwrap(), None);
}

/// What operators say beyond flags and place, on servers 620 and up.
async fn everything_an_operator_says_is_kept(store: &Store) {
    let endpoint = "https://192.0.2.1:9776/m".parse().unwrap();
    let target =
        ScrapeTarget { insecure_credentials: true, access: Some("paris".into()), ..ScrapeTarget::at(endpoint) };
    let target = target.with_endpoints(&[":9586", ":9550/scrape"]).unwrap();
    let wanted = Registration {
        origin: Origin::Hand,
        tags: BTreeSet::from([tag("eu"), tag("new")]),
        notes: "$rack 7\nask Ada".into(),
        capacity_bytes_per_second: Some(125_000_000),
        target: Some(target.clone()),
        awaits_approval: true,
        ..registration(620)
    };
    let added = store.inventory.create_server(wanted.clone(), NOW).await.unwrap();
    assert_eq!((&added.tags, &added.notes), (&wanted.tags, &wanted.notes));
    assert_eq!((added.capacity_bytes_per_second, added.target.as_ref()), (Some(125_000_000), Some(&target)));
    assert!(added.awaits_approval && !added.pushed);
    assert_eq!((added.revision, added.origins().country), (1, Some(Origin::Hand)));
    assert_eq!(find(store, added.id).await.as_ref(), Some(&added));

    let patch = ServerPatch {
        place: PlacePatch { coordinates: Some(Some(Coordinates::new(50.1, -8.7).unwrap())), ..PlacePatch::default() },
        draining: Some(Some(Period { since: NOW, until: Some(NOW + DAY) })),
        maintenance: Some(Some(Period { since: NOW, until: None })),
        added_tags: BTreeSet::from([tag("spare")]),
        removed_tags: BTreeSet::from([tag("new")]),
        awaits_approval: Some(false),
        accepted_host: "5a".repeat(16).parse().ok(),
        ..ServerPatch::default()
    };
    let edited = store.inventory.edit_server(added.id, patch).await.unwrap().unwrap();
    assert_eq!(edited.tags, BTreeSet::from([tag("eu"), tag("spare")]));
    assert_eq!(edited.place.coordinates.unwrap().longitude(), -8.7);
    assert_eq!(edited.draining, Some(Period { since: NOW, until: Some(NOW + DAY) }));
    assert_eq!(edited.accepted_host.unwrap().to_string(), "5a".repeat(16));
    assert_eq!((edited.maintenance, edited.revision), (Some(Period { since: NOW, until: None }), 2));
    assert_eq!(find(store, added.id).await.as_ref(), Some(&edited));

    let ended = ServerPatch {
        capacity_bytes_per_second: Some(None),
        draining: Some(None),
        maintenance: Some(None),
        target: Some(None),
        tags: Some(BTreeSet::new()),
        notes: Some(String::new()),
        ..ServerPatch::default()
    };
    let ended = store.inventory.edit_server(added.id, ended).await.unwrap().unwrap();
    assert_eq!(ended.accepted_host, edited.accepted_host);
    assert_eq!((ended.draining, ended.maintenance, ended.target.as_ref()), (None, None, None));
    assert_eq!((ended.capacity_bytes_per_second, ended.tags.len(), ended.notes.as_str()), (None, 0, ""));
    assert_eq!(find(store, added.id).await.as_ref(), Some(&ended));

    let pushed = Registration { pushed: true, ..registration(621) };
    let pushed = store.inventory.register(vec![pushed], NOW).await.unwrap().remove(0);
    assert!(pushed.pushed && find(store, pushed.id).await.unwrap().pushed);
    assert!(!registered(store, 621).await.pushed, "a target was given for it");
}

async fn the_strongest_source_is_believed(store: &Store) {
    let of = |city: &str| Place { country_code: "DE".into(), city: city.into(), ..Place::default() };
    let unnamed = Registration { hostname: String::new(), place: Place::default(), ..registration(622) };
    let server = store.inventory.register(vec![unnamed.clone()], NOW).await.unwrap().remove(0);
    assert_eq!((&server.hostname, &server.place), (&server.ip, &Place::default()));
    let edit = |patch| async { store.inventory.edit_server(server.id, patch).await.unwrap().unwrap() };

    let located = edit(ServerPatch { located: Some(of("Berlin")), ..ServerPatch::default() }).await;
    assert_eq!((located.place.city.as_str(), located.place.country.as_str()), ("Berlin", "Germany"));
    let labelled = Registration { place: of("Bonn"), ..registration(622) };
    let labelled = store.inventory.register(vec![labelled], NOW).await.unwrap().remove(0);
    assert_eq!((labelled.place.city.as_str(), labelled.hostname.as_str()), ("Bonn", "host-622"));
    let city = |city: &str| PlacePatch { city: Some(city.into()), ..PlacePatch::default() };
    let by_hand = edit(ServerPatch { place: city("Ulm"), ..ServerPatch::default() }).await;
    assert_eq!((by_hand.place.city.as_str(), by_hand.origins().city), ("Ulm", Some(Origin::Hand)));
    let again = store.inventory.register(vec![unnamed], NOW).await.unwrap().remove(0);
    assert_eq!((again.place.city.as_str(), again.hostname.as_str()), ("Ulm", server.ip.as_str()));
    let taken_back = edit(ServerPatch { place: city(""), ..ServerPatch::default() }).await;
    assert_eq!((taken_back.place.city.as_str(), taken_back.origins().city), ("Berlin", Some(Origin::Database)));
    assert_eq!(find(store, server.id).await, Some(taken_back));
}

async fn an_edit_of_another_revision_is_refused(store: &Store) {
    let server = registered(store, 623).await;
    let rename = |name: &str, revision| ServerPatch {
        hostname: Some(name.into()),
        revision: Some(revision),
        ..ServerPatch::default()
    };
    let first = store.inventory.edit_server(server.id, rename("first", server.revision)).await.unwrap().unwrap();
    assert_eq!(first.revision, server.revision + 1);
    let late = store.inventory.edit_server(server.id, rename("late", server.revision)).await;
    let expected = server.revision;
    assert!(matches!(late, Err(StoreError::Outdated { expected: e, found }) if (e, found) == (expected, expected + 1)));
    let same = store.inventory.edit_server(server.id, rename("first", first.revision)).await.unwrap();
    assert_eq!(same.as_ref(), Some(&first), "what changes nothing makes no revision");
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let (inventory, patch) = (Arc::clone(&store.inventory), rename(&format!("racer-{n}"), first.revision));
            tokio::spawn(async move { inventory.edit_server(server.id, patch).await })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => assert!(matches!(error, StoreError::Outdated { .. }), "{error}"),
        }
    }
    assert_eq!(winners, 1);
}

async fn many_are_edited_at_once(store: &Store) {
    let mut servers = Vec::new();
    for n in 624..630 {
        servers.push(registered(store, n).await);
    }
    let nobody = ServerId::from_key(*b"99999999").unwrap();
    let drain = ServerPatch {
        draining: Some(Some(Period { since: NOW, until: None })),
        added_tags: BTreeSet::from([tag("moved")]),
        ..ServerPatch::default()
    };
    let ids = servers.iter().map(|server| server.id).chain([nobody]);
    let edits: Vec<_> = ids.map(|id| (id, drain.clone())).collect();
    let edited = store.inventory.edit_servers(edits.clone()).await.unwrap();
    assert_eq!(edited.iter().map(|s| s.id).collect::<Vec<_>>(), servers.iter().map(|s| s.id).collect::<Vec<_>>());
    for (before, after) in servers.iter().zip(&edited) {
        assert!(after.draining.is_some() && after.tags.contains(&tag("moved")));
        assert_eq!((after.revision, find(store, after.id).await.as_ref()), (before.revision + 1, Some(after)));
    }
    assert_eq!(store.inventory.edit_servers(edits).await.unwrap(), edited, "again, it changes nothing");
}

fn tag(word: &str) -> Tag {
    word.parse().unwrap()
}

async fn an_address_belongs_to_one(store: &Store) {
    let (one, other) = (registered(store, 403).await, registered(store, 404).await);
    let to = |ip: &str| ServerPatch { ip: Some(ip.into()), ..ServerPatch::default() };
    let taken = store.inventory.edit_server(one.id, to(&other.ip)).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(find(store, one.id).await.as_ref(), Some(&one));
    let moved = store.inventory.edit_server(one.id, to("vpn.example.net")).await.unwrap().unwrap();
    assert_eq!((moved.id, moved.ip.as_str()), (one.id, "vpn.example.net"));
    let newcomer = registered(store, 403).await;
    assert_ne!(newcomer.id, one.id, "the old address is free");
    let patch = FlagsPatch { paid: Some(true), ..FlagsPatch::default() };
    assert_eq!(
        store.inventory.set_flags("vpn.example.net", patch).await.unwrap().map(|server| server.id),
        Some(one.id)
    );
}

async fn edits_and_scrapes_do_not_undo_each_other(store: &Store) {
    let server = registered(store, 405).await.id;
    let recorder = Arc::clone(&store.recorder);
    let scrapes = tokio::spawn(async move {
        let mut standing = Standing::default();
        for n in 0..12 {
            let record = observe(&mut standing, server, NOW + Duration::from_secs(n), heartbeat(n as u32));
            recorder.record(Arc::new(vec![record])).await.unwrap();
        }
        standing
    });
    for n in 0..12 {
        let patch = ServerPatch { hostname: Some(format!("name-{n}")), ..ServerPatch::default() };
        store.inventory.edit_server(server, patch).await.unwrap().unwrap();
    }
    let standing = scrapes.await.unwrap();
    assert_eq!(find(store, server).await.unwrap().hostname, "name-11");
    let stored = store.recorder.standings().await.unwrap();
    assert!(stored.contains(&(server, standing)));
}

async fn a_deleted_server_leaves_the_others(store: &Store) {
    let (one, other) = (registered(store, 406).await, registered(store, 407).await);
    let mut standing = Standing::default();
    let record = observe(&mut standing, one.id, NOW, heartbeat(1));
    store.recorder.record(Arc::new(vec![record])).await.unwrap();
    assert!(store.inventory.delete_server(one.id).await.unwrap());
    assert!(!store.inventory.delete_server(one.id).await.unwrap());
    assert_eq!(find(store, one.id).await, None);
    assert_eq!(find(store, other.id).await.as_ref(), Some(&other));
    assert!(store.recorder.standings().await.unwrap().iter().all(|(id, _)| *id != one.id));
    let back = registered(store, 406).await;
    assert_ne!(back.id, one.id, "an identity is never used again");
}

async fn the_silent_are_forgotten(store: &Store) {
    let recent = NOW + DAY * 100;
    let oldest = recent - DAY * 30;
    let at = |n: usize, is_static, at| {
        let registration = Registration { is_static, ..registration(n) };
        async move { store.inventory.create_server(registration, at).await.unwrap().id }
    };
    let never_heard = at(410, false, oldest - DAY).await;
    let just_added = at(411, false, oldest + DAY).await;
    let fixed = at(412, true, oldest - DAY).await;
    let scraped = at(413, false, oldest - DAY).await;
    let (heard, unheard) = (at(414, false, oldest - DAY).await, at(415, false, oldest - DAY * 9).await);
    for (id, last) in [(heard, oldest + DAY), (unheard, oldest - DAY)] {
        let record = observe(&mut Standing::default(), id, last, heartbeat(1));
        store.recorder.record(Arc::new(vec![record])).await.unwrap();
    }
    // Everything of the chapters before is older still; what it had must not be forgotten here.
    let mut keep: HashSet<_> = store.inventory.servers().await.unwrap().iter().map(|server| server.id).collect();
    for id in [never_heard, just_added, fixed, heard, unheard] {
        keep.remove(&id);
    }
    let forgotten = store.inventory.delete_silent(oldest, &keep).await.unwrap();
    let forgotten: HashSet<_> = forgotten.iter().map(|server| server.id).collect();
    assert_eq!(forgotten, HashSet::from([never_heard, unheard]));
    for id in [just_added, fixed, scraped, heard] {
        assert!(find(store, id).await.is_some());
    }
    assert!(find(store, unheard).await.is_none());
    assert!(store.inventory.delete_silent(oldest, &keep).await.unwrap().is_empty());
}
