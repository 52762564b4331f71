//! Writes the families that all services share, and those of each kind.

use std::collections::BTreeMap;

use crate::config::{PerPeer, Port, Service};
use crate::page::{Kind, Page};
use crate::root::Root;

use super::{Details, Seen, Traffic, openvpn, peers, squid, wireguard, xray};

/// Writes what only one kind of service has.
pub fn render_service(service: Service, all: &[Seen], now: u64, page: &mut Page) {
    fn named<'a, T>(all: &'a [Seen], take: impl Fn(&'a Details) -> Option<&'a T>) -> Vec<(&'a str, &'a T)> {
        all.iter().filter_map(|seen| Some((seen.instance.label.as_str(), take(&seen.reading.details)?))).collect()
    }
    match service {
        Service::Wg => wireguard::render(
            &named(all, |details| if let Details::WireGuard(found) = details { Some(found) } else { None }),
            now,
            page,
        ),
        Service::Ov => openvpn::render(
            &named(all, |details| if let Details::OpenVpn(found) = details { Some(found) } else { None }),
            page,
        ),
        Service::Sq => squid::render(
            &named(all, |details| if let Details::Squid(found) = details { Some(found) } else { None }),
            page,
        ),
        Service::Vr => xray::render(
            &named(all, |details| if let Details::Xray(found) = details { Some(found) } else { None }),
            page,
        ),
    }
}

/// Writes what all services share, and single peers where they are wanted.
pub fn render(all: &[Seen], per_peer: PerPeer, root: &Root, page: &mut Page) {
    let mut family = page.family(
        "vpn_service_health",
        Kind::Gauge,
        "How well the service does: 1 unit active, 2 process alive, 3 socket bound, 4 control channel answers, 5 data \
         moves; 0 none.",
    );
    for seen in all {
        // A device without a unit stands for itself.
        let labels = [("service", seen.instance.service.id()), ("unit", seen.instance.title())];
        family.sample(&labels, u64::from(seen.evidence.rung()));
    }
    render_listening(all, page);
    render_gauge(all, "vpn_sessions", "Clients that are connected.", |seen| seen.reading.sessions, page);
    render_gauge(
        all,
        "vpn_session_limit",
        "Clients that may be connected at a time.",
        |seen| seen.reading.session_limit,
        page,
    );
    render_bytes(all, "vpn_service_receive_bytes_total", "Bytes from clients.", |traffic| traffic.receive_bytes, page);
    render_bytes(all, "vpn_service_transmit_bytes_total", "Bytes to clients.", |traffic| traffic.transmit_bytes, page);
    if per_peer == PerPeer::Hashed {
        peers::render(all, root, page);
    }
}

/// Two instances may name the same port: it is shown once.
fn render_listening(all: &[Seen], page: &mut Page) {
    let mut ports: BTreeMap<(Service, Port), bool> = BTreeMap::new();
    for seen in all {
        for (port, bound) in &seen.listening {
            *ports.entry((seen.instance.service, *port)).or_default() |= bound;
        }
    }
    let mut family =
        page.family("vpn_service_listening", Kind::Gauge, "Whether the port that clients connect to is bound.");
    for ((service, port), bound) in ports {
        let number = port.number.to_string();
        let labels = [("service", service.id()), ("transport", port.transport.name()), ("port", number.as_str())];
        family.sample(&labels, bound);
    }
}

fn render_gauge(
    all: &[Seen],
    name: &'static str,
    help: &'static str,
    value: impl Fn(&Seen) -> Option<u64>,
    page: &mut Page,
) {
    let mut family = page.family(name, Kind::Gauge, help);
    for seen in all {
        if let Some(value) = value(seen) {
            family.sample(&labels(seen), value);
        }
    }
}

fn render_bytes(all: &[Seen], name: &'static str, help: &'static str, value: fn(Traffic) -> u64, page: &mut Page) {
    let mut family = page.family(name, Kind::Counter, help);
    for seen in all {
        if let Some(traffic) = seen.reading.traffic {
            family.sample(&labels(seen), value(traffic));
        }
    }
}

fn labels(seen: &Seen) -> [(&'static str, &str); 2] {
    [("service", seen.instance.service.id()), ("instance", &seen.instance.label)]
}
