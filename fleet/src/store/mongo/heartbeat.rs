//! A scrape as a document of the time-series collection. Names are short and numbers whole: a busy fleet keeps a
//! thousand million of them.
//!
//! | field | holds |
//! |---|---|
//! | `server`, `at` | identity as text, start as date: together they tell scrapes apart |
//! | `d` | duration in milliseconds |
//! | `h`, `f` | codes of [`Health`] and [`FailureReason`]; `f` is missing when it worked |
//! | `c`, `r`, `n` | cpu, ram, net in steps of 0.0001 |
//! | `i`, `o` | receive and transmit rate in bytes per second |
//! | `s` | sessions |
//! | `e` | epoch of the lease; missing where it is 0 |
//! | `x` | 1 when another collector had taken the server over before this became known: the heartbeat counts, what was \
//!         made of it does not |
//!
//! What is unknown is missing.

use bson::{Bson, Document, doc};

use super::command::number;
use super::server::date;
use crate::health::Health;
use crate::reading::Reading;
use crate::report::{FailureReason, Outcome};
use crate::server::ServerId;
use crate::store::{Point, Record, quantum};
use crate::time::Timestamp;

/// A scrape as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) point: Point,
    pub(super) epoch: u64,
    pub(super) is_overtaken: bool,
}

pub(super) fn document(record: &Record, is_overtaken: bool) -> Document {
    let report = &record.report;
    let mut document = doc! {
        "server": report.server.to_string(),
        "at": date(report.at),
        "d": whole(u64::from(report.duration_ms)),
        "h": i32::from(record.standing.state.health.code()),
    };
    if record.epoch > 0 {
        document.insert("e", whole(record.epoch));
    }
    if is_overtaken {
        document.insert("x", 1);
    }
    match &report.outcome {
        Outcome::Failed(failure) => {
            document.insert("f", i32::from(failure.reason.code()));
        }
        Outcome::Up(reading) => document.extend(numbers(reading).filter_map(|(key, value)| {
            let value = whole(value?);
            Some((key.to_owned(), value))
        })),
    }
    document
}

/// The document whose [`point`] it is.
pub(super) fn of_point(server: ServerId, point: &Point) -> Document {
    let mut document = doc! {
        "server": server.to_string(),
        "at": date(point.at),
        "d": whole(u64::from(point.duration_ms)),
        "h": i32::from(point.health.code()),
    };
    let failure = point.failure.map(|failure| u64::from(failure.code()));
    let steps = |ratio| quantum::steps(ratio).map(u64::from);
    let numbers = [
        ("f", failure),
        ("c", steps(point.cpu)),
        ("r", steps(point.ram)),
        ("n", steps(point.net)),
        ("i", point.receive_bytes_per_second),
        ("o", point.transmit_bytes_per_second),
        ("s", point.sessions.map(u64::from)),
    ];
    document.extend(numbers.into_iter().filter_map(|(key, number)| Some((key.to_owned(), whole(number?)))));
    document
}

fn numbers(reading: &Reading) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    let steps = |ratio| quantum::steps(ratio).map(u64::from);
    [
        ("c", steps(reading.cpu)),
        ("r", steps(reading.ram)),
        ("n", steps(reading.net)),
        ("i", quantum::whole(reading.receive_bytes_per_second)),
        ("o", quantum::whole(reading.transmit_bytes_per_second)),
        ("s", reading.sessions.map(u64::from)),
    ]
    .into_iter()
}

/// `None` when a code has no meaning in this version.
pub(super) fn stored(document: &Document) -> Option<Stored> {
    let (epoch, is_overtaken) = (number(document.get("e")), document.contains_key("x"));
    Some(Stored { point: point(document)?, epoch, is_overtaken })
}

fn point(document: &Document) -> Option<Point> {
    let known = |key: &str| document.get(key).map(|value| number(Some(value)));
    let code = |key: &str| u8::try_from(number(document.get(key))).ok();
    let small = |key: &str| known(key).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    let failure = match code("f")? {
        0 => None,
        code => Some(FailureReason::from_code(code)?),
    };
    let ratio = |key: &str| small(key).map(quantum::ratio);
    Some(Point {
        at: Timestamp::from_millis(document.get_datetime("at").ok()?.timestamp_millis()),
        duration_ms: small("d")?,
        failure,
        health: Health::from_code(code("h")?)?,
        cpu: ratio("c"),
        ram: ratio("r"),
        net: ratio("n"),
        receive_bytes_per_second: known("i"),
        transmit_bytes_per_second: known("o"),
        sessions: small("s"),
    })
}

/// In four bytes where it fits.
fn whole(number: u64) -> Bson {
    match i32::try_from(number) {
        Ok(number) => Bson::Int32(number),
        Err(_) => Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX)),
    }
}
