//! From samples to a [`Reading`]: knows which metrics mean what, and turns counters into rates.
//!
//! A page of our exporter and one of a plain node_exporter read the same, and exporters of others tell of services in our
//! words. What a page lacks stays unknown; nothing is guessed but the uplink of a page that does not name one: the busiest
//! physical-looking device.
//!
//! | module | holds |
//! |---|---|
//! | `foreign` | what the exporters of others say of services |
//! | `join` | several pages of one host |
//! | `uplink` | which device is the uplink |

use std::time::{Duration, Instant};

use mect_fleet::{Failure, FailureReason, HostId, Reading, Service, ServiceReading, Timestamp};

mod foreign;
mod join;
mod uplink;

use crate::parse::{self, ErrorKind, Sample};
use crate::scrape;
use foreign::Foreign;
use uplink::Devices;

/// Capacity of an uplink of which nothing is known, in bytes per second: 1 Gbit/s.
pub const DEFAULT_CAPACITY: f64 = 125_000_000.0;
/// No wire carries more bytes a second: 100 Tbit/s. A counter that grew faster was not counting.
const MAX_RATE: f64 = 12.5e12;
/// Below this distance two values of a counter give noise, not a rate.
const MIN_RATE_SPAN: Duration = Duration::from_millis(500);
/// As long the rates of a page hold for what an exporter answers out of its cache.
const RATES_HOLD: Duration = Duration::from_secs(2);
/// Rung of `vpn_service_health` from which on the process behind a unit lives.
const PROCESS_ALIVE: u8 = 2;
/// Its last rung: data moves.
const HIGHEST_RUNG: f64 = 5.0;
/// Units of VPN services that one page may list; further ones are left out.
const MAX_SERVICES: usize = 64;

/// Reads a page as it was scraped.
///
/// # Errors
/// The page breaks a rule of its format, or a limit.
pub fn parsed<'a>(page: &'a scrape::Page, limits: &parse::Limits) -> Result<parse::Page<'a>, Failure> {
    parse::page(&page.bytes, page.format, limits).map_err(|error| {
        let reason = match error.kind {
            ErrorKind::Syntax => FailureReason::Parse,
            ErrorKind::Utf8 => FailureReason::Utf8,
            ErrorKind::Limit => FailureReason::Limit,
            ErrorKind::Truncated => FailureReason::Truncated,
        };
        Failure::new(reason, error.to_string())
    })
}

/// Collects what matters from a page. `now` is the time where it was made, asked for only if something depends on it.
///
/// # Errors
/// Nothing on it says anything of a host.
pub fn gathered(page: &parse::Page<'_>, now: impl FnOnce() -> Timestamp) -> Result<Gather, Failure> {
    let mut gather = Gather::default();
    page.samples().iter().for_each(|sample| gather.take(sample));
    gather.foreign.end(page, now);
    if gather.has_any() {
        return Ok(gather);
    }
    Err(Failure::new(FailureReason::NoMetrics, format!("{} samples, none known", page.samples().len())))
}

/// Collects what matters from the samples of one page.
#[derive(Default)]
pub struct Gather {
    cpu_idle: f64,
    cpu_total: f64,
    memory_total: Option<f64>,
    memory_available: Option<f64>,
    memory_reclaimable: f64,
    devices: Devices,
    sessions: Option<f64>,
    /// Services of which a page of ours tells sessions.
    counted: Vec<Service>,
    services: Vec<ServiceReading>,
    /// Rungs of units that the page names only later.
    rungs: Vec<(Box<str>, u8)>,
    services_unknown: bool,
    /// What others say of services.
    foreign: Foreign,
    host: Option<HostId>,
}

/// The counters of one page, kept to be compared with the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    at: Instant,
    cpu_idle: f64,
    cpu_total: f64,
    uplink: Option<Uplink>,
    /// Since the page before this one.
    rates: Rates,
}

/// What the counters of two pages give.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rates {
    /// Busy share of all processors, in 0–1.
    cpu: Option<f32>,
    uplink: Option<UplinkRates>,
}

/// All in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct UplinkRates {
    receive: f64,
    transmit: f64,
    capacity: f64,
}

/// The device that carries the host's traffic.
#[derive(Debug, Clone, PartialEq)]
struct Uplink {
    device: Box<str>,
    receive_bytes: f64,
    transmit_bytes: f64,
    capacity: f64,
}

impl Gather {
    /// Takes one sample.
    pub fn take(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        match &*sample.name {
            "node_cpu_seconds_total" => {
                self.cpu_total += value;
                if sample.labels.get("mode").as_deref() == Some("idle") {
                    self.cpu_idle += value;
                }
            }
            "node_memory_MemTotal_bytes" => self.memory_total = Some(value),
            "node_memory_MemAvailable_bytes" => self.memory_available = Some(value),
            "node_memory_MemFree_bytes" | "node_memory_Buffers_bytes" | "node_memory_Cached_bytes" => {
                self.memory_reclaimable += value;
            }
            "vpn_sessions" => self.count(sample),
            "vpn_service_active" => self.service(sample),
            "vpn_service_health" if !value.is_nan() => self.rung(sample),
            "vpn_exporter_build_info" => {
                self.host = sample.labels.get("host_id").and_then(|id| id.parse().ok());
            }
            "vpn_exporter_sampler_success" if sample.labels.get("sampler").as_deref() == Some("systemd") => {
                self.services_unknown = value == 0.0;
            }
            name if name.starts_with("node_") || name.starts_with("vpn_") => self.devices.take(sample),
            _ => self.foreign.take(sample),
        }
    }

    /// The host that the page is of, if it says so.
    pub fn host(&self) -> Option<HostId> {
        self.host
    }

    /// True when a sample said something of a host.
    pub fn has_any(&self) -> bool {
        let (cpu, memory) = (self.cpu_total > 0.0, self.memory_total.is_some());
        let (services, sessions) = (!self.services.is_empty(), self.sessions.is_some());
        cpu || memory || sessions || services || !self.devices.is_empty() || !self.foreign.is_empty()
    }

    /// True when it holds counters that are compared with those of the next scrape.
    pub fn has_counters(&self) -> bool {
        self.cpu_total > 0.0 || !self.devices.is_empty()
    }

    fn count(&mut self, sample: &Sample<'_>) {
        self.sessions = Some(self.sessions.unwrap_or(0.0) + sample.value.max(0.0));
        let service = sample.labels.get("service").and_then(|service| service.parse().ok());
        if let Some(service) = service.filter(|service| !self.counted.contains(service)) {
            self.counted.push(service);
        }
    }

    fn service(&mut self, sample: &Sample<'_>) {
        let (Some(service), Some(unit)) = (sample.labels.get("service"), sample.labels.get("unit")) else { return };
        if let Ok(service) = service.parse::<Service>()
            && self.services.len() < MAX_SERVICES
        {
            let active = sample.value == 1.0;
            self.services.push(ServiceReading { service, unit: (*unit).into(), active, rung: None });
        }
    }

    fn rung(&mut self, sample: &Sample<'_>) {
        let Some(unit) = sample.labels.get("unit") else { return };
        let rung = sample.value.clamp(0.0, HIGHEST_RUNG) as u8;
        let mut named = self.services.iter_mut().filter(|service| *service.unit == *unit).peekable();
        if named.peek().is_some() {
            named.for_each(|service| service.rung = Some(rung));
        } else if self.rungs.len() < MAX_SERVICES {
            self.rungs.push(((*unit).into(), rung));
        }
    }

    /// The reading, given the counters of the page before; and the counters for the next. What the operator says of the
    /// uplink's capacity goes before what the page says.
    ///
    /// `at` is when the page was answered. A counter that fell (a restart) gives no rate, never a negative one. A page
    /// too close to the one before, or the same page out of a cache, has the rates of the one before for a moment, and the
    /// next is compared with that one.
    pub fn finish(mut self, at: Instant, before: Option<&Counters>, capacity: Option<u64>) -> (Reading, Counters) {
        for service in &mut self.services {
            let told = self.rungs.iter().find(|(unit, _)| *unit == service.unit).map(|(_, rung)| *rung);
            service.rung = service.rung.or(told);
            // Its process is gone although systemd calls it active.
            service.active &= service.rung.is_none_or(|rung| rung >= PROCESS_ALIVE);
        }
        self.take_foreign();
        let has_counters = self.has_counters();
        let mut uplink = self.devices.uplink();
        if let (Some(uplink), Some(capacity)) = (&mut uplink, capacity) {
            uplink.capacity = capacity as f64;
        }
        let now = Counters { at, cpu_idle: self.cpu_idle, cpu_total: self.cpu_total, uplink, rates: Rates::default() };
        // Kernels before 3.14 do not tell what is available; free memory and caches come near.
        let available = self.memory_available.unwrap_or(self.memory_reclaimable);
        let mut reading = Reading {
            ram: self.memory_total.filter(|total| *total > 0.0).map(|total| ratio(1.0 - available / total)),
            sessions: self.sessions.map(|sessions| sessions as u32),
            services_unknown: self.services_unknown && self.services.is_empty(),
            services: self.services.into(),
            host: self.host,
            ..Reading::default()
        };
        let next = match before {
            // No page that counts answered this time.
            Some(before) if !has_counters => before.clone(),
            Some(before) if now.is_as_good_as(before) => before.clone(),
            Some(before) => Counters { rates: now.rates(before), ..now },
            None => now,
        };
        if at.saturating_duration_since(next.at) <= RATES_HOLD {
            let Rates { cpu, uplink } = next.rates;
            reading.cpu = cpu;
            reading.receive_bytes_per_second = uplink.map(|uplink| uplink.receive);
            reading.transmit_bytes_per_second = uplink.map(|uplink| uplink.transmit);
            reading.net = uplink.map(|uplink| (uplink.receive.max(uplink.transmit) / uplink.capacity) as f32);
        }
        (reading, next)
    }
}

impl Counters {
    /// True when nothing can be learned from the distance between the two: no time lies between them, or the page came
    /// out of a cache, as processors always count.
    fn is_as_good_as(&self, before: &Self) -> bool {
        let is_cached = self.cpu_total > 0.0 && self.cpu_total == before.cpu_total;
        is_cached || self.at.saturating_duration_since(before.at) < MIN_RATE_SPAN
    }

    fn rates(&self, before: &Self) -> Rates {
        Rates { cpu: self.cpu_busy(before), uplink: self.uplink_rates(before) }
    }

    fn cpu_busy(&self, before: &Self) -> Option<f32> {
        let (total, idle) = (self.cpu_total - before.cpu_total, self.cpu_idle - before.cpu_idle);
        // Idle time may step back by a tick on some kernels; a whole second means that the host restarted.
        let is_rate = before.cpu_total > 0.0 && total > 0.0 && total.is_finite() && idle > -1.0;
        is_rate.then(|| ratio(1.0 - idle / total))
    }

    fn uplink_rates(&self, before: &Self) -> Option<UplinkRates> {
        let (now, then) = (self.uplink.as_ref()?, before.uplink.as_ref()?);
        let seconds = (self.at - before.at).as_secs_f64();
        let receive = (now.receive_bytes - then.receive_bytes) / seconds;
        let transmit = (now.transmit_bytes - then.transmit_bytes) / seconds;
        let is_rate =
            now.device == then.device && [receive, transmit].iter().all(|rate| (0.0..=MAX_RATE).contains(rate));
        is_rate.then_some(UplinkRates { receive, transmit, capacity: now.capacity })
    }
}

fn ratio(value: f64) -> f32 {
    if value.is_finite() { value.clamp(0.0, 1.0) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;
