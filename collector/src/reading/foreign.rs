//! What the well-known exporters of others say of VPN services, in the words of a reading: which of their metrics mean what.
//!
//! | exporter | service active | sessions |
//! |---|---|---|
//! | WireGuard, by MindFlavor | an interface is there | peers with a handshake within [`RECENT_SECONDS`] |
//! | WireGuard, by mdlayher | a device is there | likewise |
//! | OpenVPN, by kumina and natrontech | `openvpn_up`, and the status file is not stale | connected clients |
//! | Squid, by boynux | `squid_up` | – |
//! | Xray, by compassvpn | `xray_up` | users of its time window, while it is up |
//!
//! Squid's exporter does not tell who is connected: its number of clients is of all that came within a day. Traffic is left
//! to node_exporter: their sums over peers and clients fall when one of them leaves.

use mect_fleet::{Service, ServiceReading, Timestamp};

use super::MAX_SERVICES;
use crate::parse::{self, Sample};

/// A WireGuard peer that is there shakes hands every two minutes: after three it is gone. A clock that is ahead by as much
/// is forgiven.
const RECENT_SECONDS: f64 = 180.0;
/// OpenVPN writes its status file every minute unless told otherwise; one that is ten minutes old says who was connected
/// once.
const STALE_SECONDS: f64 = 600.0;
/// More clients than one host has: such a number is a fault.
const MAX_COUNT: f64 = 10_000_000.0;

/// What a metric says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// A unit is active: 1 or 0.
    Up,
    /// A unit is there, whatever the value.
    There,
    /// Clients connected.
    Sessions,
    /// Seconds since 1970 at which a peer shook hands last; 0: never. Its unit is there.
    Handshake,
    /// Seconds since 1970 at which what is said of a unit was true.
    Written,
}

use Says::{Handshake, Sessions, There, Up, Written};
use Service::{OpenVpn, Squid, WireGuard, Xray};

/// A metric: its name, the service that it is of, the label that names the unit, and what it says.
type Meaning = (&'static str, Service, &'static str, Says);

/// Every metric that means something, by name.
const MEANINGS: [Meaning; 12] = [
    ("openvpn_openvpn_server_connected_clients", OpenVpn, "status_path", Sessions),
    ("openvpn_server_connected_clients", OpenVpn, "status_path", Sessions),
    ("openvpn_status_update_time_seconds", OpenVpn, "status_path", Written),
    ("openvpn_up", OpenVpn, "status_path", Up),
    ("squid_up", Squid, "", Up),
    ("v2ray_up", Xray, "", Up),
    ("wireguard_device_info", WireGuard, "device", There),
    ("wireguard_latest_handshake_seconds", WireGuard, "interface", Handshake),
    ("wireguard_peer_last_handshake_seconds", WireGuard, "device", Handshake),
    ("wireguard_peers_total", WireGuard, "interface", There),
    ("xray_unique_users", Xray, "", Sessions),
    ("xray_up", Xray, "", Up),
];
/// What the names above begin with: most samples of a page are of other things.
const PREFIXES: [&str; 5] = ["openvpn_", "squid_", "v2ray_", "wireguard_", "xray_"];
/// A family that MindFlavor's exporter declares even when no interface is there.
const DECLARED: &str = "wireguard_latest_handshake_seconds";

/// What foreign exporters say of services.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    units: Vec<ServiceReading>,
    /// Clients, in the order of [`Service::ALL`].
    sessions: [Option<f64>; Service::ALL.len()],
    /// Until the page ends: clients of units.
    clients: Vec<(Service, Box<str>, f64)>,
    /// Likewise: latest handshakes of peers.
    handshakes: Vec<f64>,
    /// Likewise: when that was written which is said of a unit.
    written: Vec<(Box<str>, f64)>,
}

impl Foreign {
    /// Takes a sample, if it is of a well-known exporter.
    pub(super) fn take(&mut self, sample: &Sample<'_>) {
        let name = &*sample.name;
        if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return;
        }
        let Ok(place) = MEANINGS.binary_search_by_key(&name, |(name, ..)| *name) else { return };
        let Some(&(_, service, label, says)) = MEANINGS.get(place) else { return };
        let value = sample.value;
        let unit = || sample.labels.get(label).filter(|unit| !unit.is_empty());
        let named = || -> Box<str> { unit().as_deref().unwrap_or(unnamed(service)).into() };
        match says {
            Up => self.unit(service, unit().as_deref(), value == 1.0),
            There => self.unit(service, unit().as_deref(), true),
            Sessions if self.clients.len() < MAX_SERVICES => self.clients.push((service, named(), value)),
            Handshake => {
                // Older ones of mdlayher's name the device in another metric only.
                if unit().is_some() || self.units.is_empty() {
                    self.unit(service, unit().as_deref(), true);
                }
                self.handshakes.push(value);
            }
            Written if self.written.len() < MAX_SERVICES => self.written.push((named(), value)),
            Sessions | Written => {}
        }
    }

    /// The page ended: judges what depends on the time, which was `now` where it was made.
    pub(super) fn end(&mut self, page: &parse::Page<'_>, now: impl FnOnce() -> Timestamp) {
        let is_declared = || page.families().iter().any(|family| family.name == DECLARED);
        if self.units.is_empty() && is_declared() {
            self.unit(WireGuard, None, false);
        }
        if !(self.handshakes.is_empty() && self.written.is_empty()) {
            self.judge_by_time(now().as_millis() as f64 / 1000.0);
        }
        for (service, unit, clients) in std::mem::take(&mut self.clients) {
            // Some tell of clients out of a log, whether or not anything runs.
            let is_down =
                self.units.iter().any(|known| known.service == service && known.unit == unit && !known.active);
            if !is_down {
                self.count(service, clients);
            }
        }
        if self.units.iter().any(|unit| unit.service == WireGuard) {
            // An interface without peers has no sessions, which is a number too.
            self.count(WireGuard, 0.0);
        }
    }

    fn judge_by_time(&mut self, now: f64) {
        let recent = self.handshakes.drain(..).filter(|at| (now - at).abs() <= RECENT_SECONDS).count();
        if recent > 0 {
            self.count(WireGuard, recent as f64);
        }
        for (stale, _) in self.written.drain(..).filter(|(_, at)| now - at > STALE_SECONDS) {
            self.clients.retain(|(service, unit, _)| (*service, unit) != (OpenVpn, &stale));
            for unit in self.units.iter_mut().filter(|unit| unit.service == OpenVpn && unit.unit == stale) {
                unit.active = false;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty() && self.sessions.iter().all(Option::is_none)
    }

    /// Adds what another page says.
    pub(super) fn join(&mut self, other: Self) {
        for unit in other.units {
            self.unit(unit.service, Some(&unit.unit), unit.active);
        }
        for (service, count) in Service::ALL.into_iter().zip(other.sessions) {
            if let Some(count) = count {
                self.count(service, count);
            }
        }
    }

    /// Units and clients of the services that nobody else tells of.
    pub(super) fn beside(self, is_told: impl Fn(Service) -> bool) -> (Vec<ServiceReading>, Option<f64>) {
        let units = self.units.into_iter().filter(|unit| !is_told(unit.service)).collect();
        let told = Service::ALL.into_iter().zip(self.sessions).filter(|(service, _)| !is_told(*service));
        let sessions = told.filter_map(|(_, count)| count).fold(None, |sum, count| Some(sum.unwrap_or(0.0) + count));
        (units, sessions)
    }

    fn unit(&mut self, service: Service, name: Option<&str>, active: bool) {
        let name = name.unwrap_or(unnamed(service));
        let is_full = self.units.len() >= MAX_SERVICES;
        match self.units.iter_mut().find(|unit| unit.service == service && *unit.unit == *name) {
            Some(known) => known.active &= active,
            None if is_full => {}
            None => self.units.push(ServiceReading { service, unit: name.into(), active, rung: None }),
        }
    }

    /// Counts clients; what is no number of clients is left aside.
    fn count(&mut self, service: Service, clients: f64) {
        let place = Service::ALL.iter().position(|known| *known == service);
        let sum = place.and_then(|place| self.sessions.get_mut(place));
        if let Some(sum) = sum.filter(|_| (0.0..=MAX_COUNT).contains(&clients)) {
            *sum = Some(sum.unwrap_or(0.0) + clients);
        }
    }
}

/// What a unit is called that its exporter gives no name.
const fn unnamed(service: Service) -> &'static str {
    match service {
        WireGuard => "wireguard",
        OpenVpn => "openvpn",
        Squid => "squid",
        Xray => "xray",
    }
}

#[cfg(test)]
mod tests;
