//! Sockets by the kernel's own question for them: linux/sock_diag.h, linux/inet_diag.h. Open to every user.
//!
//! `/proc/net/tcp` says the same, but the kernel walks its whole table of connections for it, which takes ten
//! milliseconds and more on a host with much memory, however few connections there are. Asked for listening
//! sockets alone it answers in microseconds.

use std::io;
use std::time::Duration;

use rustix::net::netlink;

use crate::config::Transport;
use crate::netlink::{DUMP, Netlink, request};

use super::{ESTABLISHED, LISTEN, UNCONNECTED};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const FAMILIES: [u8; 2] = [2, 10];
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// Bytes of `struct inet_diag_sockid`, all of which stay zero in a question.
const ID_BYTES: usize = 48;

/// A socket that the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its port here.
    pub port: u16,
    /// As `/proc/net/tcp` has it.
    pub state: u8,
    /// Address of the other side; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// Whether the address is IPv6.
    pub is_ipv6: bool,
}

/// Hands all sockets of a transport to `take`; established connections only when they are wanted, because they
/// are what may be many.
///
/// # Errors
/// The kernel was built without this, or a sandbox forbids it.
pub fn dump(transport: Transport, connections: bool, budget: Duration, mut take: impl FnMut(Found)) -> io::Result<()> {
    let socket = Netlink::open(Some(netlink::SOCK_DIAG), budget)?;
    let (protocol, states) = match transport {
        Transport::Tcp if connections => (IPPROTO_TCP, 1 << LISTEN | 1 << ESTABLISHED),
        Transport::Tcp => (IPPROTO_TCP, 1 << LISTEN),
        Transport::Udp => (IPPROTO_UDP, 1 << UNCONNECTED),
    };
    for family in FAMILIES {
        let mut payload = vec![family, protocol, 0, 0];
        payload.extend_from_slice(&u32::to_ne_bytes(states));
        payload.resize(payload.len() + ID_BYTES, 0);
        socket.ask(&request(SOCK_DIAG_BY_FAMILY, DUMP, &payload), |message| {
            if let Some(found) = parse(message) {
                take(found);
            }
        })?;
    }
    Ok(())
}

/// `struct inet_diag_msg`: family, state, timer, retransmits, both ports and both addresses.
fn parse(message: &[u8]) -> Option<Found> {
    let [family, state, _, _, port @ ..] = message else { return None };
    let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
    let remote = message.get(24..40)?.try_into().ok()?;
    Some(Found { port, state: *state, remote, is_ipv6: *family == FAMILIES[1] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    const BUDGET: Duration = Duration::from_secs(5);

    fn all(transport: Transport, connections: bool) -> Vec<Found> {
        let mut found = Vec::new();
        dump(transport, connections, BUDGET, |one| found.push(one)).unwrap();
        found
    }

    /// The real kernel, about sockets of ours.
    #[test]
    fn sockets_are_found_in_their_states() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let of_port = |found: Vec<Found>| found.into_iter().filter(|one| one.port == port).collect::<Vec<_>>();
        assert_eq!(of_port(all(Transport::Tcp, false)).len(), 1);
        let connections = of_port(all(Transport::Tcp, true));
        let established: Vec<&Found> = connections.iter().filter(|one| one.state == ESTABLISHED).collect();
        assert_eq!(established.len(), 1, "{connections:?}");
        assert_eq!(established[0].remote[..4], [127, 0, 0, 1]);
        drop(client);

        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let found = all(Transport::Udp, false);
        assert!(found.iter().any(|one| one.port == port && one.is_ipv6 && one.state == UNCONNECTED));
        // A connected one takes packets of one peer only.
        let other = UdpSocket::bind("[::1]:0").unwrap();
        udp.connect(other.local_addr().unwrap()).unwrap();
        assert!(!all(Transport::Udp, false).iter().any(|one| one.port == port));
    }

    #[test]
    fn short_messages_are_nothing() {
        for length in 0..40 {
            assert_eq!(parse(&vec![0; length]), None);
        }
        assert!(parse(&[0; 72]).is_some());
    }
}
