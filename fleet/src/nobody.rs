//! Addresses where no exporter can be, but perhaps something else that answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The prefix under which a translator reaches IPv4 (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
/// The same for translators of one's own network, where it is 48 bits long (RFC 8215).
const TRANSLATED_LOCALLY: [u16; 3] = [0x64, 0xff9b, 1];
/// Where clouds tell a machine about itself, beside the link-local 169.254.169.254: Alibaba, Azure, Oracle; AWS, Google,
/// Scaleway.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

/// True for an address that belongs to a link, a group, nobody, or a cloud's metadata service, in whichever way it is
/// written: nothing is ever scraped there.
pub fn is_nobody(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => {
            let within = embedded(v6).is_some_and(|v4| is_nobody(IpAddr::V4(v4)));
            within || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

/// The IPv4 address that an IPv6 one stands for.
pub(crate) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let [.., a, b] = parts;
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts {
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ if parts.starts_with(&TRANSLATED) || parts.starts_with(&TRANSLATED_LOCALLY) => Some(v4(a, b)),
        // "IPv4-compatible", long given up (RFC 4291, section 2.5.5.1); `::` and `::1` are no such.
        [0, 0, 0, 0, 0, 0, high, _] if high > 0 => Some(v4(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_can_be_an_exporter_is_somebody() {
        for somebody in ["192.0.2.1", "10.0.0.1", "127.0.0.1", "::1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201"] {
            assert!(!is_nobody(somebody.parse().unwrap()), "{somebody}");
        }
        for nobody in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd20:ce::254",
            "fd00:42::42",
            "64:ff9b:1::a9fe:a9fe",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert!(is_nobody(nobody.parse().unwrap()), "{nobody}");
        }
    }
}
