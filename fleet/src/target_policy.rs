//! Which addresses may be scraped.
//!
//! Whoever names a target makes the collector send a request there, with credentials perhaps, and shows what comes back.
//! So a target must not lead where only this machine or its neighbours can go: never to a link, a group, a cloud's
//! metadata service or the collector itself, and inside only into networks that the operator opens.
//!
//! Asked twice: when a target is named by an address, so that the mistake is told at once; and of the address that is
//! connected to, because a name leads wherever its owner says, each time anew. Must not know sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use crate::endpoint::Endpoint;
use crate::network::Network;
use crate::nobody::{embedded, is_nobody};

const LOOPBACK: &str = "a loopback address";
const PRIVATE: &str = "a private address";
const SHARED: &str = "an address of a provider's inner network";
const UNIQUE_LOCAL: &str = "a unique local address";
const RESERVED: &str = "an address outside of the Internet";

/// What is not reached from the Internet, and what it is called (RFC 6890 and the registries that it founded). Networks
/// for documentation are left out: nothing is there.
const INSIDE: [(Network, &str); 13] = [
    (Network::v4([127, 0, 0, 0], 8), LOOPBACK),
    (Network::v6(1, 128), LOOPBACK),
    (Network::v4([10, 0, 0, 0], 8), PRIVATE),
    (Network::v4([172, 16, 0, 0], 12), PRIVATE),
    (Network::v4([192, 168, 0, 0], 16), PRIVATE),
    (Network::v4([100, 64, 0, 0], 10), SHARED),
    (Network::v6(0xfc << 120, 7), UNIQUE_LOCAL),
    (Network::v6(0xfec << 116, 10), RESERVED),
    (Network::v4([0, 0, 0, 0], 8), RESERVED),
    (Network::v4([192, 0, 0, 0], 24), RESERVED),
    (Network::v4([198, 18, 0, 0], 15), RESERVED),
    (Network::v4([240, 0, 0, 0], 4), RESERVED),
    (Network::v6(1 << 120, 64), RESERVED),
];

/// Where exporters stand in networks of one's own.
const OPEN_BY_DEFAULT: [Network; 5] = [
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 168, 0, 0], 16),
    Network::v4([100, 64, 0, 0], 10),
    Network::v6(0xfc << 120, 7),
];

/// Why an address is not scraped. Displays as what is wrong and what to do, for behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// See [`is_nobody`]. No setting allows it.
    #[error("no exporter can be there; give the address of one host")]
    Nobody,
    /// It is inside, and its network is not opened; holds what it is called.
    #[error("{0} is scraped only if `inside_networks` in [scrape] holds it")]
    Inside(&'static str),
    /// The collector's own pages are there. No setting allows it.
    #[error("this collector itself listens there; give the address of an exporter")]
    Ourselves,
    /// It is an address of the collector's own host, where services may listen for that host alone.
    #[error("the collector's own host is scraped only if `inside_networks` in [scrape] holds this very address")]
    OwnHost,
}

/// Where the collector takes connections.
#[derive(Debug, Clone, Copy)]
struct Listener {
    address: SocketAddr,
    is_here: fn(IpAddr) -> bool,
}

/// The rule. By default private networks (RFC 1918, 100.64.0.0/10, fc00::/7) are open and loopback is not.
#[derive(Debug)]
pub struct TargetPolicy {
    inside: Vec<Network>,
    opens_own_host: bool,
    listener: OnceLock<Listener>,
}

impl Default for TargetPolicy {
    fn default() -> Self {
        Self::new(OPEN_BY_DEFAULT.to_vec())
    }
}

impl TargetPolicy {
    /// The networks that are open by default.
    pub fn default_networks() -> Vec<Network> {
        OPEN_BY_DEFAULT.to_vec()
    }

    /// A policy that allows what is inside only in the networks `inside`.
    pub const fn new(inside: Vec<Network>) -> Self {
        Self { inside, opens_own_host: false, listener: OnceLock::new() }
    }

    /// Allows everything inside: for addresses that the operator gives by hand.
    pub fn for_operators() -> Self {
        let inside = vec![Network::v4([0, 0, 0, 0], 0), Network::v6(0, 0)];
        Self { opens_own_host: true, ..Self::new(inside) }
    }

    /// From now on `address`, where the collector takes connections, is not scraped, nor is any other service on this machine
    /// whose address is not opened by itself. The first call counts. `is_here` tells whether an address belongs to this machine.
    pub fn deny_listener(&self, address: SocketAddr, is_here: fn(IpAddr) -> bool) {
        // Only one listener there is.
        let _ = self.listener.set(Listener { address, is_here });
    }

    /// May `address` be connected to, to scrape it?
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: SocketAddr) -> Result<(), Denied> {
        let ip = address.ip().to_canonical();
        if is_nobody(ip) {
            return Err(Denied::Nobody);
        }
        if self.listener.get().is_some_and(|listener| listener.is_at(ip, address.port())) {
            return Err(Denied::Ourselves);
        }
        let stands_for = match ip {
            IpAddr::V6(v6) => embedded(v6).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        let forms = [Some(ip), stands_for];
        if self.is_own(forms) {
            return Err(Denied::OwnHost);
        }
        // The address that it stands for says more than the form in which it is written.
        let inside = forms.into_iter().flatten().rev().find_map(kind);
        let is_open = || forms.into_iter().flatten().any(|ip| self.inside.iter().any(|network| network.contains(ip)));
        match inside {
            Some(kind) if !is_open() => Err(Denied::Inside(kind)),
            _ => Ok(()),
        }
    }

    /// True for an address of the own host that the operator has not opened by itself. Loopback is a network like others.
    fn is_own(&self, forms: [Option<IpAddr>; 2]) -> bool {
        let Some(listener) = self.listener.get().filter(|_| !self.opens_own_host) else { return false };
        let is_open = |ip: IpAddr| self.inside.iter().any(|network| network.is_only(ip));
        forms.into_iter().flatten().any(|ip| !ip.is_loopback() && !is_open(ip) && (listener.is_here)(ip))
    }

    /// The same for an endpoint. One with a name passes: where it leads is known when it is connected to.
    ///
    /// # Errors
    /// Why it may not be scraped.
    pub fn check_endpoint(&self, endpoint: &Endpoint) -> Result<(), Denied> {
        endpoint.ip().map_or(Ok(()), |ip| self.check(SocketAddr::new(ip, endpoint.port())))
    }
}

impl Listener {
    fn is_at(&self, ip: IpAddr, port: u16) -> bool {
        let own = self.address.ip().to_canonical();
        // Asked first, because the rest may ask the system.
        if port != self.address.port() {
            return false;
        }
        match own {
            IpAddr::V4(all) if all.is_unspecified() => ip.is_ipv4() && (self.is_here)(ip),
            // Takes IPv4 too.
            IpAddr::V6(all) if all.is_unspecified() => (self.is_here)(ip),
            one => one == ip,
        }
    }
}

/// What an address inside is called; `None` for one of the Internet.
fn kind(ip: IpAddr) -> Option<&'static str> {
    INSIDE.iter().find(|(network, _)| network.contains(ip)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str]) -> TargetPolicy {
        TargetPolicy::new(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    fn judge(policy: &TargetPolicy, ip: &str) -> Result<(), Denied> {
        policy.check(SocketAddr::new(ip.parse().unwrap(), 9776))
    }

    #[test]
    fn by_default_private_networks_are_open_and_loopback_is_not() {
        let policy = TargetPolicy::default();
        for open in
            ["192.0.2.1", "198.51.100.7", "2001:db8::1", "9.255.255.255", "172.32.0.1", "100.128.0.1", "192.0.1.1"]
        {
            assert_eq!(judge(&policy, open), Ok(()), "{open}");
        }
        for private in ["10.0.0.1", "172.31.255.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"] {
            assert_eq!(judge(&policy, private), Ok(()), "{private}");
        }
        for (inside, kind) in [
            ("127.0.0.1", LOOPBACK),
            ("127.255.0.9", LOOPBACK),
            ("::1", LOOPBACK),
            ("::ffff:127.0.0.1", LOOPBACK),
            ("64:ff9b::7f00:1", LOOPBACK),
            ("2002:7f00:1::1", LOOPBACK),
            ("fec0::1", RESERVED),
            ("0.1.2.3", RESERVED),
            ("198.19.0.1", RESERVED),
            ("240.0.0.1", RESERVED),
        ] {
            assert_eq!(judge(&policy, inside), Err(Denied::Inside(kind)), "{inside}");
        }
        assert_eq!(judge(&policy, "169.254.169.254"), Err(Denied::Nobody));
    }

    #[test]
    fn what_is_named_is_open_and_nothing_else_inside() {
        let policy = policy(&["127.0.0.0/8", "10.1.0.0/16", "::1"]);
        for open in ["127.0.0.1", "::1", "10.1.2.3", "64:ff9b::a01:203", "203.0.113.1", "2a00::1"] {
            assert_eq!(judge(&policy, open), Ok(()), "{open}");
        }
        for (inside, kind) in [
            ("10.2.0.1", PRIVATE),
            ("192.168.0.1", PRIVATE),
            ("100.64.0.1", SHARED),
            ("fd00::1", UNIQUE_LOCAL),
            ("64:ff9b::a02:1", PRIVATE),
        ] {
            assert_eq!(judge(&policy, inside), Err(Denied::Inside(kind)), "{inside}");
        }
    }

    #[test]
    fn nothing_opens_what_belongs_to_nobody() {
        let policy = TargetPolicy::for_operators();
        for nobody in ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "100.100.100.200", "fd00:ec2::254"] {
            assert_eq!(judge(&policy, nobody), Err(Denied::Nobody), "{nobody}");
        }
        for inside in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1"] {
            assert_eq!(judge(&policy, inside), Ok(()), "{inside}");
        }
    }

    #[test]
    fn the_collector_does_not_scrape_itself() {
        let check = |listener: &str, target: &str| {
            let policy = TargetPolicy::for_operators();
            // Stands for a machine with these addresses.
            let is_here = |ip: IpAddr| ip.is_loopback() || ["10.0.0.5", "fd00::5"].contains(&&*ip.to_string());
            policy.deny_listener(listener.parse().unwrap(), is_here);
            policy.check(target.parse().unwrap())
        };
        for (listener, target) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("127.0.0.1:8000", "[::ffff:127.0.0.1]:8000"),
            ("0.0.0.0:8000", "127.0.0.7:8000"),
            ("0.0.0.0:8000", "10.0.0.5:8000"),
            ("[::]:8000", "10.0.0.5:8000"),
            ("[::]:8000", "[fd00::5]:8000"),
            ("[::]:8000", "[::1]:8000"),
        ] {
            assert_eq!(check(listener, target), Err(Denied::Ourselves), "{target} by {listener}");
        }
        for (listener, target) in [
            ("127.0.0.1:8000", "127.0.0.1:9776"),
            ("127.0.0.1:8000", "127.0.0.2:8000"),
            ("0.0.0.0:8000", "10.0.0.6:8000"),
            ("0.0.0.0:8000", "[::1]:8000"),
        ] {
            assert_eq!(check(listener, target), Ok(()), "{target} by {listener}");
        }
    }

    #[test]
    fn the_own_host_is_open_where_it_is_named() {
        let is_here = |ip: IpAddr| ["10.0.0.5", "203.0.113.5", "2a00::5"].contains(&&*ip.to_string());
        for (networks, target, is_open) in [
            (&["10.0.0.0/8"][..], "10.0.0.5:27017", false),
            (&["10.0.0.0/8"], "203.0.113.5:22", false),
            (&["10.0.0.0/8"], "[2a00::5]:9776", false),
            (&["10.0.0.0/8"], "[::ffff:10.0.0.5]:9776", false),
            (&["10.0.0.0/8"], "[64:ff9b::a00:5]:9776", false),
            (&["10.0.0.0/8"], "10.0.0.6:9776", true),
            (&["10.0.0.0/8", "10.0.0.5"], "10.0.0.5:9776", true),
            (&["10.0.0.5/32", "203.0.113.5", "2a00::5"], "203.0.113.5:9776", true),
            (&["10.0.0.5/32", "203.0.113.5", "2a00::5"], "[2a00::5]:9776", true),
            (&["0.0.0.0/0"], "10.0.0.5:9776", false),
        ] {
            let policy = policy(networks);
            policy.deny_listener("127.0.0.1:8000".parse().unwrap(), is_here);
            assert_eq!(policy.check(target.parse().unwrap()).is_ok(), is_open, "{target} by {networks:?}");
        }
    }

    #[test]
    fn a_name_passes_and_an_address_does_not() {
        let policy = TargetPolicy::default();
        let check = |endpoint: &str| policy.check_endpoint(&endpoint.parse().unwrap());
        assert_eq!(check("localhost:9776"), Ok(()));
        let denied = check("https://[::1]:9776/metrics").unwrap_err().to_string();
        assert!(denied.contains("loopback") && denied.contains("`inside_networks` in [scrape]"), "{denied}");
    }
}
