//! The socket of a user-space WireGuard: the text protocol of "Cross-Platform Interface",
//! wireguard.com/xplatform.

use std::time::Duration;

use crate::config::Endpoint;
use crate::sampler::SampleError;
use crate::vpn::ask;

use super::{Device, Peer};

/// Asks for the device and all its peers.
///
/// # Errors
/// Nobody answers in time, we may not ask, or the answer is not of this protocol.
pub async fn ask(endpoint: &Endpoint, budget: Duration) -> Result<Device, SampleError> {
    let conversation = async {
        let mut stream = ask::connect(endpoint).await?;
        ask::send(&mut stream, endpoint, b"get=1\n\n").await?;
        ask::read_until(&mut stream, endpoint, |answer| answer.ends_with(b"\n\n")).await
    };
    let answer = ask::within(budget, endpoint, conversation).await?;
    parse(&String::from_utf8_lossy(&answer)).map_err(|reason| SampleError::parse(endpoint, reason))
}

/// Parses the answer. Unknown keys are those of later versions.
///
/// # Errors
/// What is wrong.
pub fn parse(answer: &str) -> Result<Device, String> {
    let (answer, _) = answer.split_once("\n\n").ok_or("the answer has no end")?;
    let mut device = Device::default();
    let mut errno = None;
    for line in answer.lines() {
        let (key, value) = line.split_once('=').ok_or("a line is not key=value")?;
        let number = || value.parse::<u64>().map_err(|_| format!("{key} is not a number"));
        match (key, device.peers.last_mut()) {
            ("errno", _) => errno = Some(value.parse::<i32>().map_err(|_| "errno is not a number")?),
            ("listen_port", None) => device.listen_port = value.parse().map_err(|_| "listen_port is not a port")?,
            ("public_key", _) => {
                let key = hex_key(value).ok_or("public_key is not a key")?;
                device.peers.push(Peer { key, ..Peer::UNKNOWN });
            }
            ("last_handshake_time_sec", Some(peer)) => peer.handshake = number()?,
            ("rx_bytes", Some(peer)) => peer.receive_bytes = number()?,
            ("tx_bytes", Some(peer)) => peer.transmit_bytes = number()?,
            _ => {}
        }
    }
    match errno {
        Some(0) => Ok(device),
        Some(errno) => Err(format!("the device answers with error {errno}")),
        None => Err("the answer says not whether it worked".to_owned()),
    }
}

fn hex_key(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a\nlisten_port=12912\n\
        public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33\n\
        preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52\nallowed_ip=192.168.4.4/32\n\
        endpoint=[abcd:23::33%2]:51820\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\ntx_bytes=38333\n\
        rx_bytes=2224\npublic_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376\ntx_bytes=1212111\n\
        rx_bytes=1929999999\nprotocol_version=1\nerrno=0\n\n";

    #[test]
    fn device_and_peers_are_read() {
        let device = parse(GOOD).unwrap();
        assert_eq!((device.listen_port, device.peers.len()), (12912, 2));
        assert_eq!(device.peers[0].handshake, 1_700_000_000);
        assert_eq!((device.peers[0].receive_bytes, device.peers[0].transmit_bytes), (2224, 38333));
        assert_eq!(device.peers[0].key[..2], [0xb8, 0x59]);
        assert_eq!(device.peers[1].handshake, 0);
    }

    #[test]
    fn bad_answers_are_errors() {
        for bad in [
            "",
            "listen_port=1\n",
            "listen_port=1\n\n",
            "errno=1\n\n",
            "errno=x\n\n",
            "nonsense\nerrno=0\n\n",
            "listen_port=99999\nerrno=0\n\n",
            "public_key=zz\nerrno=0\n\n",
            "public_key=éééééééééééééééééééééééééééééééé\nerrno=0\n\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        for end in 0..GOOD.len() {
            let _ = parse(&GOOD[..end]);
        }
    }
}
