//! The leases role: which collector scrapes which shard. Only a store that several collectors share plays it.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::server::ServerId;
use crate::shard::{Lease, Shard};
use crate::view::Standing;

/// A collector that takes part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Of at most one process at a time. A collector that is started again keeps it, and so takes over from its
    /// predecessor without waiting for the leases to run out.
    pub id: String,
    /// For people: host name and process.
    pub name: String,
}

/// A shard that was just taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquired {
    /// The lease, with an epoch above every earlier one of the shard.
    pub lease: Lease,
    /// The epoch since which nobody else held the shard. What was judged under an older one, another collector has
    /// overtaken.
    pub since: u64,
    /// Standings of the shard's servers, read after older epochs were fenced off: nothing older can change them.
    pub standings: Vec<(ServerId, Standing)>,
}

/// Shards for a time. Time is the store's, never a collector's: clocks may differ.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Says that `member` lives for another `ttl`; returns all who live, it included.
    async fn join(&self, member: &Member, ttl: Duration) -> Result<Vec<Member>>;

    /// Prolongs `held` by `ttl`; returns those that `member` still holds under the same epoch.
    async fn renew(&self, member: &Member, held: &[Lease], ttl: Duration) -> Result<Vec<Lease>>;

    /// Takes those of `shards` that are free, whose lease ran out, or that `member` has from an earlier life.
    async fn acquire(&self, member: &Member, shards: &[Shard], ttl: Duration) -> Result<Vec<Acquired>>;

    /// Gives leases back at once, so that others need not wait until they run out.
    async fn release(&self, member: &Member, leases: &[Lease]) -> Result<()>;

    /// Releases everything `member` holds and forgets it.
    async fn leave(&self, member: &Member) -> Result<()>;
}
