//! Shards: the unit in which a fleet is divided among collectors. Pure.
//!
//! A server's shard follows from its identity, and the collector that should hold a shard from the shard and the
//! collectors alive, by rendezvous hashing: everybody computes the same answer without talking, and when one collector
//! comes or goes only its share of the shards moves.

use crate::server::ServerId;

/// Number of shards. Enough to divide evenly among a dozen collectors, few enough to renew in one round trip.
pub const SHARDS: u16 = 256;

/// One of [`SHARDS`] parts of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// Every shard.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The shard of a server. Never changes: it is stored.
    pub fn of(server: ServerId) -> Self {
        Self((stable_hash(&server.key()) >> 56) as u8)
    }
}

/// The right to scrape a shard, for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The shard.
    pub shard: Shard,
    /// Grows with every change of hands; a record of an older epoch is refused.
    pub epoch: u64,
}

/// A hash that is the same in every build and on every machine: FNV-1a, mixed as in SplitMix64.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fnv = bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The shards that `me` should hold among `members`.
pub fn desired(me: &str, members: &[String]) -> Vec<Shard> {
    Shard::all().filter(|shard| holder(*shard, members) == Some(me)).collect()
}

fn holder(shard: Shard, members: &[String]) -> Option<&str> {
    let weight = |member: &str| {
        let mut bytes = Vec::with_capacity(member.len() + 1);
        bytes.push(shard.0);
        bytes.extend_from_slice(member.as_bytes());
        stable_hash(&bytes)
    };
    members.iter().map(String::as_str).max_by_key(|member| (weight(member), *member))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("collector-{n}")).collect()
    }

    #[test]
    fn servers_spread_evenly_over_shards() {
        let mut counts = [0u32; SHARDS as usize];
        for n in 0..51_200u32 {
            let id = ServerId::from_key(std::array::from_fn(|place| b'a' + (n >> (2 * place)) as u8 % 4 * 5)).unwrap();
            counts[usize::from(Shard::of(id).0)] += 1;
        }
        assert!(counts.iter().all(|count| (100..320).contains(count)), "{counts:?}");
    }

    #[test]
    fn every_shard_has_one_holder_and_shares_are_even() {
        for count in 1..=8 {
            let members = members(count);
            let shares: Vec<_> = members.iter().map(|me| desired(me, &members).len()).collect();
            assert_eq!(shares.iter().sum::<usize>(), usize::from(SHARDS));
            let even = usize::from(SHARDS) / count;
            assert!(shares.iter().all(|share| (even / 2..=even * 2).contains(share)), "{shares:?}");
        }
        assert!(desired("nobody", &members(2)).is_empty());
    }

    #[test]
    fn only_the_share_of_who_comes_or_goes_moves() {
        for count in 1..8 {
            let (before, after) = (members(count), members(count + 1));
            let moved = Shard::all().filter(|shard| holder(*shard, &before) != holder(*shard, &after)).count();
            let to_newcomer = desired(&after[count], &after).len();
            assert_eq!(moved, to_newcomer);
        }
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(stable_hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(Shard::of("srv-abcdefgh".parse().unwrap()), Shard(64));
    }
}
