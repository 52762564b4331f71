//! A server: a VPN host we know. Holds what the operator and discovery say of it, never what a scrape saw.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::host_id::HostId;
use crate::store::Registration;
use crate::time::Timestamp;

mod patch;
mod period;
mod place;
mod tag;
mod target;

pub use patch::{FlagsPatch, PlacePatch, ServerPatch};
pub use period::Period;
pub use place::{Coordinates, InvalidCoordinates, Layer, Layers, Origin, Origins, Place};
pub use tag::{InvalidTag, MAX_TAGS, Tag};
pub use target::{InvalidEndpoints, MAX_ENDPOINTS, ScrapeTarget};

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

/// A VPN host in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Identity, never reused.
    pub id: ServerId,
    /// Address by which clients and REST know the server; unique in the inventory. An IP address, or the host name
    /// of a target that was given by name.
    pub ip: String,
    /// Name for people, of the strongest source that gives one; the address when none does.
    pub hostname: String,
    /// Where it stands, as all sources together say.
    pub place: Place,
    /// What each source says of name and place.
    #[serde(default)]
    pub layers: Layers,
    /// Offered for games (client apps filter by it).
    pub gaming: bool,
    /// Offered for video streaming.
    pub streaming: bool,
    /// Reserved for paying clients.
    pub paid: bool,
    /// Operator intent: listed to clients. A disabled server is still scraped.
    pub enabled: bool,
    /// Operator intent: new clients go elsewhere. Still scraped and judged.
    #[serde(default)]
    pub draining: Option<Period>,
    /// Operator intent: being worked on, so that clients go elsewhere. Still scraped and judged.
    #[serde(default)]
    pub maintenance: Option<Period>,
    /// It announced itself, and an operator has not let it in yet: neither scraped nor listed.
    #[serde(default)]
    pub awaits_approval: bool,
    /// Never deleted for silence.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// Words by which the operator groups servers; at most [`MAX_TAGS`].
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
    /// What the operator wants to remember.
    #[serde(default)]
    pub notes: String,
    /// What its uplink carries, if the operator knows better than the host.
    #[serde(default)]
    pub capacity_bytes_per_second: Option<u64>,
    /// Its page, of a server that was added by REST or announced itself. A target in the configuration goes before.
    #[serde(default)]
    pub target: Option<ScrapeTarget>,
    /// An agent of the old system reports it: nothing is scraped, silence is what fails.
    #[serde(default)]
    pub pushed: bool,
    /// The host that an operator accepted behind it, see [`Standing::host`](crate::Standing::host): the server may be
    /// this one, too, after it was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_host: Option<HostId>,
    /// Grows by one with every change of what the inventory says.
    #[serde(default)]
    pub revision: u64,
    /// When the inventory first heard of it.
    pub registered_at: Timestamp,
}

impl Server {
    /// A server that the inventory did not know.
    pub fn new(id: ServerId, registration: &Registration, now: Timestamp) -> Self {
        let mut server = Self {
            id,
            ip: registration.ip.clone(),
            hostname: String::new(),
            place: Place::default(),
            layers: Layers::default(),
            gaming: false,
            streaming: false,
            paid: false,
            enabled: true,
            draining: None,
            maintenance: None,
            awaits_approval: registration.awaits_approval,
            is_static: registration.is_static,
            tags: registration.tags.clone(),
            notes: registration.notes.clone(),
            capacity_bytes_per_second: registration.capacity_bytes_per_second,
            target: registration.target.clone(),
            pushed: registration.pushed,
            accepted_host: None,
            revision: 0,
            registered_at: now,
        };
        registration.flags.apply(&mut server);
        registration.renew(&mut server);
        server
    }

    /// Who says each part of the place.
    pub fn origins(&self) -> Origins {
        self.layers.place().1
    }

    /// Draws name and place from the layers, and counts a revision if anything differs from `before`.
    pub(crate) fn settle(&mut self, before: &Self) {
        self.hostname = self.layers.hostname().unwrap_or(&self.ip).to_owned();
        self.place = self.layers.place().0;
        if self != before {
            self.revision = before.revision + 1;
        }
    }

    /// Takes name and place of a server without layers, written by others or before there were any, for what was looked
    /// up once: the weakest source.
    pub(crate) fn layered(mut self) -> Self {
        if self.layers.is_empty() {
            let hostname = if self.hostname == self.ip { String::new() } else { self.hostname.clone() };
            self.layers.database = Layer { hostname, place: self.place.clone() };
        }
        self
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
}
