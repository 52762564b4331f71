//! What fills up on a busy VPN host: the connection table, sockets, and queues that drop packets.
//!
//! Single values of node_exporter's `conntrack`, `sockstat`, `netstat` and `softnet` collectors. A source that
//! the kernel does not have, such as connection tracking, is left out; that is no failure.

use std::io::ErrorKind;

use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

const CONNTRACK_ENTRIES: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const CONNTRACK_LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const SOCKSTAT: &str = "/proc/net/sockstat";
const SNMP: &str = "/proc/net/snmp";
const SOFTNET: &str = "/proc/net/softnet_stat";

/// Reads all sources and writes their families.
///
/// # Errors
/// A source that is there cannot be read or parsed.
pub fn sample(root: &Root, page: &mut Page) -> Result<(), SampleError> {
    if let Some(entries) = optional(root, CONNTRACK_ENTRIES)? {
        page.gauge("node_nf_conntrack_entries", "Connections that are tracked.", number(CONNTRACK_ENTRIES, &entries)?);
        let limit = root.text(CONNTRACK_LIMIT)?;
        page.gauge(
            "node_nf_conntrack_entries_limit",
            "Connections that can be tracked; new ones are dropped beyond.",
            number(CONNTRACK_LIMIT, &limit)?,
        );
    }
    if let Some(text) = optional(root, SOCKSTAT)? {
        page.gauge("node_sockstat_TCP_inuse", "TCP sockets in use over IPv4.", parse_sockstat(&text)?);
    }
    if let Some(text) = optional(root, SNMP)? {
        let (established, dropped) = parse_snmp(&text)?;
        let mut untyped = |name, help, value: u64| page.family(name, Kind::Untyped, help).sample(&[], value);
        untyped("node_netstat_Tcp_CurrEstab", "TCP connections that are established.", established);
        untyped("node_netstat_Udp_RcvbufErrors", "UDP packets dropped because a receive buffer was full.", dropped);
    }
    if let Some(text) = optional(root, SOFTNET)? {
        let dropped = parse_softnet(&text)?;
        let help = "Packets that each CPU has dropped because its queue was full.";
        let mut family = page.family("node_softnet_dropped_total", Kind::Counter, help);
        for (cpu, dropped) in dropped.iter().enumerate() {
            family.sample(&[("cpu", &cpu.to_string())], *dropped);
        }
    }
    Ok(())
}

fn optional(root: &Root, file: &str) -> Result<Option<String>, SampleError> {
    match root.text(file) {
        Ok(text) => Ok(Some(text)),
        Err(SampleError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(file: &str, text: &str) -> Result<u64, SampleError> {
    text.trim().parse().map_err(|_| SampleError::parse(file, "not a number"))
}

/// Takes the TCP sockets in use out of `/proc/net/sockstat`: lines of a protocol, then names and values in turn.
///
/// # Errors
/// The number is missing.
pub fn parse_sockstat(text: &str) -> Result<u64, SampleError> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    words.by_ref().find(|word| *word == "inuse");
    let parsed = words.next().and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| SampleError::parse(SOCKSTAT, "no number for TCP inuse"))
}

/// Takes `Tcp CurrEstab` and `Udp RcvbufErrors` out of `/proc/net/snmp`: for each protocol a line of names and
/// one of values.
///
/// # Errors
/// One of them is missing.
pub fn parse_snmp(text: &str) -> Result<(u64, u64), SampleError> {
    let value = |protocol: &str, name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let at = names.split(' ').position(|column| column == name);
        let parsed = at.and_then(|at| values.split(' ').nth(at)).and_then(|value| value.parse().ok());
        parsed.ok_or_else(|| SampleError::parse(SNMP, format_args!("no number for {protocol} {name}")))
    };
    Ok((value("Tcp", "CurrEstab")?, value("Udp", "RcvbufErrors")?))
}

/// Takes the second column of `/proc/net/softnet_stat`, one line per CPU that is online. Like node_exporter,
/// the line's number is the CPU's.
///
/// # Errors
/// A line has no such number.
pub fn parse_softnet(text: &str) -> Result<Vec<u64>, SampleError> {
    let dropped = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok();
    text.lines()
        .map(|line| dropped(line).ok_or_else(|| SampleError::parse(SOFTNET, "a line has no second number")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP_TEXT: &str = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn CurrEstab\nTcp: 1 -1 42\n\
        Udp: InDatagrams RcvbufErrors\nUdp: 5 7\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 9\n";

    #[test]
    fn values_are_found_by_name() {
        let text = "sockets: used 111\nTCP: inuse 9 orphan 0\nUDP: inuse 3 mem 0\nUDPLITE: inuse 8\n";
        assert_eq!(parse_sockstat(text).unwrap(), 9);
        assert_eq!(parse_snmp(SNMP_TEXT).unwrap(), (42, 7));
        assert_eq!(parse_softnet("000610f0 00000000 1\n00057ea7 0000001f 1\n").unwrap(), [0, 31]);
    }

    #[test]
    fn a_kernel_without_any_of_it_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut page = Page::new();
        sample(&Root::new(dir.path()), &mut page).unwrap();
        assert!(page.into_text().is_empty());
    }

    #[test]
    fn bad_files_are_errors() {
        for bad in ["", "TCP: inuse\nUDP: inuse 1\n", "TCP: inuse x\n", "TCP: orphan 1\n"] {
            assert!(parse_sockstat(bad).is_err(), "{bad:?}");
        }
        for end in 0..SNMP_TEXT.len() {
            let _ = parse_snmp(&SNMP_TEXT[..end]);
        }
        assert!(parse_snmp("Tcp: CurrEstab\nTcp: -1\n").is_err());
        assert!(parse_softnet("x\n").is_err() && parse_softnet("1 zz\n").is_err());
    }
}
