//! Leases: one holder per shard, epochs that only grow, and writes of older epochs that are refused.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::{Changes, History, Inventory, Leases, Member, Recorder, story};
use mect_fleet::{Lease, Shard, Standing, Timestamp};

use super::shared;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn member(id: &str) -> Member {
    Member { id: id.into(), name: format!("host of {id}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_has_one_holder_until_its_lease_runs_out() {
    let store = shared().open("leases").await;
    let (a, b) = (member("a"), member("b"));
    let shards = [Shard(3), Shard(200)];
    let leases =
        |acquired: Vec<mect_fleet::store::Acquired>| acquired.into_iter().map(|one| one.lease).collect::<Vec<_>>();
    let first = leases(store.acquire(&a, &shards, LONG).await.unwrap());
    assert_eq!(first, shards.map(|shard| Lease { shard, epoch: 1 }));
    assert!(store.acquire(&b, &shards, LONG).await.unwrap().is_empty(), "held by another");
    assert_eq!(store.renew(&a, &first, SHORT).await.unwrap(), first);

    // As a restarted process does: at once, and under a new epoch.
    let again = leases(store.acquire(&a, &shards[..1], SHORT).await.unwrap());
    assert_eq!(again, [Lease { shard: Shard(3), epoch: 2 }]);
    assert_eq!(store.renew(&a, &first, SHORT).await.unwrap(), first[1..], "the older epoch is lost");

    let mut taken = Vec::new();
    while taken.len() < 2 {
        taken.extend(leases(store.acquire(&b, &shards, LONG).await.unwrap()));
        taken.sort();
        taken.dedup();
    }
    let newest = |shard| taken.iter().filter(|lease| lease.shard == shard).map(|lease| lease.epoch).max().unwrap();
    assert!(newest(Shard(3)) > 2 && newest(Shard(200)) > 1, "{taken:?}");
    assert!(store.renew(&a, &first, LONG).await.unwrap().is_empty());

    // Given back, a shard is free at once; what another holds cannot be given back.
    store.release(&a, &taken).await.unwrap();
    assert!(store.acquire(&a, &shards, LONG).await.unwrap().is_empty());
    store.release(&b, &taken[..1]).await.unwrap();
    assert_eq!(store.acquire(&a, &shards, LONG).await.unwrap().len(), 1);
    store.leave(&b).await.unwrap();
    assert_eq!(store.acquire(&a, &shards, LONG).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_tells_since_when_nobody_else_held_the_shard() {
    let store = shared().open("leases_since").await;
    let (a, b) = (member("a"), member("b"));
    let shard = [Shard(7)];
    let acquire = async |member: &Member| {
        let acquired = store.acquire(member, &shard, LONG).await.unwrap().remove(0);
        (acquired.lease, acquired.since)
    };
    let epochs = |(lease, since): (Lease, u64)| (lease.epoch, since);
    assert_eq!(epochs(acquire(&a).await), (1, 1));
    let again = acquire(&a).await;
    assert_eq!(epochs(again), (2, 1), "after a restart");
    store.release(&a, &[again.0]).await.unwrap();
    assert_eq!(epochs(acquire(&a).await), (3, 1), "given back, and nobody took it");
    store.leave(&a).await.unwrap();
    let theirs = acquire(&b).await;
    assert_eq!(epochs(theirs), (4, 4));
    store.release(&b, &[theirs.0]).await.unwrap();
    assert_eq!(epochs(acquire(&a).await), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_shard_one_gets_it() {
    let store = Arc::new(shared().open("leases_race").await);
    let all: Vec<_> = Shard::all().collect();
    let contenders = (0..8).map(|n| {
        let (store, all) = (Arc::clone(&store), all.clone());
        tokio::spawn(async move { store.acquire(&member(&format!("m{n}")), &all, LONG).await.unwrap() })
    });
    let mut holders: BTreeMap<Shard, usize> = BTreeMap::new();
    for contender in contenders.collect::<Vec<_>>() {
        for acquired in contender.await.unwrap() {
            assert_eq!(acquired.lease.epoch, 1);
            *holders.entry(acquired.lease.shard).or_default() += 1;
        }
    }
    assert_eq!(holders.len(), all.len());
    assert!(holders.values().all(|holders| *holders == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_is_no_member() {
    let store = shared().open("members").await;
    store.join(&member("a"), SHORT).await.unwrap();
    assert_eq!(store.join(&member("b"), LONG).await.unwrap().last(), Some(&member("b")));
    let mut living = store.join(&member("b"), LONG).await.unwrap();
    while living.len() > 1 {
        living = store.join(&member("b"), LONG).await.unwrap();
    }
    assert_eq!(living, [member("b")]);
    store.leave(&member("b")).await.unwrap();
    assert_eq!(store.join(&member("c"), LONG).await.unwrap(), [member("c")]);
}

/// A collector was stopped for longer than its lease and goes on: nothing of what it writes is kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_epoch_writes_is_refused() {
    let store = shared().open("fenced").await;
    let server = store.register(vec![story::registration(1)], Timestamp::from_secs(0)).await.unwrap().remove(0).id;
    let shard = [Shard::of(server)];
    let (slow, quick) = (member("slow"), member("quick"));
    let old = store.acquire(&slow, &shard, LONG).await.unwrap().remove(0).lease;
    let mut standing = Standing::default();
    let mut at = Timestamp::now() - Duration::from_secs(600);
    let mut scrape = |standing: &mut Standing, epoch| {
        at = at + Duration::from_secs(10);
        let mut record = story::observe(standing, server, at, story::heartbeat(1));
        record.epoch = epoch;
        Arc::new(vec![record])
    };
    let kept = scrape(&mut standing, old.epoch);
    assert!(store.record(Arc::clone(&kept)).await.unwrap().refused.is_empty());

    store.release(&slow, &[old]).await.unwrap();
    let acquired = store.acquire(&quick, &shard, LONG).await.unwrap().remove(0);
    assert_eq!(acquired.standings, [(server, standing.clone())], "the newcomer goes on from there");
    let late = scrape(&mut standing, old.epoch);
    assert_eq!(store.record(Arc::clone(&late)).await.unwrap().refused, [0]);
    let all = Timestamp::from_millis(0)..Timestamp::now();
    assert_eq!(store.points(server, all.clone()).await.unwrap().len(), 1, "nothing of it is kept");
    assert_eq!(store.standings().await.unwrap(), acquired.standings);

    // A heartbeat that was acknowledged in a spool meanwhile is history, but no standing.
    store.replay(late).await.unwrap();
    assert_eq!(store.points(server, all).await.unwrap().len(), 2);
    assert_eq!(store.standings().await.unwrap(), acquired.standings);
    let current = scrape(&mut standing, acquired.lease.epoch);
    assert!(store.record(current).await.unwrap().refused.is_empty());
    assert_eq!(store.standings().await.unwrap()[0].1, standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_tell_every_write_once_it_is_there() {
    let store = shared().open("changes").await;
    let other = shared().open("changes").await;
    let servers = store.register((0..20).map(story::registration).collect(), Timestamp::from_secs(0)).await.unwrap();
    let first = store.changed(Timestamp::default()).await.unwrap();
    let told: HashSet<_> = first.servers.iter().map(|(server, _)| server.id).collect();
    assert_eq!(told, servers.iter().map(|server| server.id).collect());
    assert_eq!(store.identities().await.unwrap(), told);
    assert!(store.changed(first.next).await.unwrap().servers.is_empty(), "nothing new");

    let patch = mect_fleet::FlagsPatch { paid: Some(true), ..Default::default() };
    other.set_flags(&servers[3].ip, patch).await.unwrap();
    let mut standing = Standing::default();
    let record = story::observe(&mut standing, servers[7].id, Timestamp::now(), story::heartbeat(1));
    other.record(Arc::new(vec![record])).await.unwrap();
    let mut second = store.changed(first.next).await.unwrap();
    second.servers.sort_by_key(|(server, _)| server.id != servers[3].id);
    assert_eq!(second.servers.len(), 2, "{second:?}");
    assert!(second.servers[0].0.paid);
    assert_eq!((second.servers[1].0.id, &second.servers[1].1), (servers[7].id, &standing));

    other.delete_server(servers[0].id).await.unwrap();
    assert!(!store.identities().await.unwrap().contains(&servers[0].id));
}
