//! Some fields of each server instead of all.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::rest::server_json::ServerJson;

/// The fields of a server, in the order in which they are shown.
#[rustfmt::skip]
pub(crate) const NAMES: [&str; 22] = [
    "server_id", "ip", "hostname", "countryCode", "country", "region", "city", "status", "health", "score", "stale",
    "unverified", "failure", "last_heartbeat", "first_heartbeat", "load", "services", "gaming", "streaming", "paid", "enabled",
    "static",
];

/// A choice of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fields(Vec<usize>);

impl Fields {
    /// The fields at these places of [`NAMES`].
    pub(crate) fn new(places: Vec<usize>) -> Self {
        Self(places)
    }

    /// The place of a field.
    pub(crate) fn place(name: &str) -> Option<usize> {
        NAMES.iter().position(|known| *known == name)
    }
}

/// A server cut to the chosen fields.
pub(crate) struct Cut<'a>(pub(crate) ServerJson<'a>, pub(crate) &'a Fields);

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(server, Fields(places)) = self;
        let whole = serde_json::to_value(server).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(Some(places.len()))?;
        for name in places.iter().filter_map(|place| NAMES.get(*place)) {
            map.serialize_entry(name, whole.get(name).unwrap_or(&Value::Null))?;
        }
        map.end()
    }
}
