//! WireGuard: one device, in the kernel or in user space.
//!
//! The kernel's is asked over generic netlink ([`netlink`]), a user-space one (wireguard-go, boringtun) over
//! its socket below `/run/wireguard` ([`uapi`]). Keys and addresses are read past and never kept, but for
//! the public keys when peers are to be shown hashed.

pub mod netlink;
pub mod uapi;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Endpoint, Port};
use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;
use crate::sampler::network::device::is_name;

use super::{Details, Instance, Reading};

/// A peer that shook hands within this time is connected: WireGuard renews a session that is in use after
/// two minutes and drops it after three.
pub const SESSION_SECONDS: u64 = 180;

/// Windows of `vpn_wireguard_peers_recent`, in seconds, as their labels show them.
const WINDOWS: [(u64, &str); 3] = [(SESSION_SECONDS, "180s"), (600, "10m"), (86_400, "24h")];

/// What a device says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// UDP port; 0 when it is down.
    pub listen_port: u16,
    /// All that are configured.
    pub peers: Vec<Peer>,
}

/// A peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: [u8; 32],
    /// Unix time of the last handshake; 0 when there was none.
    pub handshake: u64,
    /// Bytes from it.
    pub receive_bytes: u64,
    /// Bytes to it.
    pub transmit_bytes: u64,
}

impl Peer {
    /// A peer that nothing is known of.
    pub const UNKNOWN: Self = Self { key: [0; 32], handshake: 0, receive_bytes: 0, transmit_bytes: 0 };
}

/// Asks the device of `instance`.
pub async fn read(root: &Root, instance: &Instance, now: u64, budget: Duration) -> Reading {
    let device = instance.device().unwrap_or(&instance.name).to_owned();
    let mut reading = Reading::default();
    if !is_name(&device) {
        reading.problem = Some(SampleError::parse(&instance.unit, format_args!("{device:?} is not a device name")));
        return reading;
    }
    let exists = root.exists(format!("/sys/class/net/{device}"));
    reading.process = Some(exists);
    if !exists {
        reading.gaps.push(format!("there is no device {device}"));
        return reading;
    }
    reading.take_traffic(root, &device);
    match ask(root, &device, budget).await {
        Ok(found) => {
            reading.control = Some(true);
            if found.listen_port != 0 {
                reading.ports.push(Port::udp(found.listen_port));
            }
            let fresh = |peer: &&Peer| is_within(peer, now, SESSION_SECONDS);
            reading.sessions = Some(found.peers.iter().filter(fresh).count() as u64);
            // A handshake is data both ways.
            reading.moving = reading.sessions.map(|sessions| sessions > 0);
            reading.details = Details::WireGuard(found);
        }
        Err(error) => {
            // A permission that we lack says nothing about the device.
            reading.control = (!error.is_permission()).then_some(false);
            reading.problem = Some(error);
        }
    }
    reading
}

async fn ask(root: &Root, device: &str, budget: Duration) -> Result<Device, SampleError> {
    let socket = socket(root, device);
    if socket.exists() {
        return uapi::ask(&Endpoint::Unix(socket), budget).await;
    }
    if !is_kernel(root, device) {
        return Err(SampleError::parse(
            device,
            format_args!("not a WireGuard device of the kernel, and no user-space one listens on {}", socket.display()),
        ));
    }
    netlink::ask(device, budget)
}

fn socket(root: &Root, device: &str) -> PathBuf {
    root.path(format!("/run/wireguard/{device}.sock"))
}

/// Devices that are there without being asked for: those of user-space implementations, by the sockets that
/// they listen on, and the kernel's that carry the usual name.
pub fn devices(root: &Root) -> BTreeSet<String> {
    let list = |directory: &str| std::fs::read_dir(root.path(directory)).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    let sockets =
        list("/run/wireguard").filter_map(name).filter_map(|file| Some(file.strip_suffix(".sock")?.to_owned()));
    let devices =
        list("/sys/class/net").filter_map(name).filter(|name| name.starts_with("wg") && is_kernel(root, name));
    sockets.chain(devices).filter(|name| is_name(name)).collect()
}

/// Asking the kernel for what is no WireGuard device gives an error that nobody understands.
fn is_kernel(root: &Root, device: &str) -> bool {
    let kind = root.text(format!("/sys/class/net/{device}/uevent")).unwrap_or_default();
    kind.lines().any(|line| line == "DEVTYPE=wireguard")
}

fn is_within(peer: &Peer, now: u64, seconds: u64) -> bool {
    peer.handshake != 0 && now.saturating_sub(peer.handshake) <= seconds
}

/// Writes the families of all devices.
pub fn render(devices: &[(&str, &Device)], now: u64, page: &mut Page) {
    let mut family = page.family("vpn_wireguard_peers", Kind::Gauge, "Peers that are configured.");
    for (name, device) in devices {
        family.sample(&[("device", name)], device.peers.len() as u64);
    }
    let mut family = page.family(
        "vpn_wireguard_peers_recent",
        Kind::Gauge,
        "Peers whose latest handshake is not older than the window.",
    );
    for (name, device) in devices {
        for (seconds, window) in WINDOWS {
            let recent = device.peers.iter().filter(|peer| is_within(peer, now, seconds)).count();
            family.sample(&[("device", name), ("window", window)], recent as u64);
        }
    }
    let mut family = page.family(
        "vpn_wireguard_latest_handshake_timestamp_seconds",
        Kind::Gauge,
        "When the newest handshake of any peer was, in Unix time; 0 when there was none.",
    );
    for (name, device) in devices {
        let latest = device.peers.iter().map(|peer| peer.handshake).max().unwrap_or(0);
        family.sample(&[("device", name)], latest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(handshake: u64) -> Peer {
        Peer { handshake, ..Peer::UNKNOWN }
    }

    #[test]
    fn windows_count_from_now_and_a_clock_that_runs_ahead_is_now() {
        let now = 1_000_000;
        let peers = vec![peer(0), peer(now - 180), peer(now - 181), peer(now - 86_401), peer(now + 5)];
        let device = Device { listen_port: 51820, peers };
        let mut page = Page::new();
        render(&[("wg0", &device)], now, &mut page);
        let text = page.into_text();
        for line in [
            "vpn_wireguard_peers{device=\"wg0\"} 5\n",
            "vpn_wireguard_peers_recent{device=\"wg0\",window=\"180s\"} 2\n",
            "vpn_wireguard_peers_recent{device=\"wg0\",window=\"10m\"} 3\n",
            "vpn_wireguard_peers_recent{device=\"wg0\",window=\"24h\"} 3\n",
            "vpn_wireguard_latest_handshake_timestamp_seconds{device=\"wg0\"} 1000005\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
