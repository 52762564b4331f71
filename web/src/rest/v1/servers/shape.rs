//! A server as `/api/v1` shows it.

use mect_fleet::reading::percent;
use mect_fleet::server::Origins;
use mect_fleet::{Coordinates, Period, Reading, ServerView, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::endpoints::EndpointState;

/// A server: what the inventory says, and what the scrapes tell.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Server)]
pub(crate) struct ServerView1 {
    /// Identity, never reused.
    #[schema(example = "srv-k3v9xw2p")]
    id: String,
    /// Address, unique: an IP address or a host name.
    ip: String,
    /// Name for people.
    hostname: String,
    /// ISO 3166-1 alpha-2; empty when unknown.
    country_code: String,
    /// English name; empty when unknown.
    country: String,
    /// Empty when unknown.
    region: String,
    /// Empty when unknown.
    city: String,
    /// Null when unknown.
    #[schema(value_type = Option<Point>)]
    coordinates: Option<Coordinates>,
    /// Who says which part of the place.
    origins: OriginsView,
    /// Offered for games.
    gaming: bool,
    /// Offered for video streaming.
    streaming: bool,
    /// For paying clients only.
    paid: bool,
    /// Never deleted for silence.
    #[serde(rename = "static")]
    is_static: bool,
    /// Words that group servers.
    tags: Vec<String>,
    /// What the operator wants to remember.
    notes: String,
    /// What the uplink carries, if the operator says so.
    capacity_bytes_per_second: Option<u64>,
    /// What the operator wants.
    intent: IntentView,
    /// Announced itself and waits to be let in.
    awaits_approval: bool,
    /// Reported by an agent of the old system.
    pushed: bool,
    /// Its page, if it was added by REST or announced itself.
    target: Option<TargetView>,
    /// Endpoints beside the main one; empty for most servers.
    endpoints: Vec<EndpointView>,
    /// A target of it is being scraped, or an agent reports it.
    monitored: bool,
    /// `pending`, `active`, `degraded` or `down`. Says nothing of what the operator wants.
    health: &'static str,
    /// Since when.
    health_since: Option<String>,
    /// `GET /servers` shows it to clients.
    listed: bool,
    /// What is shown is old, whoever is to blame.
    stale: bool,
    /// Its checks fail, but the collector's own network may be to blame: it is shown as it was before.
    unverified: bool,
    /// Why the latest scrape failed; null when it worked.
    failure: Option<FailureView>,
    /// What the latest heartbeat said; null while nothing is known.
    load: Option<LoadView>,
    /// Clients connected.
    sessions: Option<u32>,
    /// Kinds of service; active when any of its units is.
    services: Vec<ServiceView>,
    /// The host behind it, as its page says; null while no page did.
    #[schema(example = "7a5160781fbe4e8394769e45f7cb3131")]
    host_id: Option<String>,
    /// Another host that answers under its address, or did since; `PATCH` with this as `host_id` accepts it.
    other_host_id: Option<String>,
    first_heartbeat: Option<String>,
    last_heartbeat: Option<String>,
    registered_at: String,
    /// Grows with every change by an operator or a target's labels; also the `ETag`.
    revision: u64,
}

/// A point on the earth, in degrees.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct Point {
    #[schema(minimum = -90, maximum = 90)]
    lat: f64,
    #[schema(minimum = -180, maximum = 180)]
    lon: f64,
}

/// `hand`, `labels` or `database`; null where nobody says anything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OriginsView {
    country: Option<&'static str>,
    region: Option<&'static str>,
    city: Option<&'static str>,
    coordinates: Option<&'static str>,
}

/// What the operator wants of a server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntentView {
    /// Listed to clients.
    pub(crate) enabled: bool,
    /// New clients go elsewhere; null when not, or no longer.
    draining: Option<PeriodView>,
    /// Being worked on; null when not, or no longer.
    maintenance: Option<PeriodView>,
}

/// From an instant until another one, or until an operator ends it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeriodView {
    since: String,
    until: Option<String>,
}

/// A page that is scraped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetView {
    /// URL of the exporter's page.
    address: String,
    /// Credentials may travel unencrypted to it.
    insecure_credentials: bool,
    /// How it is reached, by name; `null` in the usual way.
    access: Option<String>,
    /// URLs of pages of other exporters on the same host.
    endpoints: Vec<String>,
}

/// A further endpoint, as the latest heartbeat says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointView {
    /// URL of its page.
    url: String,
    /// `up`, `down` or `unknown`: what the latest scrape says, without memory.
    health: &'static str,
    /// Why it failed, for a person; null when it worked.
    error: Option<String>,
    /// Failures in a row; once they are as many as make a server fall, the server is degraded.
    failures: u32,
    /// Samples on its page.
    samples: u32,
    /// How long the scrape took.
    duration_ms: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureView {
    /// One of a closed set of words.
    #[schema(example = "conn_refused")]
    reason: &'static str,
    /// What was seen, for a person.
    detail: String,
}

/// In percent, 0 to 100 with two decimals.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoadView {
    cpu: Option<f64>,
    ram: Option<f64>,
    net: Option<f64>,
    /// The largest of them.
    bottleneck: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// `wg`, `ov`, `sq` or `vr`.
    name: &'static str,
    active: bool,
}

impl ServerView1 {
    /// The server of a view.
    pub(crate) fn of(view: &ServerView) -> Self {
        let (server, standing) = (&*view.server, &view.standing);
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let reading = standing.reading.as_ref();
        Self {
            id: server.id.to_string(),
            ip: server.ip.clone(),
            hostname: server.hostname.clone(),
            country_code: server.place.country_code.clone(),
            country: server.place.country.clone(),
            region: server.place.region.clone(),
            city: server.place.city.clone(),
            coordinates: server.place.coordinates,
            origins: OriginsView::of(server.origins()),
            gaming: server.gaming,
            streaming: server.streaming,
            paid: server.paid,
            is_static: server.is_static,
            tags: server.tags.iter().map(ToString::to_string).collect(),
            notes: server.notes.clone(),
            capacity_bytes_per_second: server.capacity_bytes_per_second,
            intent: IntentView {
                enabled: server.enabled,
                draining: server.draining.filter(|_| view.draining).map(PeriodView::of),
                maintenance: server.maintenance.filter(|_| view.in_maintenance).map(PeriodView::of),
            },
            awaits_approval: server.awaits_approval,
            pushed: server.pushed,
            target: server.target.as_ref().map(|target| TargetView {
                address: target.endpoint.to_string(),
                insecure_credentials: target.insecure_credentials,
                access: target.access.clone(),
                endpoints: target.further.iter().map(|page| page.endpoint.to_string()).collect(),
            }),
            endpoints: reading.into_iter().flat_map(|reading| endpoints(view, reading)).collect(),
            monitored: view.monitored,
            health: view.health().name(),
            health_since: text(standing.state.since),
            listed: view.is_listed(),
            stale: view.stale,
            unverified: view.is_unverified(),
            failure: standing
                .last_failure
                .as_ref()
                .map(|failure| FailureView { reason: failure.reason.name(), detail: failure.detail.to_string() }),
            load: reading.map(|reading| LoadView {
                cpu: reading.cpu.map(percent),
                ram: reading.ram.map(percent),
                net: reading.net.map(percent),
                bottleneck: reading.load().map(percent),
            }),
            sessions: reading.and_then(|reading| reading.sessions),
            services: reading
                .into_iter()
                .flat_map(|reading| reading.by_service())
                .map(|(service, active)| ServiceView { name: service.code(), active })
                .collect(),
            host_id: standing.host.map(|host| host.to_string()),
            other_host_id: standing.stranger.map(|host| host.to_string()),
            first_heartbeat: text(standing.first_heartbeat),
            last_heartbeat: text(standing.last_heartbeat),
            registered_at: server.registered_at.to_string(),
            revision: server.revision,
        }
    }
}

fn endpoints(view: &ServerView, reading: &Reading) -> Vec<EndpointView> {
    let shown = |url: &str| {
        let EndpointState { health, error, duration_ms, samples, failures, .. } = EndpointState::of(view, url);
        EndpointView { url: url.to_owned(), health, error, failures, samples, duration_ms }
    };
    reading.endpoints.iter().map(|told| shown(&told.url)).collect()
}

impl OriginsView {
    fn of(origins: Origins) -> Self {
        let [country, region, city, coordinates] =
            [origins.country, origins.region, origins.city, origins.coordinates].map(|origin| origin.map(|o| o.name()));
        Self { country, region, city, coordinates }
    }
}

impl PeriodView {
    fn of(period: Period) -> Self {
        Self { since: period.since.to_string(), until: period.until.map(|until| until.to_string()) }
    }
}
