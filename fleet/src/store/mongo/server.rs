//! Servers and their standings as documents of `servers`.
//!
//! ```text
//! { server_id, ip, hostname, countryCode, country, region, city,             written when a server is added or edited
//!   gaming, streaming, paid, enabled, static,
//!   status, first_heartbeat, last_heartbeat, load { cpu, ram, net },         written with every standing, as the old
//!   services [ { name, active } ],                                           system did: other programs read them
//!   mect { id, registered_at,                                                ours: identity and first sight
//!          tags, notes, capacity_bytes_per_second, draining, maintenance,    what operators say beyond the old fields,
//!          layers, target, pushed, awaits_approval,                          and where name, place and page come from
//!          accepted_host,                                                    which host may be behind it
//!          revision,                                                         grows with every change of the inventory
//!          shard, epoch, since,                                              who may record, see the leases role
//!          standing,                                                         whole, as serde writes it
//!          updated_at } }                                                    the database's clock, set by every write
//! ```
//! `server_id` is what the old system gave, whatever its form; a server that we add gets the identity of `mect.id`.

use std::collections::BTreeSet;

use bson::{Bson, DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use super::OURS;
use super::date::timestamp;
use crate::health::Health;
use crate::host_id::HostId;
use crate::reading::percent;
use crate::server::{FlagsPatch, Layers, Period, Place, ScrapeTarget, Server, ServerId, Tag};
use crate::shard::Shard;
use crate::store::{Result, StoreError};
use crate::time::Timestamp;
use crate::view::Standing;

/// Path of the identity, as text.
pub(super) const ID: &str = "mect.id";
/// Path of the shard, 0–255.
pub(super) const SHARD: &str = "mect.shard";
/// Path of the highest epoch that may have written the server: a long.
pub(super) const EPOCH: &str = "mect.epoch";
/// Path of the first epoch of whoever may write the server now: a long.
pub(super) const SINCE: &str = "mect.since";
/// Path of the time of the latest write, by the database's clock.
pub(super) const UPDATED_AT: &str = "mect.updated_at";
/// Path of the revision: a long.
const REVISION: &str = "mect.revision";
/// Path of the standing.
pub(super) const STANDING: &str = "mect.standing";
/// Path of the time of first sight.
pub(super) const REGISTERED_AT: &str = "mect.registered_at";

/// The server of a document; `None` when it has no identity of ours yet, or no address.
pub(super) fn server(document: &Document) -> Option<Server> {
    let text = |key: &str| document.get_str(key).unwrap_or_default().to_owned();
    let ours = document.get_document(OURS).ok()?;
    let ip = document.get_str("ip").ok().filter(|ip| !ip.is_empty())?;
    let hostname = document.get_str("hostname").ok().filter(|name| !name.is_empty()).unwrap_or(ip);
    let said = said(ours);
    let server = Server {
        id: ours.get_str("id").ok()?.parse().ok()?,
        ip: ip.to_owned(),
        hostname: hostname.to_owned(),
        place: Place {
            country_code: text("countryCode"),
            country: text("country"),
            region: text("region"),
            city: text("city"),
            coordinates: said.layers.place().0.coordinates,
        },
        layers: said.layers,
        gaming: flag(document, "gaming", false),
        streaming: flag(document, "streaming", false),
        paid: flag(document, "paid", false),
        enabled: flag(document, "enabled", true),
        draining: said.draining,
        maintenance: said.maintenance,
        awaits_approval: said.awaits_approval,
        is_static: flag(document, "static", false),
        tags: said.tags,
        notes: said.notes,
        capacity_bytes_per_second: said.capacity_bytes_per_second,
        target: said.target,
        pushed: said.pushed,
        accepted_host: said.accepted_host,
        revision: said.revision,
        registered_at: ours.get("registered_at").and_then(timestamp).unwrap_or_default(),
    };
    Some(server.layered())
}

/// What the inventory keeps of a server in our sub-document, beyond the fields of the old system.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Said {
    layers: Layers,
    draining: Option<Period>,
    maintenance: Option<Period>,
    awaits_approval: bool,
    tags: BTreeSet<Tag>,
    notes: String,
    capacity_bytes_per_second: Option<u64>,
    target: Option<ScrapeTarget>,
    pushed: bool,
    accepted_host: Option<HostId>,
    revision: u64,
}

/// Keys of [`Said`].
const SAID: [&str; 11] = [
    "layers",
    "draining",
    "maintenance",
    "awaits_approval",
    "tags",
    "notes",
    "capacity_bytes_per_second",
    "target",
    "pushed",
    "accepted_host",
    "revision",
];

/// Reads our sub-document. What somebody else spoilt in it counts as never said.
fn said(ours: &Document) -> Said {
    let known = |key: &&str| Some(((*key).to_owned(), ours.get(key)?.clone()));
    let known: Document = SAID.iter().filter_map(known).collect();
    bson::deserialize_from_document(known).unwrap_or_else(|error| {
        tracing::warn!(server = ours.get_str("id").unwrap_or_default(), %error, "what operators said is damaged");
        Said::default()
    })
}

/// What the inventory says of a server, by path, as expressions: in the fields of the old system, and in ours.
///
/// # Errors
/// A number is larger than the database can hold.
pub(super) fn said_of(server: &Server) -> Result<Document> {
    let Server { gaming, streaming, paid, enabled, .. } = *server;
    let [gaming, streaming, paid, enabled] = [gaming, streaming, paid, enabled].map(Some);
    let mut fields = texts(&[("ip", &server.ip), ("hostname", &server.hostname)]);
    fields.extend(texts(&place(&server.place)));
    fields.extend(flags(&FlagsPatch { gaming, streaming, paid, enabled }));
    fields.insert("static", server.is_static);
    let said = Said {
        layers: server.layers.clone(),
        draining: server.draining,
        maintenance: server.maintenance,
        awaits_approval: server.awaits_approval,
        tags: server.tags.clone(),
        notes: server.notes.clone(),
        capacity_bytes_per_second: server.capacity_bytes_per_second,
        target: server.target.clone(),
        pushed: server.pushed,
        accepted_host: server.accepted_host,
        revision: server.revision,
    };
    let said = bson::serialize_to_document(&said).map_err(|error| StoreError::Backend(Box::new(error)))?;
    fields.extend(said.into_iter().map(|(key, value)| (format!("{OURS}.{key}"), doc! { "$literal": value }.into())));
    Ok(fields)
}

/// What differs between two states of one server, by path, as expressions.
///
/// # Errors
/// As [`said_of`].
pub(super) fn difference(before: &Server, after: &Server) -> Result<Document> {
    let (before, after) = (said_of(before)?, said_of(after)?);
    Ok(after.into_iter().filter(|(path, value)| before.get(path) != Some(value)).collect())
}

/// Matches a server as long as its revision is that one; 0 also stands for none.
pub(super) fn at_revision(server: &Server) -> Document {
    let revision = Bson::Int64(i64::try_from(server.revision).unwrap_or(i64::MAX));
    let revisions = if server.revision == 0 { vec![revision, Bson::Null] } else { vec![revision] };
    doc! { ID: server.id.to_string(), REVISION: { "$in": revisions } }
}

/// The standing of a document. Of one that we have not recorded yet: the heartbeats that the old system saw.
///
/// # Errors
/// The standing is there and cannot be read.
pub(super) fn standing(document: &Document) -> Result<Standing> {
    let ours = document.get_document(OURS).ok();
    match ours.and_then(|ours| ours.get_document("standing").ok()) {
        Some(stored) => bson::deserialize_from_document(stored.clone())
            .map_err(|error| StoreError::Damaged { what: "standing".into(), detail: error.to_string() }),
        None => Ok(Standing {
            first_heartbeat: document.get("first_heartbeat").and_then(timestamp),
            last_heartbeat: document.get("last_heartbeat").and_then(timestamp),
            ..Standing::default()
        }),
    }
}

/// The epoch at [`EPOCH`] or [`SINCE`], 0 when nobody leased the server's shard yet.
pub(super) fn epoch(document: &Document, path: &str) -> u64 {
    let ours = document.get_document(OURS).ok();
    let key = path.rsplit('.').next().unwrap_or_default();
    super::command::number(ours.and_then(|ours| ours.get(key)))
}

/// A new server, by path, as expressions: what the old system would have written, and our part.
///
/// # Errors
/// As [`said_of`].
pub(super) fn fields(server: &Server) -> Result<Document> {
    let mut fields = texts(&[("server_id", &server.id.to_string())]);
    fields.extend(said_of(server)?);
    fields.insert("status", Health::Pending.name());
    fields.extend(identity(server.id));
    fields.insert(REGISTERED_AT, date(server.registered_at));
    Ok(fields)
}

/// Texts as expressions: one that begins with `$` would name a field.
fn texts(texts: &[(&str, &str)]) -> Document {
    texts.iter().map(|(key, text)| ((*key).to_owned(), Bson::Document(doc! { "$literal": *text }))).collect()
}

/// The flags that a patch sets, by key.
fn flags(patch: &FlagsPatch) -> Document {
    let FlagsPatch { gaming, streaming, paid, enabled } = *patch;
    let flags = [("gaming", gaming), ("streaming", streaming), ("paid", paid), ("enabled", enabled)];
    flags.into_iter().filter_map(|(key, flag)| Some((key.to_owned(), Bson::Boolean(flag?)))).collect()
}

/// What identifies a new server, by path.
pub(super) fn identity(id: ServerId) -> Document {
    doc! { ID: id.to_string(), SHARD: i32::from(Shard::of(id).0), EPOCH: 0i64 }
}

/// The parts of a place, by key.
fn place(place: &Place) -> [(&'static str, &str); 4] {
    [
        ("countryCode", &place.country_code),
        ("country", &place.country),
        ("region", &place.region),
        ("city", &place.city),
    ]
}

/// What the old system wrote with a heartbeat, from a standing. Unknown times are left out, so that those stay that it
/// knew.
pub(super) fn old_fields(standing: &Standing) -> Document {
    let health = standing.state.health;
    let status = if health.is_reachable() { Health::Active } else { health };
    let mut fields = doc! { "status": status.name() };
    for (key, at) in [("first_heartbeat", standing.first_heartbeat), ("last_heartbeat", standing.last_heartbeat)] {
        if let Some(at) = at {
            fields.insert(key, date(at));
        }
    }
    if let Some(reading) = &standing.reading {
        let percent = |ratio: Option<f32>| ratio.map_or(Bson::Null, |ratio| Bson::Double(percent(ratio)));
        let load = doc! { "cpu": percent(reading.cpu), "ram": percent(reading.ram), "net": percent(reading.net) };
        fields.insert("load", load);
        let services = reading.by_service().map(|(service, active)| doc! { "name": service.code(), "active": active });
        fields.insert("services", services.collect::<Vec<_>>());
    }
    fields
}

/// An instant as the database knows it.
pub(super) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

/// The old system's flags are booleans; a number in their place is taken as one.
fn flag(document: &Document, key: &str, default: bool) -> bool {
    match document.get(key) {
        Some(Bson::Boolean(flag)) => *flag,
        Some(Bson::Int32(number)) => *number != 0,
        Some(Bson::Int64(number)) => *number != 0,
        Some(Bson::Double(number)) => *number != 0.0,
        _ => default,
    }
}
