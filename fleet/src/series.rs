//! Series: a server's scrapes summed up in steps, for charts. Pure, and the same on every backend.
//!
//! Below an hour a step is summed up from its scrapes. From an hour on it is put together from whole hours, each summed
//! up once and kept as a rollup by stores that want to: count, minimum, mean and maximum come out the same either way,
//! and the 95th percentile of a long step is that of its worst hour.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::Point;
use crate::time::Timestamp;

/// Steps of this length and longer are put together from whole hours.
pub const HOUR: Duration = Duration::from_secs(3600);

/// How the values of one quantity spread over a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Scrapes that knew the value.
    pub count: u32,
    /// Smallest value.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// 95th percentile, nearest rank; of a step beyond an hour, the largest of its hours'.
    pub p95: f64,
    /// Largest value.
    pub max: f64,
}

/// The scrapes of one step. Ratios 0–1, rates in bytes per second, as in [`Point`]; `None` where no scrape knew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Start of the step.
    pub at: Timestamp,
    /// Scrapes.
    pub checks: u32,
    /// Of these, failed.
    pub failures: u32,
    /// Duration of scrapes, in milliseconds.
    pub duration_ms: Option<Spread>,
    /// See [`Point::cpu`].
    pub cpu: Option<Spread>,
    /// See [`Point::ram`].
    pub ram: Option<Spread>,
    /// See [`Point::net`].
    pub net: Option<Spread>,
    /// See [`Point::receive_bytes_per_second`].
    pub receive: Option<Spread>,
    /// See [`Point::transmit_bytes_per_second`].
    pub transmit: Option<Spread>,
    /// See [`Point::sessions`].
    pub sessions: Option<Spread>,
}

/// The length that a `step` really has: whole milliseconds, at least one; whole hours from an hour on.
pub fn step_ms(step: Duration) -> i64 {
    let (step, hour) = (millis(step).max(1), millis(HOUR));
    if step < hour { step } else { step - step % hour }
}

/// `range`, widened to whole steps.
pub fn aligned(range: Range<Timestamp>, step: Duration) -> Range<Timestamp> {
    let (start, end, step) = (range.start.as_millis(), range.end.as_millis(), step_ms(step));
    let floor = |at: i64| at.saturating_sub(at.rem_euclid(step));
    let ceiling = end.saturating_add((-end.checked_rem(step).unwrap_or(0)).rem_euclid(step));
    Timestamp::from_millis(floor(start))..Timestamp::from_millis(ceiling)
}

/// Sums up `points`, which are in order of time.
pub fn of_points(points: &[Point], step: Duration) -> Vec<Bucket> {
    let step_ms = step_ms(step);
    if step_ms < millis(HOUR) {
        return points
            .chunk_by(|a, b| slot(a.at, step_ms) == slot(b.at, step_ms))
            .filter_map(|points| Bucket::of(points, step_ms))
            .collect();
    }
    of_hours(&hours(points), step)
}

/// The hours of `points`, which are in order of time: what a rollup keeps.
pub fn hours(points: &[Point]) -> Vec<Bucket> {
    let hour = millis(HOUR);
    points.chunk_by(|a, b| slot(a.at, hour) == slot(b.at, hour)).filter_map(|p| Bucket::of(p, hour)).collect()
}

/// Puts hours, which are in order of time, together to steps.
pub fn of_hours(hours: &[Bucket], step: Duration) -> Vec<Bucket> {
    let step_ms = step_ms(step);
    hours
        .chunk_by(|a, b| slot(a.at, step_ms) == slot(b.at, step_ms))
        .filter_map(|hours| Bucket::merged(hours, step_ms))
        .collect()
}

fn slot(at: Timestamp, step_ms: i64) -> i64 {
    at.as_millis().div_euclid(step_ms)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Bucket {
    fn of(points: &[Point], step_ms: i64) -> Option<Self> {
        let start = slot(points.first()?.at, step_ms) * step_ms;
        let spread = |value: fn(&Point) -> Option<f64>| Spread::of(points.iter().filter_map(value).collect());
        Some(Self {
            at: Timestamp::from_millis(start),
            checks: count(points.len()),
            failures: count(points.iter().filter(|point| point.failure.is_some()).count()),
            duration_ms: spread(|point| Some(f64::from(point.duration_ms))),
            cpu: spread(|point| point.cpu.map(f64::from)),
            ram: spread(|point| point.ram.map(f64::from)),
            net: spread(|point| point.net.map(f64::from)),
            receive: spread(|point| point.receive_bytes_per_second.map(|rate| rate as f64)),
            transmit: spread(|point| point.transmit_bytes_per_second.map(|rate| rate as f64)),
            sessions: spread(|point| point.sessions.map(f64::from)),
        })
    }

    fn merged(hours: &[Self], step_ms: i64) -> Option<Self> {
        let start = slot(hours.first()?.at, step_ms) * step_ms;
        let spread = |value: fn(&Self) -> Option<Spread>| Spread::merged(hours.iter().filter_map(value));
        Some(Self {
            at: Timestamp::from_millis(start),
            checks: hours.iter().map(|hour| hour.checks).fold(0, u32::saturating_add),
            failures: hours.iter().map(|hour| hour.failures).fold(0, u32::saturating_add),
            duration_ms: spread(|hour| hour.duration_ms),
            cpu: spread(|hour| hour.cpu),
            ram: spread(|hour| hour.ram),
            net: spread(|hour| hour.net),
            receive: spread(|hour| hour.receive),
            transmit: spread(|hour| hour.transmit),
            sessions: spread(|hour| hour.sessions),
        })
    }
}

impl Spread {
    /// `None` of no values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let rank = (values.len() * 95).div_ceil(100).max(1);
        Some(Self {
            count: count(values.len()),
            min,
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p95: values.get(rank - 1).copied().unwrap_or(max),
            max,
        })
    }

    fn merged(spreads: impl Iterator<Item = Self>) -> Option<Self> {
        spreads.reduce(|a, b| {
            let total = a.count.saturating_add(b.count);
            let weight = |spread: &Self| spread.mean * (f64::from(spread.count) / f64::from(total));
            Self {
                count: total,
                min: a.min.min(b.min),
                mean: weight(&a) + weight(&b),
                p95: a.p95.max(b.p95),
                max: a.max.max(b.max),
            }
        })
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::report::FailureReason;

    fn point(at: i64, cpu: Option<f32>) -> Point {
        Point {
            at: Timestamp::from_secs(at),
            duration_ms: 10,
            failure: cpu.is_none().then_some(FailureReason::Reset),
            health: Health::Active,
            cpu,
            ram: None,
            net: None,
            receive_bytes_per_second: None,
            transmit_bytes_per_second: Some(7),
            sessions: None,
        }
    }

    #[test]
    fn a_step_counts_and_spreads() {
        let points: Vec<_> = (0..100).map(|n| point(n, (n != 50).then_some(n as f32 / 128.0))).collect();
        let buckets = of_points(&points, Duration::from_secs(1000));
        let [bucket] = buckets.as_slice() else { panic!("{buckets:?}") };
        assert_eq!((bucket.at, bucket.checks, bucket.failures), (Timestamp::from_secs(0), 100, 1));
        let cpu = bucket.cpu.unwrap();
        assert_eq!((cpu.count, cpu.min, cpu.max), (99, 0.0, 99.0 / 128.0));
        assert_eq!(cpu.p95, 95.0 / 128.0, "the 95th of 99 sorted values without 50");
        assert!((cpu.mean - 4900.0 / 99.0 / 128.0).abs() < 1e-12);
        assert_eq!(bucket.ram, None);
    }

    #[test]
    fn steps_without_scrapes_are_left_out() {
        let points = [point(-61, Some(0.1)), point(59, Some(0.2)), point(60, Some(0.3)), point(300, Some(0.4))];
        let starts: Vec<_> =
            of_points(&points, Duration::from_secs(60)).iter().map(|bucket| bucket.at.as_secs()).collect();
        assert_eq!(starts, [-120, 0, 60, 300]);
        assert!(of_points(&[], HOUR).is_empty());
    }

    #[test]
    fn long_steps_are_made_of_hours() {
        let points: Vec<_> = (0..600).map(|n| point(n * 60, Some((n % 61) as f32 / 64.0))).collect();
        let step = HOUR * 3 + Duration::from_secs(1);
        let long = of_points(&points, step);
        assert_eq!(long.iter().map(|bucket| bucket.at.as_secs()).collect::<Vec<_>>(), [0, 10_800, 21_600, 32_400]);
        assert_eq!(long, of_hours(&hours(&points), step));
        assert_eq!(long.iter().map(|bucket| bucket.checks).sum::<u32>(), 600);
        let whole = Spread::of(points.iter().map(|point| f64::from(point.cpu.unwrap())).collect()).unwrap();
        let merged = of_points(&points, HOUR * 24)[0].cpu.unwrap();
        assert_eq!((merged.count, merged.min, merged.max), (whole.count, whole.min, whole.max));
        assert!((merged.mean - whole.mean).abs() < 1e-9 && merged.p95 >= whole.p95);
    }

    #[test]
    fn ranges_widen_to_whole_steps() {
        let widened = |start, end, step| {
            let range = aligned(Timestamp::from_secs(start)..Timestamp::from_secs(end), Duration::from_secs(step));
            (range.start.as_secs(), range.end.as_secs())
        };
        assert_eq!(widened(61, 119, 60), (60, 120));
        assert_eq!(widened(60, 120, 60), (60, 120));
        assert_eq!(widened(-61, -59, 60), (-120, 0));
        assert_eq!(widened(1, 7201, 5000), (0, 10_800), "beyond an hour in whole hours");
        let all = aligned(Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX), HOUR);
        assert!(all.start < all.end);
    }
}
