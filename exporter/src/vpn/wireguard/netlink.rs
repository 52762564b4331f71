//! The kernel's WireGuard over generic netlink: linux/genetlink.h, linux/wireguard.h.
//!
//! Two questions are all it takes: the number of the family `wireguard`, and a dump of one device. Needs
//! CAP_NET_ADMIN.

use std::io;
use std::time::Duration;

use rustix::net::netlink;

use crate::netlink::{DUMP, Netlink, request};
use crate::sampler::SampleError;

use super::{Device, Peer};

const ORIGIN: &str = "WireGuard of the kernel";

/// An attribute's type without its flag bits.
const TYPE_MASK: u16 = 0x3FFF;

// linux/genetlink.h.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// linux/wireguard.h.
const WG_CMD_GET_DEVICE: u8 = 0;
const WGDEVICE_A_IFNAME: u16 = 2;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
const WGDEVICE_A_PEERS: u16 = 8;
const WGPEER_A_PUBLIC_KEY: u16 = 1;
const WGPEER_A_LAST_HANDSHAKE_TIME: u16 = 6;
const WGPEER_A_RX_BYTES: u16 = 7;
const WGPEER_A_TX_BYTES: u16 = 8;

/// Bytes of generic netlink's own head.
const GENERIC_BYTES: usize = 4;

/// Asks the kernel for a device and its peers.
///
/// # Errors
/// The kernel has no WireGuard, or does not let us ask.
pub fn ask(device: &str, budget: Duration) -> Result<Device, SampleError> {
    let failed = |source: io::Error| SampleError::Connect { endpoint: ORIGIN.to_owned(), source };
    let socket = Netlink::open(Some(netlink::GENERIC), budget).map_err(failed)?;
    let family = family(&socket, "wireguard").map_err(failed)?;
    let mut found = Device::default();
    let question = message(family, DUMP, WG_CMD_GET_DEVICE, WGDEVICE_A_IFNAME, device);
    socket.ask(&question, |payload| take_device(body(payload), &mut found)).map_err(failed)?;
    Ok(found)
}

/// What follows generic netlink's own head.
fn body(payload: &[u8]) -> &[u8] {
    payload.get(GENERIC_BYTES..).unwrap_or_default()
}

fn family(socket: &Netlink, name: &str) -> io::Result<u16> {
    let mut number = None;
    let question = message(GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, name);
    socket.ask(&question, |payload| {
        number = attributes(body(payload))
            .find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)
            .and_then(|(_, value)| Some(u16::from_ne_bytes(value.try_into().ok()?)));
    })?;
    number.ok_or_else(|| io::Error::other("the kernel names no such family"))
}

/// A request with one attribute, a text.
fn message(kind: u16, flags: u16, command: u8, attribute: u16, text: &str) -> Vec<u8> {
    let attribute_bytes = 4 + text.len() + 1;
    let mut payload = vec![command, 1, 0, 0];
    payload.extend_from_slice(&(attribute_bytes as u16).to_ne_bytes());
    payload.extend_from_slice(&attribute.to_ne_bytes());
    payload.extend_from_slice(text.as_bytes());
    payload.resize(GENERIC_BYTES + attribute_bytes.next_multiple_of(4), 0);
    request(kind, flags, &payload)
}

/// Type and value of each attribute; ends at the first that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Adds what one message of the dump says. A peer with many allowed addresses is continued in the next
/// message, under the same key and without its counters.
fn take_device(body: &[u8], device: &mut Device) {
    for (kind, value) in attributes(body) {
        match kind {
            WGDEVICE_A_LISTEN_PORT => {
                device.listen_port = value.try_into().map_or(device.listen_port, u16::from_ne_bytes);
            }
            WGDEVICE_A_PEERS => {
                for (_, peer) in attributes(value) {
                    take_peer(peer, &mut device.peers);
                }
            }
            _ => {}
        }
    }
}

fn take_peer(body: &[u8], peers: &mut Vec<Peer>) {
    let number = |value: &[u8]| value.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
    let mut peer = Peer::UNKNOWN;
    for (kind, value) in attributes(body) {
        match kind {
            WGPEER_A_PUBLIC_KEY => peer.key = value.try_into().unwrap_or(peer.key),
            // Seconds and nanoseconds, 64 bits each. Before the first handshake both are 0.
            WGPEER_A_LAST_HANDSHAKE_TIME => peer.handshake = number(value),
            WGPEER_A_RX_BYTES => peer.receive_bytes = number(value),
            WGPEER_A_TX_BYTES => peer.transmit_bytes = number(value),
            _ => {}
        }
    }
    if peers.last().is_none_or(|last| last.key != peer.key) {
        peers.push(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn peer(key: u8, handshake: u64, rx: u64) -> Vec<u8> {
        let time = [handshake.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        let inner = [
            attribute(WGPEER_A_PUBLIC_KEY, &[key; 32]),
            attribute(4, &[2; 16]),
            attribute(WGPEER_A_LAST_HANDSHAKE_TIME, &time),
            attribute(WGPEER_A_RX_BYTES, &rx.to_ne_bytes()),
            attribute(WGPEER_A_TX_BYTES, &9u64.to_ne_bytes()),
        ];
        attribute(0x8000, &inner.concat())
    }

    /// What a kernel sent for a device with one peer (captured with nlmon for the tests of netlink-packet-wireguard,
    /// MIT; keys and addresses masked).
    const CAPTURED: &[u8] = include_bytes!("../../../tests/fixtures/wireguard/device.bin");

    #[test]
    fn what_a_kernel_sends_is_understood() {
        let mut device = Device::default();
        take_device(CAPTURED, &mut device);
        assert_eq!(device.listen_port, 32812);
        let [peer] = device.peers[..] else { panic!("{:?}", device.peers) };
        assert_eq!(peer.handshake, 1_769_415_834);
        assert_eq!((peer.receive_bytes, peer.transmit_bytes), (30_426_264, 1_917_056));
        assert_eq!(peer.key[..4], [119, 220, 154, 192]);
        for end in 0..CAPTURED.len() {
            take_device(&CAPTURED[..end], &mut Device::default());
        }
    }

    /// The same bytes as `wg show cn` sends, after the message's head.
    #[test]
    fn the_question_is_that_of_wg() {
        let question = message(42, DUMP, WG_CMD_GET_DEVICE, WGDEVICE_A_IFNAME, "cn");
        assert_eq!(question[crate::netlink::HEAD_BYTES..], [0, 1, 0, 0, 7, 0, 2, 0, b'c', b'n', 0, 0]);
        assert_eq!(question.len(), 28);
    }

    #[test]
    fn a_dump_over_two_messages_is_one_device() {
        let mut device = Device::default();
        let first = [
            attribute(WGDEVICE_A_IFNAME, b"wg0\0"),
            attribute(3, &[1; 32]),
            attribute(WGDEVICE_A_LISTEN_PORT, &51820u16.to_ne_bytes()),
            attribute(WGDEVICE_A_PEERS | 0x8000, &[peer(1, 1_700_000_000, 5), peer(2, 0, 0)].concat()),
        ];
        take_device(&first.concat(), &mut device);
        let continued = attribute(0x8000, &attribute(WGPEER_A_PUBLIC_KEY, &[2; 32]));
        take_device(&attribute(WGDEVICE_A_PEERS | 0x8000, &[continued, peer(3, 1, 6)].concat()), &mut device);
        assert_eq!(device.listen_port, 51820);
        assert_eq!(device.peers.len(), 3);
        assert_eq!((device.peers[0].handshake, device.peers[0].receive_bytes), (1_700_000_000, 5));
        assert_eq!((device.peers[2].key[0], device.peers[2].transmit_bytes), (3, 9));
    }

    #[test]
    fn no_truncation_panics() {
        let whole = attribute(WGDEVICE_A_PEERS, &[peer(1, 2, 3), peer(2, 3, 4)].concat());
        for end in 0..whole.len() {
            take_device(&whole[..end], &mut Device::default());
        }
        // Lengths that lie.
        for length in [0u16, 1, 3, 5, 65535] {
            let mut lying = whole.clone();
            lying[..2].copy_from_slice(&length.to_ne_bytes());
            take_device(&lying, &mut Device::default());
        }
    }

    /// The real kernel: its own controller is a family that is always there, and one that is not is an error.
    #[test]
    fn the_kernel_understands_the_question() {
        let socket = Netlink::open(Some(netlink::GENERIC), Duration::from_secs(5)).unwrap();
        assert_eq!(family(&socket, "nlctrl").unwrap(), GENL_ID_CTRL);
        assert_eq!(family(&socket, "no-such-thing").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
