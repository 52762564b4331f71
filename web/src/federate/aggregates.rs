//! The fleet and its countries in sums: as many series for 50,000 servers as for ten.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mect_fleet::collecting::SeriesLabel;
use mect_fleet::{FleetView, Health, ServerView, Service, Timestamp};

use super::narrowed::Narrowed;
use super::origin::Origin;
use super::selector::Selector;
use super::sink::{Kind, Sink};

/// Sums over servers.
#[derive(Debug, Default, Clone)]
struct Sum {
    /// In the order of [`Health::ALL`].
    by_health: [u32; 4],
    stale: u32,
    listed: u32,
    sessions: u64,
    receive_bytes_per_second: f64,
    transmit_bytes_per_second: f64,
    /// Of the servers whose load is known.
    load: f64,
    loads: u32,
    /// Servers with an active unit, in the order of [`Service::ALL`].
    by_service: [u32; 4],
}

impl Sum {
    fn add(&mut self, view: &ServerView) {
        for (health, count) in Health::ALL.iter().zip(&mut self.by_health) {
            *count += u32::from(view.health() == *health);
        }
        self.stale += u32::from(view.stale);
        self.listed += u32::from(view.is_listed());
        let Some(reading) = view.current_reading().filter(|_| !view.stale) else { return };
        self.sessions += u64::from(reading.sessions.unwrap_or(0));
        self.receive_bytes_per_second += reading.receive_bytes_per_second.unwrap_or(0.0);
        self.transmit_bytes_per_second += reading.transmit_bytes_per_second.unwrap_or(0.0);
        if let Some(load) = reading.load() {
            self.load += f64::from(load);
            self.loads += 1;
        }
        for (service, is_active) in reading.by_service() {
            let counts = Service::ALL.iter().zip(&mut self.by_service);
            counts.filter(|(known, _)| **known == service).for_each(|(_, count)| *count += u32::from(is_active));
        }
    }
}

/// Adds the sums that are asked for.
pub(super) fn tell(sink: &mut dyn Sink, selectors: &[Selector], view: &FleetView, job: &str, now: Timestamp) {
    let (mut fleet, mut countries) = (Sum::default(), BTreeMap::<&str, Sum>::new());
    for server in view.servers() {
        fleet.add(server);
        countries.entry(&server.server.place.country_code).or_default().add(server);
    }
    part(sink, selectors, ("vpn_fleet", &Origin::of_part("", job)), &fleet, now);
    for (code, sum) in countries {
        part(sink, selectors, ("vpn_country", &Origin::of_part(code, job)), &sum, now);
    }
}

fn part(sink: &mut dyn Sink, selectors: &[Selector], (prefix, origin): (&str, &Origin), sum: &Sum, now: Timestamp) {
    let mut narrowed = Narrowed::to(selectors, origin);
    if narrowed.is_empty() {
        return;
    }
    let mut gauge = |name: &str, label: Option<(&str, &str)>, value: f64| {
        let name = format!("{prefix}_{name}");
        let label: Option<SeriesLabel<'_>> = label.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
        let labels = label.as_slice();
        if narrowed.wants(&name) && narrowed.accepts(labels) {
            sink.add((&name, Kind::Gauge), origin, labels, value, now);
        }
    };
    for (health, count) in Health::ALL.iter().zip(sum.by_health) {
        gauge("servers", Some(("state", health.name())), f64::from(count));
    }
    gauge("stale_servers", None, f64::from(sum.stale));
    gauge("listed_servers", None, f64::from(sum.listed));
    gauge("sessions", None, sum.sessions as f64);
    gauge("receive_bytes_per_second", None, sum.receive_bytes_per_second);
    gauge("transmit_bytes_per_second", None, sum.transmit_bytes_per_second);
    if sum.loads > 0 {
        gauge("load_ratio", None, sum.load / f64::from(sum.loads));
    }
    for (service, count) in Service::ALL.iter().zip(sum.by_service) {
        gauge("service_servers", Some(("service", service.code())), f64::from(count));
    }
}
