//! `GET /api/v1/recommendations`: the servers that one client is best sent to.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::Uri;
use mect_fleet::ranking::{Recommendation, Seed, recommend};
use mect_fleet::reading::percent;
use mect_fleet::server::Coordinates;
use mect_fleet::{FleetView, Timestamp};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::client::ClientAddress;
use crate::error::Error;
use crate::rest::list::described::{FilterParams, RecommendationParams};
use crate::rest::list::filter::Filter;
use crate::rest::params::Params;
use crate::rest::server_json::{self, ServiceJson};

/// Unless the client asks for another number.
const DEFAULT_LIMIT: usize = 10;
/// Nobody tries a hundred servers.
const MAX_LIMIT: usize = 100;
/// Longest server id or address.
const MAX_NAME_BYTES: usize = 253;

/// What a client asks.
struct Wish {
    filter: Filter,
    place: Option<Coordinates>,
    /// Ids and addresses.
    exclude: HashSet<String>,
    limit: usize,
    seed: Option<String>,
}

impl Wish {
    fn of(uri: &Uri) -> Result<Self, Error> {
        let mut params = Params::of(uri)?;
        let (latitude, longitude) = (params.take_degrees("lat", 90.0)?, params.take_degrees("lon", 180.0)?);
        let place = match (latitude, longitude) {
            (None, None) => None,
            (Some(latitude), Some(longitude)) => Coordinates::new(latitude, longitude).ok(),
            (None, Some(_)) => return Err(Error::Invalid("lat: missing; give lat and lon, or neither".to_owned())),
            (Some(_), None) => return Err(Error::Invalid("lon: missing; give lat and lon, or neither".to_owned())),
        };
        let name = |text: &str| (text.len() <= MAX_NAME_BYTES).then(|| text.to_owned());
        let wish = Self {
            filter: Filter::take(&mut params)?,
            place,
            exclude: params.take_list("exclude", "server ids or addresses", name)?.into_iter().collect(),
            limit: params.take_count("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            seed: params.take("seed")?,
        };
        params.finish()?;
        Ok(wish)
    }

    fn grant(&self, view: &FleetView, seed: Seed) -> Recommendations {
        let excluded = |one: &mect_fleet::ServerView| {
            self.exclude.contains(&one.server.ip) || self.exclude.contains(&one.server.id.to_string())
        };
        let servers = view
            .ranked()
            .iter()
            .filter(|one| self.filter.admits(one))
            .filter(|one| self.exclude.is_empty() || !excluded(one));
        let chosen = recommend(servers, self.place, seed, self.limit);
        Recommendations {
            data_age_seconds: view.data_at().map(|at| Timestamp::now().since(at).as_secs()),
            recommendations: chosen.iter().map(RecommendationJson::of).collect(),
        }
    }
}

/// What is answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Recommendations {
    /// Since the newest heartbeat of a server for clients; null when there is no such server.
    data_age_seconds: Option<u64>,
    recommendations: Vec<RecommendationJson>,
}

/// One server, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Recommendation)]
struct RecommendationJson {
    server_id: String,
    ip: String,
    hostname: String,
    #[serde(rename = "countryCode")]
    country_code: String,
    country: String,
    city: String,
    services: Vec<ServiceJson>,
    /// Of the bottleneck, in percent; null when unknown.
    load: Option<f64>,
    /// Kilometres; null when the place of server or client is not known.
    distance_km: Option<f64>,
    /// Servers of one band are about as good; each client gets them in an order of its own.
    band: usize,
    /// The sum of the parts, lower is better.
    score: f64,
    parts: Parts,
}

/// What a score is made of.
#[derive(Serialize, ToSchema)]
#[schema(as = ScoreParts)]
struct Parts {
    load: f64,
    distance: f64,
    degraded: f64,
    slow_start: f64,
}

impl RecommendationJson {
    fn of(one: &Recommendation<'_>) -> Self {
        let (view, server, score) = (&one.server, &one.server.server, &one.score);
        let round = server_json::four_decimals;
        Self {
            server_id: server.id.to_string(),
            ip: server.ip.clone(),
            hostname: server.hostname.clone(),
            country_code: server.place.country_code.clone(),
            country: server.place.country.clone(),
            city: server.place.city.clone(),
            services: view.current_reading().map(server_json::services).unwrap_or_default(),
            load: view.load().map(percent),
            distance_km: one.km.map(f64::round),
            band: one.band,
            score: round(score.total()),
            parts: Parts {
                load: round(score.load),
                distance: round(score.distance),
                degraded: round(score.degraded),
                slow_start: round(score.slow_start),
            },
        }
    }
}

/// The servers that this client is best sent to, and why.
///
/// Servers that are about as good form a band; within it each client gets its own order, which stays the same from call
/// to call. So a hundred thousand clients do not all take number one.
#[utoipa::path(
    get, path = "/api/v1/recommendations", tag = "servers", operation_id = "recommend_servers",
    params(RecommendationParams, FilterParams),
    responses(
        (status = 200, description = "Best first", body = Recommendations),
        (status = 414, description = "The query is longer than 4096 bytes"),
    )
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    identity: Identity,
    client: ClientAddress,
    uri: Uri,
) -> Result<Json<Recommendations>, Error> {
    let wish = Wish::of(&uri)?;
    let seed = match &wish.seed {
        Some(seed) => Seed::of(seed.as_bytes()),
        None => seed(&identity.user().username, client),
    };
    let view = Arc::clone(&app.fleet.view());
    // 50,000 servers take milliseconds: not on a thread that serves others.
    let granted = spawn_blocking(move || wish.grant(&view, seed)).await;
    granted.map(Json).map_err(|error| Error::Internal(Box::new(error)))
}

/// The same client, as far as we can tell: user and address together, because all copies of an app may share a user,
/// and all users of a house an address.
fn seed(username: &str, client: ClientAddress) -> Seed {
    let mut identity = username.as_bytes().to_vec();
    identity.push(0);
    match client.0 {
        Some(IpAddr::V4(address)) => identity.extend(address.octets()),
        // The network alone: the rest changes by the hour (RFC 8981).
        Some(IpAddr::V6(address)) => identity.extend(address.octets().iter().take(8)),
        None => {}
    }
    Seed::of(&identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_user_and_network() {
        let seed = |user, address: &str| super::seed(user, ClientAddress(Some(address.parse().unwrap())));
        assert_eq!(seed("app", "192.0.2.1"), seed("app", "192.0.2.1"));
        assert_ne!(seed("app", "192.0.2.1"), seed("app", "192.0.2.2"));
        assert_ne!(seed("app", "192.0.2.1"), seed("other", "192.0.2.1"));
        assert_eq!(seed("app", "2001:db8::1"), seed("app", "2001:db8::ffff:2"));
        assert_ne!(seed("app", "2001:db8::1"), seed("app", "2001:db8:0:1::1"));
    }
}
