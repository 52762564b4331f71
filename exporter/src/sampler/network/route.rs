//! Which device the default route uses, from the kernel's IPv4 and IPv6 routing tables.

use crate::root::Root;

use super::device::is_tunnel;

const IPV4: &str = "/proc/net/route";
const IPV6: &str = "/proc/net/ipv6_route";

/// The route is usable (`RTF_UP`, linux/route.h).
const UP: u32 = 0x0001;
/// The route refuses packets (`RTF_REJECT`).
const REJECT: u32 = 0x0200;

/// Device of the default route: IPv4 first, IPv6 on hosts without IPv4. A missing table (no IPv6, a
/// sandbox) is the same as an empty one.
pub fn default_device(root: &Root) -> Option<String> {
    let find =
        |file, parse: fn(&str) -> Option<&str>| root.text(file).ok().and_then(|table| parse(&table).map(str::to_owned));
    find(IPV4, parse_ipv4).or_else(|| find(IPV6, parse_ipv6))
}

/// A default route.
struct Route<'a> {
    device: &'a str,
    metric: u32,
}

/// Takes the best default route out of `/proc/net/route`. Lines that make no sense are skipped.
pub fn parse_ipv4(table: &str) -> Option<&str> {
    best(table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let device = fields.next()?;
        let destination = hex(fields.next()?)?;
        let flags = hex(fields.nth(1)?)?;
        let metric = fields.nth(2)?.parse().ok()?;
        let mask = hex(fields.next()?)?;
        (destination == 0 && mask == 0 && usable(flags)).then_some(Route { device, metric })
    }))
}

/// Takes the best default route out of `/proc/net/ipv6_route`. Lines that make no sense are skipped.
pub fn parse_ipv6(table: &str) -> Option<&str> {
    best(table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let destination = fields.next()?;
        let prefix = hex(fields.next()?)?;
        let metric = hex(fields.nth(3)?)?;
        let flags = hex(fields.nth(2)?)?;
        let device = fields.next()?;
        // The kernel keeps a rejecting default route on lo for unreachable destinations.
        let default = prefix == 0 && destination.bytes().all(|digit| digit == b'0');
        (default && usable(flags) && device != "lo").then_some(Route { device, metric })
    }))
}

/// A tunnel comes last: when the host itself sends everything through one, the bottleneck is still the
/// wire below it. Among equals the lowest metric wins, as in the kernel.
fn best<'a>(routes: impl Iterator<Item = Route<'a>>) -> Option<&'a str> {
    routes.min_by_key(|route| (is_tunnel(route.device), route.metric)).map(|route| route.device)
}

fn usable(flags: u32) -> bool {
    flags & UP != 0 && flags & REJECT == 0
}

fn hex(field: &str) -> Option<u32> {
    u32::from_str_radix(field, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    fn ipv4(lines: &str) -> Option<String> {
        parse_ipv4(&format!("{HEAD}{lines}")).map(str::to_owned)
    }

    #[test]
    fn the_lowest_metric_wins_and_other_routes_do_not_count() {
        let lines = "docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n\
                     wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\n\
                     eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n\
                     eth1 00000000 00000000 0200 0 0 0 00000000 0 0 0\n\
                     tun0 00000000 0100080A 0003 0 0 0 00000080 0 0 0\n";
        assert_eq!(ipv4(lines).as_deref(), Some("eth0"));
    }

    #[test]
    fn a_tunnel_is_the_uplink_only_when_nothing_else_is() {
        let tunnel = "tun0 00000000 0100080A 0003 0 0 0 00000000 0 0 0\n";
        assert_eq!(ipv4(tunnel).as_deref(), Some("tun0"));
        assert_eq!(ipv4(&format!("{tunnel}ens3 00000000 0 0003 0 0 9 00000000 0 0 0\n")).as_deref(), Some("ens3"));
    }

    #[test]
    fn nonsense_is_skipped() {
        for lines in ["", "eth0", "eth0 0 0", "eth0 zz 0 0003 0 0 0 00000000", "eth0 0 0 3 0 0 -1 0", "\n\n"] {
            assert_eq!(ipv4(lines), None, "{lines:?}");
        }
        assert_eq!(parse_ipv6("short line\n\nzz"), None);
    }

    #[test]
    fn ipv6_ignores_the_rejecting_route_on_lo() {
        let zero = "0".repeat(32);
        let line = |metric: &str, flags: &str, device: &str| {
            format!("{zero} 00 {zero} 00 {zero} {metric} 00000001 00000000 {flags} {device}\n")
        };
        let table = line("ffffffff", "00200200", "lo")
            + &line("00000400", "00000003", "eth0")
            + &line("00000100", "00000003", "eth1");
        assert_eq!(parse_ipv6(&table), Some("eth1"));
        assert_eq!(parse_ipv6(&line("ffffffff", "00200200", "lo")), None);
    }
}
