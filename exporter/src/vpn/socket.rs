//! Which ports are bound and who is connected to them: asked from the kernel ([`diag`]), or read from
//! `/proc/net/{tcp,udp}[6]` where it cannot be asked.

pub mod diag;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{Port, Transport};
use crate::root::Root;

/// Transports and their tables. A host without IPv6, or without IPv4, lacks some.
const TABLES: [(Transport, [&str; 2]); 2] =
    [(Transport::Tcp, ["/proc/net/tcp", "/proc/net/tcp6"]), (Transport::Udp, ["/proc/net/udp", "/proc/net/udp6"])];

/// Most addresses counted per port: a flood of connections must not fill our memory.
const MAX_CLIENTS: usize = 65_536;

/// Longest wait for the kernel, which answers at once.
const BUDGET: Duration = Duration::from_millis(500);

/// Most lines read per table, so that a flood of connections cannot hold the page up: at about a
/// microsecond each this is the sampler's budget. Listening sockets come first in the kernel's order.
const MAX_LINES: usize = 200_000;

/// Socket states, linux/tcp_states.h.
const ESTABLISHED: u8 = 0x01;
const LISTEN: u8 = 0x0A;
/// What an unconnected UDP socket is in.
const UNCONNECTED: u8 = 0x07;

/// What is known of the ports asked about.
#[derive(Debug, Default)]
pub struct Sockets {
    bound: BTreeSet<Port>,
    /// Addresses connected to a TCP port; one way to write them is as good as another.
    remotes: BTreeMap<u16, HashSet<String>>,
}

/// One line of a table.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    port: u16,
    remote: &'a str,
    state: u8,
}

impl Sockets {
    /// Looks for the ports `watched`; who is connected to them is only found out for those `counted`.
    ///
    /// A connection to the host itself does not count as a client.
    pub fn read(root: &Root, watched: &BTreeSet<Port>, counted: &BTreeSet<Port>) -> Self {
        let mut sockets = Self::default();
        for (transport, files) in TABLES {
            if !watched.iter().any(|port| port.transport == transport) {
                continue;
            }
            if root.is_own() && sockets.ask(transport, watched, counted).is_ok() {
                continue;
            }
            // Streamed: on a busy host these have megabytes.
            for file in files {
                if let Ok(file) = File::open(root.path(file)) {
                    sockets.take(BufReader::new(file), transport, watched);
                }
            }
        }
        sockets
    }

    fn ask(&mut self, transport: Transport, watched: &BTreeSet<Port>, counted: &BTreeSet<Port>) -> io::Result<()> {
        diag::dump(transport, !counted.is_empty(), BUDGET, |found| {
            let port = Port { transport, number: found.port };
            match (transport, found.state) {
                _ if !watched.contains(&port) => {}
                (Transport::Tcp, ESTABLISHED) => {
                    let address = address(&found);
                    if !address.is_loopback() {
                        self.add_client(found.port, address.to_string());
                    }
                }
                _ => {
                    self.bound.insert(port);
                }
            }
        })
    }

    fn take(&mut self, mut table: impl BufRead, transport: Transport, watched: &BTreeSet<Port>) {
        let mut text = String::new();
        for _ in 0..MAX_LINES {
            text.clear();
            // Bytes that are no text end the table as its end does.
            if !matches!(table.read_line(&mut text), Ok(1..)) {
                break;
            }
            let Some(line) = parse(&text) else { continue };
            let port = Port { transport, number: line.port };
            if !watched.contains(&port) {
                continue;
            }
            match (transport, line.state) {
                (Transport::Tcp, LISTEN) | (Transport::Udp, UNCONNECTED) => {
                    self.bound.insert(port);
                }
                (Transport::Tcp, ESTABLISHED) if !is_loopback(line.remote) => {
                    self.add_client(line.port, line.remote.to_owned());
                }
                _ => {}
            }
        }
    }

    fn add_client(&mut self, port: u16, address: String) {
        let clients = self.remotes.entry(port).or_default();
        if clients.len() < MAX_CLIENTS {
            clients.insert(address);
        }
    }

    /// Whether something is bound to the port.
    pub fn is_bound(&self, port: Port) -> bool {
        self.bound.contains(&port)
    }

    /// Number of different addresses that are connected to any of the TCP ports.
    pub fn clients(&self, ports: &[Port]) -> u64 {
        let tcp = ports.iter().filter(|port| port.transport == Transport::Tcp);
        tcp.filter_map(|port| self.remotes.get(&port.number)).flatten().collect::<HashSet<_>>().len() as u64
    }
}

/// The other side's address, an IPv4 one always as such.
fn address(found: &diag::Found) -> IpAddr {
    let [a, b, c, d, ..] = found.remote;
    if found.is_ipv6 { IpAddr::from(found.remote).to_canonical() } else { IpAddr::from([a, b, c, d]) }
}

/// Takes a line apart: `0: 0100007F:1F90 00000000:0000 0A …`. The head of the table is no such line.
fn parse(line: &str) -> Option<Line<'_>> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, port) = fields.next()?.rsplit_once(':')?;
    let (remote, _) = fields.next()?.rsplit_once(':')?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    Some(Line { port: u16::from_str_radix(port, 16).ok()?, remote, state })
}

/// Addresses are written as 32-bit words in the host's byte order, which is little-endian on all that
/// this is built for.
fn is_loopback(address: &str) -> bool {
    match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n\
        0: 00000000:0C38 00000000:0000 0A 00000000:00000000\n\
        1: 0100000A:0C38 0200000A:C001 01 00000000:00000000\n\
        2: 0100000A:0C38 0200000A:C002 01 00000000:00000000\n\
        3: 0100000A:0C38 0300000A:C002 01 00000000:00000000\n\
        4: 0100000A:0C38 0400000A:C002 06 00000000:00000000\n\
        5: 0100007F:0C38 0100007F:C003 01 00000000:00000000\n\
        6: 0100000A:0016 0900000A:C004 01 00000000:00000000\n";

    fn watched() -> BTreeSet<Port> {
        [Port::tcp(3128), Port::tcp(443), Port::udp(51820), Port::udp(1194)].into()
    }

    #[test]
    fn listeners_are_bound_and_clients_are_counted_by_address() {
        let mut sockets = Sockets::default();
        sockets.take(TCP.as_bytes(), Transport::Tcp, &watched());
        assert!(sockets.is_bound(Port::tcp(3128)) && !sockets.is_bound(Port::tcp(443)));
        assert_eq!(sockets.clients(&[Port::tcp(3128), Port::udp(1194)]), 2);
        assert_eq!(sockets.clients(&[Port::tcp(22)]), 0, "not asked about");
    }

    #[test]
    fn a_connected_udp_socket_is_not_open_for_others() {
        let mut sockets = Sockets::default();
        let table = "head\n 9: 00000000:CA6C 00000000:0000 07 0\n 10: 0100000A:04AA 0200000A:1111 01 0\n";
        sockets.take(table.as_bytes(), Transport::Udp, &watched());
        assert!(sockets.is_bound(Port::udp(51820)) && !sockets.is_bound(Port::udp(1194)));
    }

    #[test]
    fn ipv6_alone_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/net")).unwrap();
        let line = "0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A\n\
            1: 0000000000000000FFFF00000100000A:01BB 0000000000000000FFFF00000100007F:9999 01\n\
            2: 0000000000000000FFFF00000100000A:01BB 0000000000000000FFFF00000500000A:9999 01\n\
            3: B80D0120000000000000000001000000:01BB B80D0120000000000000000002000000:9999 01\n";
        std::fs::write(dir.path().join("proc/net/tcp6"), line).unwrap();
        let sockets = Sockets::read(&Root::new(dir.path()), &watched(), &watched());
        assert!(sockets.is_bound(Port::tcp(443)));
        assert_eq!(sockets.clients(&[Port::tcp(443)]), 2);
    }

    /// Asked or read, this very machine says the same.
    #[test]
    fn the_kernel_and_its_tables_agree() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::]:0").unwrap();
        let ports = [
            Port::tcp(listener.local_addr().unwrap().port()),
            Port::udp(udp.local_addr().unwrap().port()),
            Port::tcp(1),
        ];
        let watched: BTreeSet<Port> = ports.into();
        let asked = Sockets::read(&Root::new("/"), &watched, &watched);
        // Another way to name the root, so that only files are read.
        let read = Sockets::read(&Root::new("/proc/self/root"), &watched, &watched);
        assert_eq!(asked.bound, read.bound);
        assert_eq!(asked.bound.into_iter().collect::<Vec<_>>(), ports[..2]);
    }

    #[test]
    fn nonsense_is_skipped() {
        let mut sockets = Sockets::default();
        for table in [&b""[..], b"\n\n", b"0: zz 0 0A\n", b"0: 0:ZZZZ 0:0 0A\n", b"0: 0:0C38\n", b"\xff\xfe\n"] {
            sockets.take(table, Transport::Tcp, &watched());
        }
        assert!(!sockets.is_bound(Port::tcp(3128)));
    }
}
