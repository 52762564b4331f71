//! Which device is the uplink, and what it can carry.

use super::{DEFAULT_CAPACITY, Uplink};
use crate::parse::Sample;

/// Devices of one page that are looked at; a host with more has containers, and its uplink comes early.
const MAX_DEVICES: usize = 256;
/// Names of devices that carry others' traffic a second time, or none that leaves the host.
const VIRTUAL_PREFIXES: &[&str] =
    &["lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali", "wg", "tun", "tap", "ifb", "dummy"];

#[derive(Default)]
pub(super) struct Devices {
    devices: Vec<Device>,
    named: Option<Box<str>>,
}

#[derive(Default)]
struct Device {
    name: Box<str>,
    receive_bytes: f64,
    transmit_bytes: f64,
    link_bytes_per_second: Option<f64>,
    capacity: Option<f64>,
}

impl Devices {
    /// Takes a sample, if it is about a network device.
    pub(super) fn take(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        match &*sample.name {
            "node_network_receive_bytes_total" => self.with(sample, |device| device.receive_bytes = value),
            "node_network_transmit_bytes_total" => self.with(sample, |device| device.transmit_bytes = value),
            "node_network_speed_bytes" => self.with(sample, |device| device.link_bytes_per_second = Some(value)),
            "vpn_uplink_capacity_bytes_per_second" => self.with(sample, |device| device.capacity = Some(value)),
            "vpn_uplink_info" => self.named = sample.labels.get("device").map(|device| (*device).into()),
            _ => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    fn with(&mut self, sample: &Sample<'_>, change: impl FnOnce(&mut Device)) {
        let Some(name) = sample.labels.get("device") else { return };
        let index = match self.devices.iter().position(|device| *device.name == *name) {
            Some(index) => index,
            None if self.devices.len() == MAX_DEVICES => return,
            None => {
                self.devices.push(Device { name: (*name).into(), ..Device::default() });
                self.devices.len() - 1
            }
        };
        change(&mut self.devices[index]);
    }

    /// The device that the page names, else the busiest that looks physical, else the busiest of all.
    pub(super) fn uplink(self) -> Option<Uplink> {
        let named = self.named;
        let rank = |device: &Device| {
            let is_named = named.as_ref() == Some(&device.name);
            let is_physical = !VIRTUAL_PREFIXES.iter().any(|prefix| device.name.starts_with(prefix));
            (is_named, is_physical, device.receive_bytes + device.transmit_bytes)
        };
        let uplink = self.devices.into_iter().max_by(|a, b| {
            let ((a_named, a_physical, a_bytes), (b_named, b_physical, b_bytes)) = (rank(a), rank(b));
            (a_named, a_physical).cmp(&(b_named, b_physical)).then(a_bytes.total_cmp(&b_bytes))
        })?;
        // Less than a byte a second is no wire, and would make any traffic endlessly much of it.
        let usable = |capacity: &f64| capacity.is_finite() && *capacity >= 1.0;
        Some(Uplink {
            capacity: uplink
                .capacity
                .filter(usable)
                .or(uplink.link_bytes_per_second.filter(usable))
                .unwrap_or(DEFAULT_CAPACITY),
            receive_bytes: uplink.receive_bytes,
            transmit_bytes: uplink.transmit_bytes,
            device: uplink.name,
        })
    }
}
