//! Single peers and clients, under names that only this host can tell whose they are.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::page::{Kind, Page};
use crate::root::Root;

use super::{Details, Seen};

/// Most peers, and most clients, shown; the ones last by hash give way.
const MAX_SHOWN: usize = 200;

/// Bytes of the hash that are shown: enough to tell a million peers apart.
const SHOWN_BYTES: usize = 8;

/// Turns keys and names into labels: HMAC-SHA-256 under the machine's id. The same peer has the same label
/// after a restart, and another one on another host; without the id nobody can try names out.
struct Namer(hmac::Key);

impl Namer {
    fn new(root: &Root) -> Self {
        // Without an id the hash would be the same everywhere, which is still not the name.
        let id = root.bytes("/etc/machine-id").unwrap_or_default();
        Self(hmac::Key::new(hmac::HMAC_SHA256, id.trim_ascii()))
    }

    fn name(&self, secret: &[u8]) -> String {
        let hash = hmac::sign(&self.0, secret);
        hash.as_ref().iter().take(SHOWN_BYTES).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A peer or client to show.
struct Shown<'a> {
    place: &'a str,
    name: String,
    receive_bytes: u64,
    transmit_bytes: u64,
    handshake: u64,
}

/// Writes WireGuard's peers and OpenVPN's clients.
pub fn render(all: &[Seen], root: &Root, page: &mut Page) {
    let namer = Namer::new(root);
    let (mut peers, mut clients) = (Vec::new(), Vec::new());
    for seen in all {
        let place = seen.instance.label.as_str();
        match &seen.reading.details {
            Details::WireGuard(device) => peers.extend(device.peers.iter().map(|peer| Shown {
                place,
                name: namer.name(&peer.key),
                receive_bytes: peer.receive_bytes,
                transmit_bytes: peer.transmit_bytes,
                handshake: peer.handshake,
            })),
            Details::OpenVpn(found) => {
                clients.extend(found.status.by_name().into_iter().map(|(name, (receive_bytes, transmit_bytes))| {
                    Shown { place, name: namer.name(name.as_bytes()), receive_bytes, transmit_bytes, handshake: 0 }
                }));
            }
            _ => {}
        }
    }
    for shown in [&mut peers, &mut clients] {
        shown.sort_unstable_by(|a, b| (a.place, &a.name).cmp(&(b.place, &b.name)));
        shown.truncate(MAX_SHOWN);
    }
    let mut write = |name, kind, help, labels: [&'static str; 2], shown: &[Shown<'_>], value: fn(&Shown<'_>) -> u64| {
        let mut family = page.family(name, kind, help);
        for one in shown {
            family.sample(&[(labels[0], one.place), (labels[1], &one.name)], value(one));
        }
    };
    let (peer, client) = (["device", "peer"], ["instance", "client"]);
    let counter = Kind::Counter;
    write("vpn_wireguard_peer_receive_bytes_total", counter, "Bytes from the peer.", peer, &peers, |p| p.receive_bytes);
    write("vpn_wireguard_peer_transmit_bytes_total", counter, "Bytes to the peer.", peer, &peers, |p| p.transmit_bytes);
    let help = "When the peer's latest handshake was, in Unix time; 0 when there was none.";
    write("vpn_wireguard_peer_handshake_timestamp_seconds", Kind::Gauge, help, peer, &peers, |p| p.handshake);
    let help = "Bytes from the client, in its present sessions.";
    write("vpn_openvpn_client_receive_bytes_total", counter, help, client, &clients, |c| c.receive_bytes);
    let help = "Bytes to the client, in its present sessions.";
    write("vpn_openvpn_client_transmit_bytes_total", counter, help, client, &clients, |c| c.transmit_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stable_here_and_another_elsewhere() {
        let host = |id: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("etc")).unwrap();
            std::fs::write(dir.path().join("etc/machine-id"), id).unwrap();
            Namer::new(&Root::new(dir.path())).name(b"laptop")
        };
        assert_eq!(host("a\n"), host("a"));
        assert_ne!(host("a"), host("b"));
        assert_eq!(host("a").len(), 2 * SHOWN_BYTES);
    }
}
