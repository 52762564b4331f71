//! Changes of a server: pure, so that every store makes the same of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::host_id::HostId;

use super::{Coordinates, Origin, Period, Place, ScrapeTarget, Server, Tag};

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

/// A change of what an operator says of a place; `None` leaves a part as it is, and an empty one lets the next source
/// speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacePatch {
    /// See [`Place::country_code`].
    pub country_code: Option<String>,
    /// See [`Place::country`].
    pub country: Option<String>,
    /// See [`Place::region`].
    pub region: Option<String>,
    /// See [`Place::city`].
    pub city: Option<String>,
    /// See [`Place::coordinates`].
    pub coordinates: Option<Option<Coordinates>>,
}

impl PlacePatch {
    /// True when the patch changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn apply(self, place: &mut Place) {
        let texts = [
            (self.country_code, &mut place.country_code),
            (self.country, &mut place.country),
            (self.region, &mut place.region),
            (self.city, &mut place.city),
        ];
        for (said, part) in texts {
            if let Some(said) = said {
                *part = said;
            }
        }
        place.coordinates = self.coordinates.unwrap_or(place.coordinates);
    }
}

/// A change of a server; `None` leaves a field as it is, and `Some(None)` takes away what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerPatch {
    /// Only if the server still has this revision; else [`StoreError::Outdated`](crate::store::StoreError::Outdated).
    pub revision: Option<u64>,
    /// See [`Server::ip`].
    pub ip: Option<String>,
    /// See [`Server::hostname`]; an empty one lets the next source speak.
    pub hostname: Option<String>,
    /// What the operator says of the place.
    pub place: PlacePatch,
    /// What the geolocation database says of the place, as a whole.
    pub located: Option<Place>,
    /// The flags.
    pub flags: FlagsPatch,
    /// See [`Server::is_static`].
    pub is_static: Option<bool>,
    /// See [`Server::tags`], as a whole.
    pub tags: Option<BTreeSet<Tag>>,
    /// Tags to add to those that are there.
    pub added_tags: BTreeSet<Tag>,
    /// Tags to take away from those that are there.
    pub removed_tags: BTreeSet<Tag>,
    /// See [`Server::notes`].
    pub notes: Option<String>,
    /// See [`Server::capacity_bytes_per_second`].
    pub capacity_bytes_per_second: Option<Option<u64>>,
    /// See [`Server::draining`].
    pub draining: Option<Option<Period>>,
    /// See [`Server::maintenance`].
    pub maintenance: Option<Option<Period>>,
    /// See [`Server::target`].
    pub target: Option<Option<ScrapeTarget>>,
    /// See [`Server::awaits_approval`].
    pub awaits_approval: Option<bool>,
    /// See [`Server::accepted_host`].
    pub accepted_host: Option<HostId>,
}

impl ServerPatch {
    /// True when the patch changes nothing, whatever revision it asks for.
    pub fn is_empty(&self) -> bool {
        Self { revision: None, ..self.clone() } == Self::default()
    }

    /// Changes the given fields of `server`, and its revision if anything differs then.
    pub fn apply(self, server: &mut Server) {
        let before = server.clone();
        self.flags.apply(server);
        server.ip = self.ip.unwrap_or_else(|| before.ip.clone());
        if server.ip != before.ip {
            // It was looked up for another address.
            server.layers.get_mut(Origin::Database).place = Place::default();
        }
        server.is_static = self.is_static.unwrap_or(server.is_static);
        let by_hand = server.layers.get_mut(Origin::Hand);
        if let Some(hostname) = self.hostname {
            by_hand.hostname = hostname;
        }
        self.place.apply(&mut by_hand.place);
        if let Some(located) = self.located {
            server.layers.get_mut(Origin::Database).place = located;
        }
        if let Some(tags) = self.tags {
            server.tags = tags;
        }
        server.tags.extend(self.added_tags);
        server.tags.retain(|tag| !self.removed_tags.contains(tag));
        if let Some(notes) = self.notes {
            server.notes = notes;
        }
        server.capacity_bytes_per_second = self.capacity_bytes_per_second.unwrap_or(server.capacity_bytes_per_second);
        server.draining = self.draining.unwrap_or(server.draining);
        server.maintenance = self.maintenance.unwrap_or(server.maintenance);
        if let Some(target) = self.target {
            server.target = target;
        }
        server.awaits_approval = self.awaits_approval.unwrap_or(server.awaits_approval);
        server.accepted_host = self.accepted_host.or(server.accepted_host);
        server.settle(&before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::story;
    use crate::time::Timestamp;

    fn server() -> Server {
        Server::new("srv-abcdefgh".parse().unwrap(), &story::registration(1), Timestamp::from_secs(1))
    }

    #[test]
    fn flags_that_are_not_named_stay() {
        let mut server = Server { gaming: true, paid: true, ..server() };
        let patch = FlagsPatch { paid: Some(false), streaming: Some(true), ..FlagsPatch::default() };
        assert!(!patch.is_empty());
        patch.apply(&mut server);
        assert_eq!((server.gaming, server.streaming, server.paid, server.enabled), (true, true, false, true));
    }

    #[test]
    fn an_edit_by_hand_hides_the_labels_until_it_is_taken_back() {
        let mut server = server();
        assert_eq!((server.place.country.as_str(), server.revision), ("Germany", 1));
        let place = |city: &str, code: &str| ServerPatch {
            place: PlacePatch { city: Some(city.into()), country_code: Some(code.into()), ..PlacePatch::default() },
            ..ServerPatch::default()
        };
        place("Paris", "FR").apply(&mut server);
        assert_eq!((server.place.city.as_str(), server.place.country.as_str()), ("Paris", "France"));
        assert_eq!(server.origins().country, Some(Origin::Hand));
        place("", "").apply(&mut server);
        assert_eq!((server.place.city.as_str(), server.place.country.as_str()), ("", "Germany"));
        assert_eq!(server.origins().country, Some(Origin::Labels));
        assert_eq!(server.revision, 3);
    }

    #[test]
    fn only_what_differs_makes_a_revision() {
        let mut server = server();
        let before = server.clone();
        assert!(ServerPatch { revision: Some(7), ..ServerPatch::default() }.is_empty());
        ServerPatch { hostname: Some(String::new()), notes: Some(String::new()), ..ServerPatch::default() }
            .apply(&mut server);
        assert_eq!(server, before);
        let tag = |word: &str| BTreeSet::from([word.parse::<Tag>().unwrap()]);
        ServerPatch { added_tags: tag("new"), ..ServerPatch::default() }.apply(&mut server);
        ServerPatch { removed_tags: tag("new"), ..ServerPatch::default() }.apply(&mut server);
        assert_eq!(server, Server { revision: 3, ..before });
    }
}
