//! Traffic of the uplink and of the VPN tunnels.
//!
//! Counters come from `/proc/net/dev` (procfs), state and speed from `/sys/class/net`, the uplink from
//! the routing tables. Names and meaning are those of node_exporter's `netdev` and `netclass`
//! collectors, for the few devices that matter: loopback, bridges and veth pairs would only multiply
//! series.

pub mod device;
pub mod route;

use procfs::FromRead;
use procfs::net::{DeviceStatus, InterfaceDeviceStatus};

use crate::config::Uplink;
use crate::page::{Kind, Page, Value};
use crate::root::Root;
use crate::sampler::SampleError;
use device::{Capacity, Chosen};

const FILE: &str = "/proc/net/dev";

/// One `node_network_*_total` family: its name, its HELP text, its column, and whether tunnels have it too.
/// Of a tunnel it matters what it carries and what it could not pass on; the rest are zeros, or the uplink's
/// business, and each tunnel would add six series to every page.
type Column = (&'static str, &'static str, fn(&DeviceStatus) -> u64, bool);

const COLUMNS: [Column; 8] = [
    ("node_network_receive_bytes_total", "Bytes received.", |device| device.recv_bytes, true),
    ("node_network_receive_packets_total", "Packets received.", |device| device.recv_packets, false),
    ("node_network_receive_errs_total", "Packets received with an error.", |device| device.recv_errs, false),
    ("node_network_receive_drop_total", "Received packets that were dropped.", |device| device.recv_drop, false),
    ("node_network_transmit_bytes_total", "Bytes sent.", |device| device.sent_bytes, true),
    ("node_network_transmit_packets_total", "Packets sent.", |device| device.sent_packets, false),
    (
        "node_network_transmit_errs_total",
        "Packets that could not be sent for an error.",
        |device| device.sent_errs,
        false,
    ),
    ("node_network_transmit_drop_total", "Packets dropped before they were sent.", |device| device.sent_drop, true),
];

/// A device with all that is shown of it.
#[derive(Debug)]
struct Device {
    status: DeviceStatus,
    up: bool,
    speed_bytes: Option<u64>,
}

impl Device {
    /// A tunnel that is not itself the uplink.
    fn is_tunnel(&self, chosen: &Chosen<'_>) -> bool {
        device::is_tunnel(&self.status.name) && chosen.uplink != Some(&self.status.name)
    }
}

/// Reads the network's state and writes its families.
///
/// # Errors
/// `/proc/net/dev` cannot be read or parsed, or the configured uplink is not there.
pub fn sample(root: &Root, configured: &Uplink, page: &mut Page) -> Result<(), SampleError> {
    let statuses = parse(&root.text(FILE)?)?;
    let default_route = route::default_device(root);
    let chosen = device::choose(&statuses, configured.device.as_deref(), default_route.as_deref(), |name| {
        device::is_physical(root, name)
    })?;
    let devices: Vec<Device> = chosen
        .devices
        .iter()
        .map(|status| Device {
            status: (*status).clone(),
            up: device::is_up(root, &status.name),
            speed_bytes: device::speed_bytes(root, &status.name),
        })
        .collect();
    render(&devices, &chosen, configured, page);
    Ok(())
}

fn render(devices: &[Device], chosen: &Chosen<'_>, configured: &Uplink, page: &mut Page) {
    for (name, help, column, of_tunnels) in COLUMNS {
        let mut family = page.family(name, Kind::Counter, help);
        for device in devices.iter().filter(|device| of_tunnels || !device.is_tunnel(chosen)) {
            family.sample(&[("device", &device.status.name)], column(&device.status));
        }
    }
    let mut family = page.family("node_network_up", Kind::Gauge, "Whether the device's operstate is \"up\".");
    for device in devices.iter().filter(|device| !device.is_tunnel(chosen)) {
        family.sample(&[("device", &device.status.name)], device.up);
    }
    let mut family = page.family("node_network_speed_bytes", Kind::Gauge, "Link speed in bytes per second.");
    for device in devices.iter().filter(|device| !device.is_tunnel(chosen)) {
        if let Some(speed) = device.speed_bytes {
            family.sample(&[("device", &device.status.name)], speed);
        }
    }
    let Some(uplink) = chosen.uplink else { return };
    page.family("vpn_uplink_info", Kind::Gauge, "Device that carries the host's traffic to the Internet; always 1.")
        .sample(&[("device", uplink)], 1u64);
    let link = devices.iter().find(|device| device.status.name == uplink).and_then(|device| device.speed_bytes);
    let Capacity { bytes_per_second, source } = device::capacity(configured.capacity_mbit, link);
    page.family(
        "vpn_uplink_capacity_bytes_per_second",
        Kind::Gauge,
        "What the uplink can carry in one direction; source says where the figure comes from.",
    )
    .sample(&[("device", uplink), ("source", source)], Value::Integer(bytes_per_second));
}

/// Parses `/proc/net/dev`, sorted by device name.
///
/// # Errors
/// A line has too few columns or a number is not one.
pub fn parse(text: &str) -> Result<Vec<DeviceStatus>, SampleError> {
    let parsed =
        InterfaceDeviceStatus::from_read(text.as_bytes()).map_err(|error| SampleError::procfs(FILE, &error))?;
    let mut statuses: Vec<DeviceStatus> = parsed.0.into_values().collect();
    statuses.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if statuses.is_empty() { Err(SampleError::parse(FILE, "no device")) } else { Ok(statuses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../tests/fixtures/root/proc/net/dev");

    #[test]
    fn devices_are_sorted_and_complete() {
        let statuses = parse(GOOD).unwrap();
        let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
        assert_eq!(names, ["docker0", "eth0", "lo", "tun0", "veth1a2b3c4", "wg0"]);
        assert_eq!(statuses[1].recv_bytes, 9_876_543_210);
        assert_eq!(statuses[1].sent_drop, 4);
    }

    #[test]
    fn bad_files_are_errors() {
        let head = "Inter-|\n face |\n";
        for bad in ["", head, &format!("{head}eth0: 1 2 3\n"), &format!("{head}eth0: {}\n", "x ".repeat(16))] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        for end in 0..GOOD.len() {
            let _ = parse(&GOOD[..end]);
        }
    }
}
