//! A reading: what one exposition page says of a host, in the fleet's own units.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::host_id::HostId;
use crate::report::Failure;

/// A kind of VPN service, by the two-letter code that labels, REST and pages use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Service {
    /// WireGuard.
    #[serde(rename = "wg")]
    WireGuard,
    /// OpenVPN.
    #[serde(rename = "ov")]
    OpenVpn,
    /// Squid.
    #[serde(rename = "sq")]
    Squid,
    /// X-UI, Xray or V2Ray.
    #[serde(rename = "vr")]
    Xray,
}

impl Service {
    /// All kinds, in the order in which pages show them.
    pub const ALL: [Self; 4] = [Self::WireGuard, Self::OpenVpn, Self::Squid, Self::Xray];

    /// The code: `wg`, `ov`, `sq` or `vr`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WireGuard => "wg",
            Self::OpenVpn => "ov",
            Self::Squid => "sq",
            Self::Xray => "vr",
        }
    }

    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WireGuard => "WireGuard",
            Self::OpenVpn => "OpenVPN",
            Self::Squid => "Squid",
            Self::Xray => "Xray",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A code that names no known service.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a service code: expected wg, ov, sq or vr")]
pub struct UnknownService;

impl FromStr for Service {
    type Err = UnknownService;
    fn from_str(code: &str) -> Result<Self, UnknownService> {
        Self::ALL.into_iter().find(|service| service.code() == code).ok_or(UnknownService)
    }
}

/// One unit of a service on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReading {
    /// The kind of service.
    pub service: Service,
    /// The systemd unit, for example `wg-quick@wg0.service`.
    pub unit: Box<str>,
    /// True when the unit is active.
    pub active: bool,
    /// How well it does, 0 to 5, see [`RUNGS`]; `None` where the page does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<u8>,
}

/// How a further endpoint of a server answered, in the same scrape as its main one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointReading {
    /// URL of its page.
    pub url: Box<str>,
    /// From start to the last byte or the failure, in milliseconds.
    pub duration_ms: u32,
    /// Samples on the page; 0 when it failed.
    pub samples: u32,
    /// Why nothing of the page counts; `None` when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Failures in a row. A scrape knows only of its own; the [`Standing`](crate::Standing) counts on.
    #[serde(default)]
    pub failures: u32,
}

impl EndpointReading {
    /// Why it failed, unless the fault is the collector's own.
    pub fn counted_failure(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| !failure.reason.is_local())
    }
}

/// The rungs of a service in words, from the lowest. Each stands on those below it; what an exporter cannot see counts
/// neither way.
pub const RUNGS: [&str; 6] =
    ["unit not active", "unit active", "process alive", "socket bound", "control channel answers", "data moves"];

/// What one page says. Ratios lie in 0–1; `None` means the page did not say, or that a rate needs a second scrape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// Busy share of all processors between two scrapes: 1 − idle.
    pub cpu: Option<f32>,
    /// Used share of memory: 1 − available ÷ total.
    pub ram: Option<f32>,
    /// Share of the uplink's capacity in use: max(receive, transmit) ÷ capacity. Above 1 where the capacity is not what the
    /// page or the operator says.
    pub net: Option<f32>,
    /// Uplink receive rate in bytes per second.
    pub receive_bytes_per_second: Option<f64>,
    /// Uplink transmit rate in bytes per second.
    pub transmit_bytes_per_second: Option<f64>,
    /// Clients connected over all services.
    pub sessions: Option<u32>,
    /// Units of VPN services, in page order.
    pub services: Box<[ServiceReading]>,
    /// The exporter could not ask for its units: that none is on the page says nothing.
    pub services_unknown: bool,
    /// Further endpoints of the server: how each answered. Empty for a server with one endpoint.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub endpoints: Box<[EndpointReading]>,
    /// The host that the page is of, if it says so. The [`Standing`](crate::Standing) remembers it: here it is not kept.
    #[serde(skip)]
    pub host: Option<HostId>,
}

impl Reading {
    /// The bottleneck: the largest of cpu, ram and net, in 0–1. `None` until all that the page can tell is known.
    ///
    /// An uplink that carries more than it is said to be able to is full, not fuller: or one server whose capacity is not
    /// known would fill a whole country.
    ///
    /// CPU and network are rates and need two scrapes; a load from memory alone would rank a fresh server too well.
    pub fn load(&self) -> Option<f32> {
        let (cpu, ram) = (self.cpu?, self.ram?);
        let load = cpu.max(ram).max(self.net.unwrap_or(0.0));
        // A share of nothing is not known.
        load.is_finite().then_some(load.clamp(0.0, 1.0))
    }

    /// The kinds of service on the page, in the order of [`Service::ALL`], each with whether one of its units is active.
    pub fn by_service(&self) -> impl Iterator<Item = (Service, bool)> {
        Service::ALL.into_iter().filter_map(|service| {
            let mut units = self.services.iter().filter(|unit| unit.service == service).peekable();
            units.peek().is_some().then(|| (service, units.any(|unit| unit.active)))
        })
    }

    /// True when a unit of a VPN service is not active, or a further endpoint failed `fall` times in a row, so that what it
    /// tells of is not known: the host answers, a service does not.
    pub fn is_impaired(&self, fall: u32) -> bool {
        self.services.iter().any(|service| !service.active) || self.lost_endpoints(fall).next().is_some()
    }

    /// Further endpoints that failed `fall` times in a row.
    pub fn lost_endpoints(&self, fall: u32) -> impl Iterator<Item = &EndpointReading> {
        self.endpoints.iter().filter(move |endpoint| endpoint.failures >= fall.max(1))
    }

    /// True when units may be missing: the exporter could not ask for them, or a further endpoint failed.
    pub fn is_partial(&self) -> bool {
        self.services_unknown || self.endpoints.iter().any(|endpoint| endpoint.failure.is_some())
    }

    /// Counts the failures of each further endpoint on from the reading before.
    pub(crate) fn count_on(&mut self, before: Option<&Self>) {
        for endpoint in &mut self.endpoints {
            let known = before.and_then(|before| before.endpoints.iter().find(|known| known.url == endpoint.url));
            let known = known.map_or(0, |known| known.failures);
            endpoint.failures = match &endpoint.failure {
                None => 0,
                Some(failure) if failure.reason.is_local() => known,
                Some(_) => known.saturating_add(1),
            };
        }
    }
}

/// A ratio as the percentage that REST shows: 0–100 with two decimals.
pub fn percent(ratio: f32) -> f64 {
    (f64::from(ratio) * 10_000.0).round().clamp(0.0, 10_000.0) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_bottleneck_and_waits_for_cpu() {
        let mut reading = Reading { ram: Some(0.4), ..Reading::default() };
        assert_eq!(reading.load(), None);
        reading.cpu = Some(0.1);
        assert_eq!(reading.load(), Some(0.4));
        reading.net = Some(0.9);
        assert_eq!(reading.load(), Some(0.9));
        reading.net = Some(6.0);
        assert_eq!(reading.load(), Some(1.0));
        reading.net = Some(f32::INFINITY);
        assert_eq!(reading.load(), None);
    }

    #[test]
    fn percentages_have_two_decimals_and_stay_in_range() {
        assert_eq!(percent(0.123_456), 12.35);
        assert_eq!(percent(1.5), 100.0);
        assert_eq!(percent(-0.1), 0.0);
    }

    #[test]
    fn one_inactive_unit_impairs() {
        let unit =
            |active| ServiceReading { service: Service::Squid, unit: "squid.service".into(), active, rung: None };
        assert!(!Reading::default().is_impaired(3));
        assert!(!Reading { services: Box::new([unit(true)]), ..Reading::default() }.is_impaired(3));
        assert!(Reading { services: Box::new([unit(true), unit(false)]), ..Reading::default() }.is_impaired(3));
    }

    #[test]
    fn codes_round_trip() {
        for service in Service::ALL {
            assert_eq!(service.code().parse(), Ok(service));
        }
        assert_eq!("ssh".parse::<Service>(), Err(UnknownService));
    }
}
