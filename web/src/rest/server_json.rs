//! One server in the shape that client applications know.

use mect_fleet::reading::percent;
use mect_fleet::{Health, Reading, ServerView, Timestamp, ranking};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The old shape, and `health`, `score`, `stale`, `unverified` and `failure`, which are ours.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedServer)]
pub(crate) struct ServerJson<'a> {
    /// `srv-` and eight lower-case letters or digits.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, example = "srv-abcdefgh")]
    server_id: mect_fleet::ServerId,
    ip: &'a str,
    hostname: &'a str,
    #[serde(rename = "countryCode")]
    country_code: &'a str,
    country: &'a str,
    region: &'a str,
    city: &'a str,
    /// The old word: a degraded server is `active`, because the old clients know no other word for "use it".
    status: &'static str,
    /// Our word.
    health: &'static str,
    /// Rank, lower is better; null for a server that clients are not sent to.
    score: Option<f64>,
    /// What is shown is old: the latest scrape was too long ago, whoever is to blame.
    stale: bool,
    /// Its checks fail, but the collector's own network may be to blame: it is shown as it was before.
    unverified: bool,
    /// Why the latest scrape failed; null when it worked.
    failure: Option<&'static str>,
    #[serde(serialize_with = "optional_text")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_heartbeat: Option<Timestamp>,
    #[serde(serialize_with = "optional_text")]
    #[schema(value_type = Option<String>, format = DateTime)]
    first_heartbeat: Option<Timestamp>,
    load: LoadJson,
    services: Vec<ServiceJson>,
    gaming: bool,
    streaming: bool,
    paid: bool,
    enabled: bool,
    #[serde(rename = "static")]
    is_static: bool,
}

/// Percentages 0–100 with two decimals; null when unknown.
#[derive(Serialize, ToSchema)]
#[schema(as = Load)]
struct LoadJson {
    cpu: Option<f64>,
    ram: Option<f64>,
    net: Option<f64>,
}

/// One kind of service; active when any of its units is.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedService)]
pub(crate) struct ServiceJson {
    name: &'static str,
    active: bool,
}

/// A server exactly as `GET /servers?all_servers=true` shows it, as JSON.
pub fn encode(view: &ServerView) -> Vec<u8> {
    serde_json::to_vec(&ServerJson::of(view)).expect("texts and numbers are always JSON")
}

impl<'a> ServerJson<'a> {
    pub(crate) fn of(view: &'a ServerView) -> Self {
        let (server, standing) = (&*view.server, &view.standing);
        let reading = standing.reading.as_ref();
        let health = view.health();
        Self {
            server_id: server.id,
            ip: &server.ip,
            hostname: &server.hostname,
            country_code: &server.place.country_code,
            country: &server.place.country,
            region: &server.place.region,
            city: &server.place.city,
            status: if health.is_reachable() { Health::Active.name() } else { health.name() },
            health: health.name(),
            score: view.is_listed().then(|| score(view)),
            stale: view.stale,
            unverified: view.is_unverified(),
            failure: standing.last_failure.as_ref().map(|failure| failure.reason.name()),
            last_heartbeat: standing.last_heartbeat,
            first_heartbeat: standing.first_heartbeat,
            load: LoadJson {
                cpu: reading.and_then(|reading| reading.cpu).map(percent),
                ram: reading.and_then(|reading| reading.ram).map(percent),
                net: reading.and_then(|reading| reading.net).map(percent),
            },
            services: reading.map(services).unwrap_or_default(),
            gaming: server.gaming,
            streaming: server.streaming,
            paid: server.paid,
            enabled: server.enabled,
            is_static: server.is_static,
        }
    }

    /// What a client without a token may know: the load roughly, and nothing of our scrapes but the minute.
    pub(crate) fn without_token(view: &'a ServerView) -> Self {
        const MINUTE_MS: i64 = 60_000;
        let tens = |percent: f64| (percent / 10.0).round() * 10.0;
        let whole = Self::of(view);
        let minute = |at: Timestamp| Timestamp::from_millis(at.as_millis() / MINUTE_MS * MINUTE_MS);
        Self {
            score: whole.score.map(|score| (score * 10.0).round() / 10.0),
            failure: None,
            stale: false,
            unverified: false,
            last_heartbeat: whole.last_heartbeat.map(minute),
            first_heartbeat: None,
            load: LoadJson {
                cpu: whole.load.cpu.map(tens),
                ram: whole.load.ram.map(tens),
                net: whole.load.net.map(tens),
            },
            ..whole
        }
    }
}

/// The rank of a server for clients, as REST shows it.
pub(crate) fn score(view: &ServerView) -> f64 {
    four_decimals(ranking::score(view).total())
}

/// What the rank is shown with.
pub(crate) fn four_decimals(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// The kinds of service of a host.
pub(crate) fn services(reading: &Reading) -> Vec<ServiceJson> {
    reading.by_service().map(|(service, active)| ServiceJson { name: service.code(), active }).collect()
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn optional_text<S: Serializer>(value: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
