//! A server: a VPN host we know. Holds what the operator and discovery say of it, never what a scrape saw.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

const PREFIX: &str = "srv-";
const ID_LENGTH: usize = 8;
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Identity of a server for its whole life: `srv-` and eight lower-case letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId([u8; ID_LENGTH]);

impl ServerId {
    /// Draws a new identity. 40 bits: the store refuses a duplicate and draws again.
    ///
    /// # Errors
    /// The operating system's random source failed.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; ID_LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.map(|byte| ID_ALPHABET[usize::from(byte) % ID_ALPHABET.len()])))
    }

    /// The eight characters behind `srv-`: a fixed-width key that sorts like the text.
    pub const fn key(self) -> [u8; ID_LENGTH] {
        self.0
    }

    /// The identity whose [`key`](Self::key) is `key`; `None` when a byte is not a lower-case letter or digit.
    pub fn from_key(key: [u8; ID_LENGTH]) -> Option<Self> {
        key.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).then_some(Self(key))
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no server identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a server id: expected `srv-` and eight lower-case letters or digits")]
pub struct InvalidServerId;

impl FromStr for ServerId {
    type Err = InvalidServerId;
    fn from_str(text: &str) -> Result<Self, InvalidServerId> {
        let key = text.strip_prefix(PREFIX).ok_or(InvalidServerId)?;
        let key = <[u8; ID_LENGTH]>::try_from(key.as_bytes()).map_err(|_| InvalidServerId)?;
        Self::from_key(key).ok_or(InvalidServerId)
    }
}

impl Serialize for ServerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a server stands. Every part may be unknown (empty).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// ISO 3166-1 alpha-2, upper case, for example `DE`.
    pub country_code: String,
    /// English name, for example `Germany`.
    pub country: String,
    /// State or region.
    pub region: String,
    /// City.
    pub city: String,
}

/// A VPN host in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Identity, never reused.
    pub id: ServerId,
    /// Address by which clients and REST know the server; unique in the inventory. An IP address, or the host name
    /// of a target that was given by name.
    pub ip: String,
    /// Name for people.
    pub hostname: String,
    /// Where it stands.
    pub place: Place,
    /// Offered for games (client apps filter by it).
    pub gaming: bool,
    /// Offered for video streaming.
    pub streaming: bool,
    /// Reserved for paying clients.
    pub paid: bool,
    /// Operator intent: listed to clients. A disabled server is still scraped.
    pub enabled: bool,
    /// Never deleted for silence.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// When the inventory first heard of it.
    pub registered_at: Timestamp,
}

/// A change of the flags that the old REST contract lets an operator set; `None` leaves a flag as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagsPatch {
    /// See [`Server::gaming`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaming: Option<bool>,
    /// See [`Server::streaming`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// See [`Server::paid`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<bool>,
    /// See [`Server::enabled`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl FlagsPatch {
    /// True when the patch changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the given flags of `server`.
    pub fn apply(&self, server: &mut Server) {
        server.gaming = self.gaming.unwrap_or(server.gaming);
        server.streaming = self.streaming.unwrap_or(server.streaming);
        server.paid = self.paid.unwrap_or(server.paid);
        server.enabled = self.enabled.unwrap_or(server.enabled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text_and_json() {
        let id = ServerId::random().unwrap();
        let text = id.to_string();
        assert_eq!(text.len(), 12);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(serde_json::from_str::<ServerId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_eq!(ServerId::from_key(id.key()), Some(id));
    }

    #[test]
    fn bad_ids_are_refused() {
        for text in
            ["", "srv-", "srv-1234567", "srv-123456789", "SRV-12345678", "srv-1234567A", "srv-1234567é", "12345678"]
        {
            assert_eq!(text.parse::<ServerId>(), Err(InvalidServerId), "{text}");
        }
    }

    #[test]
    fn a_patch_touches_only_what_it_names() {
        let mut server = Server {
            id: "srv-abcdefgh".parse().unwrap(),
            ip: "192.0.2.1".into(),
            hostname: "de1".into(),
            place: Place::default(),
            gaming: true,
            streaming: false,
            paid: true,
            enabled: true,
            is_static: false,
            registered_at: Timestamp::from_secs(1),
        };
        let patch = FlagsPatch { paid: Some(false), streaming: Some(true), ..FlagsPatch::default() };
        assert!(!patch.is_empty());
        patch.apply(&mut server);
        assert_eq!((server.gaming, server.streaming, server.paid, server.enabled), (true, true, false, true));
    }
}
