//! A name server that says whatever a test wants: as much of RFC 1035 as the system's resolver asks for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Where it listens. Its network has no other.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
const PORT: u16 = 53;

const A: u16 = 1;
const AAAA: u16 = 28;

/// What it says of a name.
pub(crate) enum Answer {
    /// These, each to who asks for its kind.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    Missing,
    /// It cannot tell.
    Fails,
    /// Something else than an answer.
    Garbage,
}

/// Answers until the test ends. `answer` is told the name, and how often that and its kind was asked before.
pub(crate) fn start(answer: impl Fn(&str, u32) -> Answer + Send + 'static) {
    let socket = UdpSocket::bind((ADDRESS, PORT)).unwrap();
    std::thread::spawn(move || {
        let mut asked = HashMap::new();
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let Some((name, kind, question)) = question(&packet[..length]) else { continue };
            let nth = asked.entry((name.clone(), kind)).or_insert(0);
            let reply = reply(&packet[..2], kind, question, &answer(&name, *nth));
            *nth += 1;
            // Whoever asked may be gone.
            let _ = socket.send_to(&reply, from);
        }
    });
}

/// Name, kind and the whole of the first question.
fn question(packet: &[u8]) -> Option<(String, u16, &[u8])> {
    const HEADER: usize = 12;
    let (mut at, mut name) = (HEADER, String::new());
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name += std::str::from_utf8(packet.get(at..at + length)?).ok()?;
        name.push('.');
        at += length;
    }
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    Some((name.to_ascii_lowercase(), kind, packet.get(HEADER..at + 4)?))
}

fn reply(id: &[u8], kind: u16, question: &[u8], answer: &Answer) -> Vec<u8> {
    let none = Vec::new();
    let (code, addresses) = match answer {
        Answer::Addresses(addresses) => (0, addresses),
        Answer::Fails => (2, &none),
        Answer::Missing => (3, &none),
        Answer::Garbage => return [id, b"\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x0c\xc0\x0c garbage"].concat(),
    };
    let wanted = addresses.iter().filter_map(|address| match (kind, address) {
        (A, IpAddr::V4(v4)) => Some(v4.octets().to_vec()),
        (AAAA, IpAddr::V6(v6)) => Some(v6.octets().to_vec()),
        _ => None,
    });
    let wanted: Vec<_> = wanted.collect();
    let mut reply = [id, &[0x81, 0x80 | code, 0, 1, 0, wanted.len() as u8, 0, 0, 0, 0], question].concat();
    for address in wanted {
        // The name of the question; class IN; not to be kept.
        reply.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 0, 0, address.len() as u8]);
        reply.extend(address);
    }
    reply
}
