//! What may be said of a server: bodies of requests, and what they mean once they are checked.

use std::collections::BTreeSet;

use mect_fleet::server::MAX_TAGS;
use mect_fleet::store::Registration;
use mect_fleet::{
    Coordinates, Denied, Endpoint, FlagsPatch, HostId, Origin, Place, PlacePatch, ScrapeTarget, Server, ServerPatch,
    Tag, TargetPolicy, country, is_nobody,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Error;
use crate::extract::refuse;
use crate::rest::v1::servers::shape::Point;
use crate::rest::v1::text;

/// More than any uplink carries: 80 Tbit/s.
const MAX_CAPACITY: u64 = 10_000_000_000_000;

const NOBODY: &str = "must be the address of one host that can be reached; not of a link, a group or nobody";

/// The page of an exporter.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetBody {
    /// `host:port`, or a URL with `http://` or `https://`, host, port and path.
    #[schema(example = "192.0.2.1:9776")]
    address: String,
    /// Credentials may travel unencrypted to it.
    #[serde(default)]
    insecure_credentials: bool,
    /// Name of an `[[access]]` in the collector's configuration: how it is reached.
    #[serde(default)]
    access: Option<String>,
    /// Pages of other exporters on the same host, up to seven: `:port`, `:port/path`, or as `address`.
    #[serde(default)]
    #[schema(example = json!([":9586"]))]
    endpoints: Vec<String>,
}

/// A server to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"target": {"address": "192.0.2.1:9776"}, "hostname": "de-fra-1", "tags": ["eu"]}))]
pub(crate) struct NewServer {
    /// Where its page is.
    target: TargetBody,
    /// Address by which clients know it; the target's host by default.
    ip: Option<String>,
    /// Name for people; the address by default.
    #[serde(default)]
    hostname: String,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    country_code: String,
    /// English name; follows from the code.
    #[serde(default)]
    country: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    city: String,
    #[schema(value_type = Option<Point>)]
    coordinates: Option<Coordinates>,
    gaming: Option<bool>,
    streaming: Option<bool>,
    paid: Option<bool>,
    /// Listed to clients; true by default.
    enabled: Option<bool>,
    /// Never deleted for silence.
    #[serde(default, rename = "static")]
    is_static: bool,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: BTreeSet<Tag>,
    #[serde(default)]
    notes: String,
    #[schema(minimum = 1)]
    capacity_bytes_per_second: Option<u64>,
}

/// A change of a server. What is not named stays; `null` and an empty text take away what was said by hand.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"city": "Frankfurt am Main", "add_tags": ["eu"]}))]
pub(crate) struct Change {
    /// Another address.
    ip: Option<String>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    hostname: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    country_code: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    country: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    region: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    city: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<Point>)]
    coordinates: Option<Option<Coordinates>>,
    gaming: Option<bool>,
    streaming: Option<bool>,
    paid: Option<bool>,
    enabled: Option<bool>,
    #[serde(rename = "static")]
    is_static: Option<bool>,
    /// All its tags.
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<BTreeSet<Tag>>,
    /// Tags beside those that it has.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    add_tags: BTreeSet<Tag>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    remove_tags: BTreeSet<Tag>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>)]
    notes: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u64>)]
    capacity_bytes_per_second: Option<Option<u64>>,
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<TargetBody>)]
    target: Option<Option<TargetBody>>,
    /// False lets in a server that announced itself.
    awaits_approval: Option<bool>,
    /// The host that may be behind it from now on, as in `other_host_id`: its system was installed anew, or moved.
    #[schema(example = "7a5160781fbe4e8394769e45f7cb3131")]
    host_id: Option<String>,
}

/// Tells a field that is `null` from one that is missing.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What the inventory is told of a server to be added, given as a JSON body.
pub(crate) fn registration_of(body: Value, policy: &TargetPolicy) -> Result<Registration, Error> {
    let new: NewServer = serde_path_to_error::deserialize(body).map_err(|error| refuse(&error))?;
    new.registration(policy)
}

/// What the inventory is told of a change, given as a JSON body.
pub(crate) fn patch_of(body: Value, policy: &TargetPolicy) -> Result<ServerPatch, Error> {
    let change: Change = serde_path_to_error::deserialize(body).map_err(|error| refuse(&error))?;
    change.patch(policy)
}

impl NewServer {
    /// What the inventory is told of a server whose target `policy` allows.
    pub(super) fn registration(self, policy: &TargetPolicy) -> Result<Registration, Error> {
        let target = self.target.checked(policy)?;
        let ip = match self.ip {
            Some(ip) => host("ip", &ip)?,
            None => target.endpoint.host().to_owned(),
        };
        let Self { gaming, streaming, paid, enabled, .. } = self;
        Ok(Registration {
            ip,
            origin: Origin::Hand,
            hostname: text::line("hostname", &self.hostname, text::HOSTNAME_CHARS)?,
            place: Place {
                country_code: code(&self.country_code)?,
                country: name("country", &self.country)?,
                region: name("region", &self.region)?,
                city: name("city", &self.city)?,
                coordinates: self.coordinates,
            },
            flags: FlagsPatch { gaming, streaming, paid, enabled },
            is_static: self.is_static,
            tags: few("tags", self.tags)?,
            notes: text::lines("notes", &self.notes, text::NOTES_CHARS)?,
            capacity_bytes_per_second: self.capacity_bytes_per_second.map(capacity).transpose()?,
            target: Some(target),
            ..Registration::default()
        })
    }
}

/// True when `known` is what `registration` would make anew.
pub(super) fn is_made_by(known: &Server, registration: &Registration) -> bool {
    let made = Server::new(known.id, registration, known.registered_at);
    let found = Server { revision: made.revision, layers: known.layers.clone(), accepted_host: None, ..known.clone() };
    // What a database knows beyond, nobody asked for.
    found.layers.hand == made.layers.hand
        && Server { layers: made.layers.clone(), hostname: made.hostname.clone(), place: made.place.clone(), ..found }
            == made
}

impl Change {
    /// True when it is about one server alone.
    pub(super) fn names_one_server(&self) -> bool {
        self.ip.is_some() || self.hostname.is_some() || self.target.is_some() || self.host_id.is_some()
    }

    /// What the inventory is told; of another target only if `policy` allows it.
    pub(super) fn patch(self, policy: &TargetPolicy) -> Result<ServerPatch, Error> {
        let line = |field: &str, said: Option<Option<String>>| match said {
            Some(said) => name(field, &said.unwrap_or_default()).map(Some),
            None => Ok(None),
        };
        let hostname = self.hostname.map(Option::unwrap_or_default);
        let notes = self.notes.map(Option::unwrap_or_default);
        Ok(ServerPatch {
            revision: None,
            ip: self.ip.map(|ip| host("ip", &ip)).transpose()?,
            hostname: hostname.map(|text| text::line("hostname", &text, text::HOSTNAME_CHARS)).transpose()?,
            place: PlacePatch {
                country_code: self.country_code.map(|said| code(&said.unwrap_or_default())).transpose()?,
                country: line("country", self.country)?,
                region: line("region", self.region)?,
                city: line("city", self.city)?,
                coordinates: self.coordinates,
            },
            located: None,
            flags: FlagsPatch {
                gaming: self.gaming,
                streaming: self.streaming,
                paid: self.paid,
                enabled: self.enabled,
            },
            is_static: self.is_static,
            tags: self.tags.map(|tags| few("tags", tags)).transpose()?,
            added_tags: few("add_tags", self.add_tags)?,
            removed_tags: self.remove_tags,
            notes: notes.map(|text| text::lines("notes", &text, text::NOTES_CHARS)).transpose()?,
            capacity_bytes_per_second: self
                .capacity_bytes_per_second
                .map(|said| said.map(capacity).transpose())
                .transpose()?,
            draining: None,
            maintenance: None,
            target: self.target.map(|said| said.map(|target| target.checked(policy)).transpose()).transpose()?,
            awaits_approval: self.awaits_approval,
            accepted_host: self.host_id.map(|said| host_id(&said)).transpose()?,
        })
    }
}

impl TargetBody {
    fn checked(self, policy: &TargetPolicy) -> Result<ScrapeTarget, Error> {
        let endpoint: Endpoint =
            self.address.parse().map_err(|error| Error::Invalid(format!("target.address: {error}")))?;
        allowed(policy, "target.address", &endpoint)?;
        let access = self.access.map(|access| name("target.access", &access)).transpose()?;
        let access = access.filter(|access| !access.is_empty());
        let target =
            ScrapeTarget { insecure_credentials: self.insecure_credentials, access, ..ScrapeTarget::at(endpoint) };
        let target = target.with_endpoints(&self.endpoints);
        let target = target.map_err(|error| Error::Invalid(format!("target.endpoints: {error}")))?;
        for page in &target.further {
            allowed(policy, "target.endpoints", &page.endpoint)?;
        }
        Ok(target)
    }
}

fn allowed(policy: &TargetPolicy, field: &str, endpoint: &Endpoint) -> Result<(), Error> {
    policy.check_endpoint(endpoint).map_err(|denied| match denied {
        Denied::Nobody => Error::Invalid(format!("{field}: {NOBODY}")),
        denied => Error::Invalid(format!("{field}: {denied}")),
    })
}

fn host(field: &str, said: &str) -> Result<String, Error> {
    let allowed = "needs an IP address or a host name";
    let host = Endpoint::canonical_host(said).map_err(|_| Error::Invalid(format!("{field}: {allowed}")))?;
    if host.parse().is_ok_and(is_nobody) {
        return Err(Error::Invalid(format!("{field}: {NOBODY}")));
    }
    Ok(host)
}

/// The identity of a host.
pub(crate) fn host_id(said: &str) -> Result<HostId, Error> {
    said.trim().parse().map_err(|error| Error::Invalid(format!("host_id: {error}")))
}

fn name(field: &str, said: &str) -> Result<String, Error> {
    text::line(field, said, text::NAME_CHARS)
}

fn code(said: &str) -> Result<String, Error> {
    let code = said.trim().to_ascii_uppercase();
    if code.is_empty() || country::name(&code).is_some() {
        return Ok(code);
    }
    Err(Error::Invalid("country_code: not a country of ISO 3166-1; give two letters, for example DE".to_owned()))
}

fn few(field: &str, tags: BTreeSet<Tag>) -> Result<BTreeSet<Tag>, Error> {
    if tags.len() <= MAX_TAGS { Ok(tags) } else { Err(Error::Invalid(format!("{field}: more than {MAX_TAGS} tags"))) }
}

fn capacity(said: u64) -> Result<u64, Error> {
    if (1..=MAX_CAPACITY).contains(&said) {
        return Ok(said);
    }
    Err(Error::Invalid(format!("capacity_bytes_per_second: {said} is not allowed; give 1 to {MAX_CAPACITY}")))
}
