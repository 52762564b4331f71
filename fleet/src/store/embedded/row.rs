//! A point as numbers, and as a row of the tail: fixed size, little endian, quantised once and for all.

use crate::health::Health;
use crate::report::{FailureReason, Outcome};
use crate::store::{Point, Record, quantum};
use crate::time::Timestamp;

/// Size of a row; the time is in its key.
pub(super) const ROW_BYTES: usize = 38;

/// A point in whole numbers, as rows and blocks hold it. An optional value is stored plus one, 0 is none: small
/// numbers stay small, which a largest-value marker would spoil for compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at_ms: i64,
    pub(super) duration_ms: u32,
    pub(super) failure: u8,
    pub(super) health: u8,
    pub(super) cpu: u32,
    pub(super) ram: u32,
    pub(super) net: u32,
    pub(super) receive: u64,
    pub(super) transmit: u64,
    pub(super) sessions: u32,
}

impl Row {
    pub(super) fn of(record: &Record) -> Self {
        let report = &record.report;
        let row = Self {
            at_ms: report.at.as_millis(),
            duration_ms: report.duration_ms,
            failure: 0,
            health: record.standing.state.health.code(),
            cpu: 0,
            ram: 0,
            net: 0,
            receive: 0,
            transmit: 0,
            sessions: 0,
        };
        match &report.outcome {
            Outcome::Failed(failure) => Self { failure: failure.reason.code(), ..row },
            Outcome::Up(reading) => Self {
                cpu: from_ratio(reading.cpu),
                ram: from_ratio(reading.ram),
                net: from_ratio(reading.net),
                receive: from_rate(reading.receive_bytes_per_second),
                transmit: from_rate(reading.transmit_bytes_per_second),
                sessions: reading.sessions.map_or(0, |count| count.saturating_add(1)),
                ..row
            },
        }
    }

    /// The row whose [`point`](Self::point) it is.
    pub(super) fn of_point(point: &Point) -> Self {
        let rate = |rate: Option<u64>| rate.map_or(0, |rate| rate.saturating_add(1));
        Self {
            at_ms: point.at.as_millis(),
            duration_ms: point.duration_ms,
            failure: point.failure.map_or(0, FailureReason::code),
            health: point.health.code(),
            cpu: from_ratio(point.cpu),
            ram: from_ratio(point.ram),
            net: from_ratio(point.net),
            receive: rate(point.receive_bytes_per_second),
            transmit: rate(point.transmit_bytes_per_second),
            sessions: point.sessions.map_or(0, |count| count.saturating_add(1)),
        }
    }

    /// `None` when a code has no meaning in this version.
    pub(super) fn point(&self) -> Option<Point> {
        let failure = match self.failure {
            0 => None,
            code => Some(FailureReason::from_code(code)?),
        };
        Some(Point {
            at: Timestamp::from_millis(self.at_ms),
            duration_ms: self.duration_ms,
            failure,
            health: Health::from_code(self.health)?,
            cpu: to_ratio(self.cpu),
            ram: to_ratio(self.ram),
            net: to_ratio(self.net),
            receive_bytes_per_second: self.receive.checked_sub(1),
            transmit_bytes_per_second: self.transmit.checked_sub(1),
            sessions: self.sessions.checked_sub(1),
        })
    }

    pub(super) fn encode(&self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(field.len());
            head.copy_from_slice(field);
            rest = tail;
        };
        put(&self.duration_ms.to_le_bytes());
        put(&[self.failure, self.health]);
        put(&self.cpu.to_le_bytes());
        put(&self.ram.to_le_bytes());
        put(&self.net.to_le_bytes());
        put(&self.receive.to_le_bytes());
        put(&self.transmit.to_le_bytes());
        put(&self.sessions.to_le_bytes());
        bytes
    }

    pub(super) fn decode(at_ms: i64, bytes: &[u8; ROW_BYTES]) -> Self {
        let mut rest = bytes.as_slice();
        Self {
            at_ms,
            duration_ms: u32::from_le_bytes(take(&mut rest)),
            failure: u8::from_le_bytes(take(&mut rest)),
            health: u8::from_le_bytes(take(&mut rest)),
            cpu: u32::from_le_bytes(take(&mut rest)),
            ram: u32::from_le_bytes(take(&mut rest)),
            net: u32::from_le_bytes(take(&mut rest)),
            receive: u64::from_le_bytes(take(&mut rest)),
            transmit: u64::from_le_bytes(take(&mut rest)),
            sessions: u32::from_le_bytes(take(&mut rest)),
        }
    }
}

/// The next `N` bytes; zeros past the end, which a row of fixed size never reaches.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().unwrap_or((&[0; N], &[]));
    *rest = tail;
    *head
}

/// Steps plus one.
fn from_ratio(ratio: Option<f32>) -> u32 {
    quantum::steps(ratio).map_or(0, |steps| steps.saturating_add(1))
}

fn to_ratio(stored: u32) -> Option<f32> {
    stored.checked_sub(1).map(quantum::ratio)
}

fn from_rate(rate: Option<f64>) -> u64 {
    quantum::whole(rate).map_or(0, |rate| rate.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip() {
        let row = Row {
            at_ms: -5,
            duration_ms: u32::MAX,
            failure: 22,
            health: 3,
            cpu: 1,
            ram: 10_001,
            net: u32::MAX,
            receive: u64::MAX,
            transmit: 0,
            sessions: 7,
        };
        assert_eq!(Row::decode(-5, &row.encode()), row);
        let row = Row { net: 4711, ..row };
        assert_eq!(Row::of_point(&row.point().unwrap()), row);
    }

    #[test]
    fn every_four_digit_ratio_comes_back_as_itself() {
        for step in 0..=20_000u32 {
            let ratio: f32 = format!("{}.{:04}", step / 10_000, step % 10_000).parse().unwrap();
            assert_eq!(to_ratio(from_ratio(Some(ratio))), Some(ratio));
        }
    }

    #[test]
    fn odd_numbers_do_not_wrap() {
        assert_eq!(to_ratio(from_ratio(None)), None);
        assert_eq!(to_ratio(from_ratio(Some(f32::NAN))), None);
        assert_eq!(to_ratio(from_ratio(Some(-1.0))), Some(0.0));
        assert_eq!(from_ratio(Some(f32::INFINITY)), u32::MAX);
        assert_eq!(from_rate(Some(f64::NAN)), 0);
        assert_eq!(from_rate(Some(-3.0)), 1);
        assert_eq!(from_rate(Some(f64::INFINITY)), u64::MAX);
    }

    #[test]
    fn unknown_codes_give_no_point() {
        let row = Row::decode(0, &[0; ROW_BYTES]);
        assert!(row.point().is_some());
        assert_eq!(Row { failure: 200, ..row }.point(), None);
        assert_eq!(Row { health: 9, ..row }.point(), None);
    }
}
