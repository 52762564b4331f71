//! The leases role: one document per shard in `leases`, one per living collector in `collectors`.
//!
//! ```text
//! leases      { _id: 0–255, owner, epoch, expires, last, since }
//! collectors  { _id: the member's id, name, expires }
//! ```
//! `last` is who held the shard last, also after giving it back, and `since` the first epoch of that time: who comes back
//! after a restart goes on with what it knows, who was replaced meanwhile does not. All times are the database's. A shard is taken in three steps, each of which must hold before the next: its lease,
//! with an epoch above every earlier one; that epoch in each of its servers, from which on no older one can write them;
//! and only then their standings.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, doc};

use super::command::number;
use super::{Mongo, server};
use crate::shard::{Lease, Shard};
use crate::store::{Acquired, Leases, Member, Result};
use crate::time::Timestamp;

/// A collector that was silent for this many times its lease is forgotten.
const FORGOTTEN_AFTER: i64 = 10;

#[async_trait]
impl Leases for Mongo {
    async fn join(&self, member: &Member, ttl: Duration) -> Result<Vec<Member>> {
        let alive = doc! { "$set": { "name": { "$literal": &member.name }, "expires": from_now(ttl) } };
        let upsert = doc! { "q": { "_id": &member.id }, "u": [alive], "upsert": true };
        self.update(self.collectors.name(), vec![upsert]).await?;
        let long_ago = doc! { "$subtract": ["$$NOW", millis(ttl).saturating_mul(FORGOTTEN_AFTER)] };
        let forgotten = doc! { "$expr": { "$lt": ["$expires", long_ago] } };
        self.call(self.collectors.delete_many(forgotten)).await?;
        self.living().await
    }

    async fn renew(&self, member: &Member, held: &[Lease], ttl: Duration) -> Result<Vec<Lease>> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let mine = doc! { "_id": { "$in": numbers(held.iter().map(|lease| lease.shard)) }, "owner": &member.id };
        let prolong = doc! { "q": mine, "u": [{ "$set": { "expires": from_now(ttl) } }], "multi": true };
        self.update(self.leases.name(), vec![prolong]).await?;
        let known: HashSet<Lease> = held.iter().copied().collect();
        let still = self.leases_of(member).await?.into_iter().map(|(lease, _)| lease);
        Ok(still.filter(|lease| known.contains(lease)).collect())
    }

    async fn acquire(&self, member: &Member, shards: &[Shard], ttl: Duration) -> Result<Vec<Acquired>> {
        if shards.is_empty() {
            return Ok(Vec::new());
        }
        self.seed().await?;
        let wanted: HashSet<Shard> = shards.iter().copied().collect();
        let is_free = doc! { "$or": [{ "$in": ["$owner", [null, &member.id]] }, { "$lte": ["$expires", "$$NOW"] }] };
        let free = doc! { "$expr": is_free };
        let free = doc! { "$and": [{ "_id": { "$in": numbers(shards.iter().copied()) } }, free] };
        let next = doc! { "$add": ["$epoch", 1i64] };
        let was_mine = doc! { "$eq": [{ "$ifNull": ["$last", "$owner"] }, &member.id] };
        let since = doc! { "$cond": [was_mine, { "$ifNull": ["$since", 0i64] }, &next] };
        let take = doc! { "$set": {
            "owner": &member.id, "last": &member.id, "epoch": next, "since": since, "expires": from_now(ttl),
        } };
        self.update(self.leases.name(), vec![doc! { "q": free, "u": [take], "multi": true }]).await?;
        // Whatever is ours now, also what an earlier call took whose answer was lost.
        let mut held = self.leases_of(member).await?;
        held.retain(|(lease, _)| wanted.contains(&lease.shard));
        self.fence(&held).await?;
        let taken = doc! { server::SHARD: { "$in": numbers(held.iter().map(|(lease, _)| lease.shard)) } };
        let mut standings: BTreeMap<Shard, Vec<_>> = BTreeMap::new();
        for (server, standing) in self.read_standings(taken).await? {
            standings.entry(Shard::of(server.id)).or_default().push((server.id, standing));
        }
        let acquired = held.into_iter().map(|(lease, since)| {
            let standings = standings.remove(&lease.shard).unwrap_or_default();
            Acquired { lease, since, standings }
        });
        Ok(acquired.collect())
    }

    async fn release(&self, member: &Member, leases: &[Lease]) -> Result<()> {
        if leases.is_empty() {
            return Ok(());
        }
        let mine = doc! { "_id": { "$in": numbers(leases.iter().map(|lease| lease.shard)) }, "owner": &member.id };
        self.give_back(mine).await
    }

    async fn leave(&self, member: &Member) -> Result<()> {
        self.give_back(doc! { "owner": &member.id }).await?;
        self.call(self.collectors.delete_one(doc! { "_id": &member.id })).await?;
        Ok(())
    }
}

impl Mongo {
    /// The collectors that live.
    pub(super) async fn living(&self) -> Result<Vec<Member>> {
        let living = doc! { "$expr": { "$gt": ["$expires", "$$NOW"] } };
        let living = self.all(self.collectors.find(living).sort(doc! { "_id": 1 })).await?;
        let text = |member: &Document, key: &str| member.get_str(key).unwrap_or_default().to_owned();
        Ok(living.iter().map(|member| Member { id: text(member, "_id"), name: text(member, "name") }).collect())
    }

    /// Makes a document for every shard, once per process.
    async fn seed(&self) -> Result<()> {
        let seeded = self.leases_seeded.get_or_try_init(|| async {
            let long_ago = server::date(Timestamp::default());
            let free = doc! { "$setOnInsert": { "owner": null, "epoch": 0i64, "expires": long_ago } };
            let seeds = numbers(Shard::all()).into_iter();
            let seeds = seeds.map(|shard| doc! { "q": { "_id": shard }, "u": &free, "upsert": true }).collect();
            // Refused as a duplicate: another collector made it in the same moment.
            self.update(self.leases.name(), seeds).await.map(drop)
        });
        seeded.await?;
        Ok(())
    }

    /// What a member holds, each with the epoch since which nobody else did.
    async fn leases_of(&self, member: &Member) -> Result<Vec<(Lease, u64)>> {
        let mine = doc! { "owner": &member.id, "$expr": { "$gt": ["$expires", "$$NOW"] } };
        let found = self.all(self.leases.find(mine).sort(doc! { "_id": 1 })).await?;
        let lease = |found: &Document| {
            let shard = Shard(u8::try_from(number(found.get("_id"))).ok()?);
            Some((Lease { shard, epoch: number(found.get("epoch")) }, number(found.get("since"))))
        };
        Ok(found.iter().filter_map(lease).collect())
    }

    /// Bars every older epoch from the servers of these shards.
    async fn fence(&self, held: &[(Lease, u64)]) -> Result<()> {
        let mut by_epochs: BTreeMap<(u64, u64), Vec<Shard>> = BTreeMap::new();
        for (lease, since) in held {
            by_epochs.entry((lease.epoch, *since)).or_default().push(lease.shard);
        }
        let fences = by_epochs.into_iter().map(|((epoch, since), shards)| {
            let [epoch, since] = [epoch, since].map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
            let servers = doc! { server::SHARD: { "$in": numbers(shards) } };
            let raise = doc! { "$max": { server::EPOCH: epoch, server::SINCE: since } };
            doc! { "q": servers, "u": raise, "multi": true }
        });
        self.update(self.servers.name(), fences.collect()).await?;
        Ok(())
    }

    async fn give_back(&self, leases: Document) -> Result<()> {
        let free = doc! { "$set": { "owner": null, "expires": "$$NOW" } };
        self.update(self.leases.name(), vec![doc! { "q": leases, "u": [free], "multi": true }]).await?;
        Ok(())
    }
}

/// An expression: that much later than the database's now.
fn from_now(ttl: Duration) -> Document {
    doc! { "$add": ["$$NOW", millis(ttl)] }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn numbers(shards: impl IntoIterator<Item = Shard>) -> Vec<i32> {
    shards.into_iter().map(|shard| i32::from(shard.0)).collect()
}
