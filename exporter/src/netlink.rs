//! Questions to the kernel over netlink: linux/netlink.h. Knows nothing of what is asked.
//!
//! The kernel answers while it takes the question, so that nothing here waits; the time limit is for kernels
//! that misbehave.

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// More than the kernel puts into one piece of a dump.
const BUFFER_BYTES: usize = 64 * 1024;

/// Most pieces of one answer.
const MAX_PIECES: usize = 4096;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;

/// A question for all that there is, rather than for one thing.
pub const DUMP: u16 = 0x300;

/// Bytes of a message's head.
pub const HEAD_BYTES: usize = 16;

/// A socket to one part of the kernel.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket that gives up an answer after `budget`.
    ///
    /// # Errors
    /// The kernel, or a sandbox, has none.
    pub fn open(protocol: Option<Protocol>, budget: Duration) -> io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(budget))?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Sends a [`request`] and hands what every message of the answer holds to `take`.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer in time.
    pub fn ask(&self, question: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<()> {
        rustix::net::sendto(&self.0, question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let is_dump = question.get(6..8).is_some_and(|flags| flags != NLM_F_REQUEST.to_ne_bytes());
        let mut buffer = vec![0; BUFFER_BYTES];
        for _ in 0..MAX_PIECES {
            let (received, _) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = buffer.get(..received).unwrap_or_default();
            while let Some((kind, payload, tail)) = split(rest) {
                rest = tail;
                match kind {
                    NLMSG_DONE | NLMSG_ERROR => return status(payload),
                    _ => take(payload),
                }
            }
            if !is_dump {
                return Ok(());
            }
        }
        Err(io::Error::other("the kernel's answer does not end"))
    }
}

/// A message with its head.
pub fn request(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let total = HEAD_BYTES + payload.len();
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&(total as u32).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend_from_slice(&1u32.to_ne_bytes());
    bytes.extend_from_slice(&0u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The error number that an error or the end of a dump carries: 0 or negative.
fn status(payload: &[u8]) -> io::Result<()> {
    match payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

/// The first message: its type, what follows its head, and the messages after it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let payload = bytes.get(HEAD_BYTES..length)?;
    Some((kind, payload, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_apart_as_they_were_put_together() {
        let two = [request(7, 0, &[1, 2, 3, 4]), request(8, DUMP, &[5, 6, 7, 8])].concat();
        let (kind, payload, rest) = split(&two).unwrap();
        assert_eq!((kind, payload), (7, &[1, 2, 3, 4][..]));
        assert_eq!(split(rest).unwrap().1, [5, 6, 7, 8]);
        for end in 0..two.len() {
            let _ = split(&two[..end]);
        }
        // Lengths that lie.
        for length in [0u32, 1, 15, 1000, u32::MAX] {
            let mut lying = two.clone();
            lying[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(split(&lying).is_none(), "{length}");
        }
    }
}
