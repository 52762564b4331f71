//! A host as it names itself, so that another one under its address is noticed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const BYTES: usize = 16;

/// Identity that a host gives on its page: 128 bits, as 32 hexadecimal digits in lower case. The same after a restart and
/// under another address, another one after the system was installed anew. It is no secret and proves nothing: it tells
/// mistakes, not forgers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId([u8; BYTES]);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no host's identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not the identity of a host: expected 32 hexadecimal digits in lower case")]
pub struct InvalidHostId;

impl FromStr for HostId {
    type Err = InvalidHostId;
    fn from_str(text: &str) -> Result<Self, InvalidHostId> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidHostId),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let pairs: &[[u8; 2]; BYTES] = pairs.try_into().map_err(|_| InvalidHostId)?;
        if !rest.is_empty() {
            return Err(InvalidHostId);
        }
        let mut bytes = [0; BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for HostId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_as_text_and_json() {
        let text = "00ff3ab94cd1e27f8899aabbccddeeff";
        let id: HostId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::from_str::<HostId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }

    #[test]
    fn everything_else_is_none() {
        let id = "00ff3ab94cd1e27f8899aabbccddeeff";
        for text in
            ["", "0", &id[1..], &format!("{id}0"), &format!("{id}00"), &id.to_uppercase(), &id.replace('0', "é")]
        {
            assert_eq!(text.parse::<HostId>(), Err(InvalidHostId), "{text}");
        }
    }
}
