//! One server in the shape that client applications know.

use mect_fleet::reading::percent;
use mect_fleet::{Health, Reading, ServerView, Service, Timestamp, ranking};
use serde::{Serialize, Serializer};

/// The old shape, and `health`, `score` and `failure`, which are ours.
#[derive(Serialize)]
pub(crate) struct ServerJson<'a> {
    #[serde(serialize_with = "text")]
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
    /// Why the latest scrape failed; null when it worked.
    failure: Option<&'static str>,
    #[serde(serialize_with = "optional_text")]
    last_heartbeat: Option<Timestamp>,
    #[serde(serialize_with = "optional_text")]
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
#[derive(Serialize)]
struct LoadJson {
    cpu: Option<f64>,
    ram: Option<f64>,
    net: Option<f64>,
}

/// One kind of service; active when any of its units is.
#[derive(Serialize)]
struct ServiceJson {
    name: &'static str,
    active: bool,
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
            score: view.is_listed().then(|| (ranking::score(view) * 10_000.0).round() / 10_000.0),
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
}

fn services(reading: &Reading) -> Vec<ServiceJson> {
    let active = |service| {
        let mut units = reading.services.iter().filter(move |unit| unit.service == service).peekable();
        units.peek().is_some().then(|| units.any(|unit| unit.active))
    };
    Service::ALL
        .into_iter()
        .filter_map(|service| Some(ServiceJson { name: service.code(), active: active(service)? }))
        .collect()
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
