//! From samples to a [`Reading`]: knows which metrics mean what, and turns counters into rates.
//!
//! A page of our exporter and one of a plain node_exporter read the same. What a page lacks stays unknown; nothing is
//! guessed but the uplink of a page that does not name one: the busiest physical-looking device.

use std::time::{Duration, Instant};

use mect_fleet::{Reading, Service, ServiceReading};

mod uplink;

use crate::parse::Sample;
use uplink::Devices;

/// Capacity of an uplink of which nothing is known, in bytes per second: 1 Gbit/s.
pub const DEFAULT_CAPACITY: f64 = 125_000_000.0;
/// Below this distance two values of a counter give noise, not a rate. Also skips an exporter's cached page.
const MIN_RATE_SPAN: Duration = Duration::from_millis(500);
/// Units of VPN services that one page may list; further ones are left out.
const MAX_SERVICES: usize = 64;

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
    services: Vec<ServiceReading>,
}

/// The counters of one page, kept to be compared with the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    at: Instant,
    cpu_idle: f64,
    cpu_total: f64,
    uplink: Option<Uplink>,
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
            "vpn_sessions" => self.sessions = Some(self.sessions.unwrap_or(0.0) + value.max(0.0)),
            "vpn_service_active" => self.service(sample),
            _ => self.devices.take(sample),
        }
    }

    fn service(&mut self, sample: &Sample<'_>) {
        let (Some(service), Some(unit)) = (sample.labels.get("service"), sample.labels.get("unit")) else { return };
        if let Ok(service) = service.parse::<Service>()
            && self.services.len() < MAX_SERVICES
        {
            self.services.push(ServiceReading { service, unit: (*unit).into(), active: sample.value == 1.0 });
        }
    }

    /// The reading, given the counters of the page before; and the counters for the next.
    ///
    /// `at` is when the page was answered. A counter that fell (a restart) gives no rate, never a negative one.
    pub fn finish(self, at: Instant, before: Option<&Counters>) -> (Reading, Counters) {
        let uplink = self.devices.uplink();
        let now = Counters { at, cpu_idle: self.cpu_idle, cpu_total: self.cpu_total, uplink };
        // Kernels before 3.14 do not tell what is available; free memory and caches come near.
        let available = self.memory_available.unwrap_or(self.memory_reclaimable);
        let mut reading = Reading {
            ram: self.memory_total.filter(|total| *total > 0.0).map(|total| ratio(1.0 - available / total)),
            sessions: self.sessions.map(|sessions| sessions as u32),
            services: self.services.into(),
            ..Reading::default()
        };
        if let Some(before) = before
            && at.saturating_duration_since(before.at) >= MIN_RATE_SPAN
        {
            reading.cpu = now.cpu_busy(before);
            if let Some((receive, transmit, capacity)) = now.uplink_rates(before) {
                reading.receive_bytes_per_second = Some(receive);
                reading.transmit_bytes_per_second = Some(transmit);
                reading.net = Some((receive.max(transmit) / capacity) as f32);
            }
        }
        (reading, now)
    }
}

impl Counters {
    fn cpu_busy(&self, before: &Self) -> Option<f32> {
        let (total, idle) = (self.cpu_total - before.cpu_total, self.cpu_idle - before.cpu_idle);
        // Idle time may step back by a tick on some kernels; a whole second means that the host restarted.
        (total > 0.0 && idle > -1.0).then(|| ratio(1.0 - idle / total))
    }

    fn uplink_rates(&self, before: &Self) -> Option<(f64, f64, f64)> {
        let (now, then) = (self.uplink.as_ref()?, before.uplink.as_ref()?);
        let seconds = (self.at - before.at).as_secs_f64();
        let receive = (now.receive_bytes - then.receive_bytes) / seconds;
        let transmit = (now.transmit_bytes - then.transmit_bytes) / seconds;
        let is_rate = now.device == then.device && receive >= 0.0 && transmit >= 0.0;
        is_rate.then_some((receive, transmit, now.capacity))
    }
}

fn ratio(value: f64) -> f32 {
    if value.is_finite() { value.clamp(0.0, 1.0) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;
