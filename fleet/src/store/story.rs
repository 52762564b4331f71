//! The story that every backend must tell the same way: a walk through every role, told by [`tell`].
//!
//! Test support, compiled into the library so that the integration tests of every backend, here and in other packages,
//! can call it. Nothing else may. A difference panics with what was expected.
#![allow(clippy::unwrap_used)]

use crate::health::Rule;
use crate::reading::{Reading, Service, ServiceReading};
use crate::report::{Failure, FailureReason, Outcome, Report};
use crate::server::{Place, Server, ServerId};
use crate::store::{Record, Registration, Store};
use crate::time::Timestamp;
use crate::view::Standing;

mod accounts;
mod history;
mod intent;
mod inventory;
mod journal;
mod series;
mod transfer;

/// Tells the story to an empty store.
///
/// # Panics
/// At the first answer that differs from what every store must give.
pub async fn tell(store: Store) {
    inventory::tell(&store).await;
    history::tell(&store).await;
    series::tell(&store).await;
    accounts::tell(&store).await;
    journal::tell(&store).await;
    intent::tell(&store).await;
    transfer::tell(&store).await;
}

/// What discovery would say of the server number `n`.
pub fn registration(n: usize) -> Registration {
    let place = Place { country_code: "DE".into(), country: "Germany".into(), ..Place::default() };
    Registration {
        ip: format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255),
        hostname: format!("host-{n}"),
        place,
        ..Registration::default()
    }
}

/// A heartbeat whose numbers follow from `n`. Every third one misses values, as first scrapes do.
pub fn heartbeat(n: u32) -> Outcome {
    let known = !n.is_multiple_of(3);
    let unit = ServiceReading {
        service: Service::WireGuard,
        unit: "wg-quick@wg0.service".into(),
        active: true,
        rung: Some(5),
    };
    Outcome::Up(Reading {
        cpu: known.then_some(f32_of_steps(n % 10_001)),
        ram: Some(f32_of_steps(n / 7 % 10_001)),
        net: known.then_some(f32_of_steps(n % 15_000)),
        receive_bytes_per_second: known.then_some(f64::from(n) * 1000.1),
        transmit_bytes_per_second: Some(f64::from(n)),
        sessions: Some(n % 500),
        services: Box::new([unit]),
        ..Reading::default()
    })
}

/// A failed scrape.
pub fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureReason::ConnTimeout, "no answer in 10 s"))
}

/// Folds one scrape into `standing`, as the collector does, and gives the record of it.
pub fn observe(standing: &mut Standing, server: ServerId, at: Timestamp, outcome: Outcome) -> Record {
    let samples = u32::from(matches!(outcome, Outcome::Up(_))) * 80;
    let report = Report { server, at, duration_ms: 12, samples, outcome };
    let transition = standing.observe(&Rule::default(), &report, None);
    Record { report, standing: standing.clone(), transition, epoch: 0 }
}

fn f32_of_steps(steps: u32) -> f32 {
    (f64::from(steps) / 10_000.0) as f32
}

async fn registered(store: &Store, n: usize) -> Server {
    store.inventory.register(vec![registration(n)], Timestamp::from_secs(0)).await.unwrap().remove(0)
}

/// Asserts that the points are exactly those of `records`, which are in order of time.
fn assert_points(points: &[crate::store::Point], records: &[Record]) {
    assert_eq!(points.len(), records.len(), "number of points");
    for (point, record) in points.iter().zip(records) {
        assert_eq!(point.at, record.report.at);
        assert_eq!(point.duration_ms, record.report.duration_ms);
        assert_eq!(point.health, record.standing.state.health);
        let (failure, reading) = match &record.report.outcome {
            Outcome::Up(reading) => (None, reading.clone()),
            Outcome::Failed(failure) => (Some(failure.reason), Reading::default()),
        };
        assert_eq!(point.failure, failure);
        assert_eq!((point.cpu, point.ram, point.net), (reading.cpu, reading.ram, reading.net));
        let whole = |rate: Option<f64>| rate.map(|rate| rate.round() as u64);
        assert_eq!(point.receive_bytes_per_second, whole(reading.receive_bytes_per_second));
        assert_eq!(point.transmit_bytes_per_second, whole(reading.transmit_bytes_per_second));
        assert_eq!(point.sessions, reading.sessions);
    }
}
