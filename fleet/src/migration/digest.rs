//! A number by which what two stores hold can be compared, in whatever order it is read.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::server::ServerId;
use crate::store::{OfServer, Point};

/// How many, and a sum over all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    /// How many.
    pub(super) count: u64,
    sum: u64,
}

impl Digest {
    /// Adds something.
    pub(super) fn add(&mut self, value: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }

    /// Adds scrapes.
    pub(super) fn add_points(&mut self, of_servers: &[OfServer]) {
        for (server, points) in of_servers {
            points.iter().for_each(|point| self.add(&numbers(*server, point)));
        }
    }
}

/// A scrape in numbers that every store keeps; at their far ends, which no host reaches, stores cut off differently.
fn numbers(server: ServerId, point: &Point) -> impl Hash + use<> {
    let rate = |rate: Option<u64>| rate.map(|rate| rate.min(i64::MAX.cast_unsigned()));
    (
        server,
        point.at,
        point.duration_ms,
        (point.failure, point.health),
        [point.cpu, point.ram, point.net].map(|ratio| ratio.map(f32::to_bits)),
        [rate(point.receive_bytes_per_second), rate(point.transmit_bytes_per_second)],
        point.sessions.map(|sessions| sessions.min(u32::MAX - 1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::time::Timestamp;

    fn point(at: i64) -> Point {
        Point {
            at: Timestamp::from_secs(at),
            duration_ms: 12,
            failure: None,
            health: Health::Active,
            cpu: Some(0.5),
            ram: None,
            net: Some(0.25),
            receive_bytes_per_second: Some(7),
            transmit_bytes_per_second: None,
            sessions: Some(3),
        }
    }

    fn of(points: &[OfServer]) -> Digest {
        let mut digest = Digest::default();
        digest.add_points(points);
        digest
    }

    #[test]
    fn order_does_not_count_and_everything_else_does() {
        let [a, b] = [*b"aaaaaaaa", *b"bbbbbbbb"].map(|key| ServerId::from_key(key).unwrap());
        let one = of(&[(a, vec![point(1), point(2)]), (b, vec![point(1)])]);
        assert_eq!(one, of(&[(b, vec![point(1)]), (a, vec![point(2), point(1)])]));
        assert_eq!(one.count, 3);
        for other in [
            vec![(a, vec![point(1), point(2)])],
            vec![(a, vec![point(1), point(1)]), (b, vec![point(1)])],
            vec![(a, vec![point(1)]), (b, vec![point(1), point(2)])],
            vec![(a, vec![point(1), Point { sessions: None, ..point(2) }]), (b, vec![point(1)])],
            vec![(a, vec![point(1), Point { cpu: Some(0.5001), ..point(2) }]), (b, vec![point(1)])],
            vec![(a, vec![point(1), Point { health: Health::Down, ..point(2) }]), (b, vec![point(1)])],
        ] {
            assert_ne!(one, of(&other));
        }
    }
}
