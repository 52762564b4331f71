//! How far a client is from a server.

use crate::ranking::centroids::CENTROIDS;
use crate::server::{Coordinates, Place};

/// Mean radius of the Earth (IUGG).
const EARTH_RADIUS_KM: f64 = 6371.0;
/// This far costs as much as the whole load of a server: light in fibre takes 50 ms for it, one way.
const KM_OF_A_LOAD: f64 = 10_000.0;
/// Assumed of a server whose place is not known: neither first nor last.
const UNKNOWN_KM: f64 = 5_000.0;

/// The middle of the country with that ISO 3166-1 alpha-2 code, upper case.
pub fn of_country(code: &str) -> Option<Coordinates> {
    let place = CENTROIDS.binary_search_by(|(known, ..)| (*known).cmp(code)).ok()?;
    let &(_, latitude, longitude) = CENTROIDS.get(place)?;
    Coordinates::new(latitude.into(), longitude.into()).ok()
}

/// Kilometres along the great circle, by the haversine formula, which stays exact for neighbours.
pub fn between(one: Coordinates, other: Coordinates) -> f64 {
    let (from, to) = (one.latitude().to_radians(), other.latitude().to_radians());
    let north = ((to - from) / 2.0).sin();
    let east = ((other.longitude() - one.longitude()).to_radians() / 2.0).sin();
    let haversine = north * north + from.cos() * to.cos() * east * east;
    2.0 * EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}

/// Kilometres from a client to a server as far as its place is known: at worst the middle of its country.
pub(super) fn km(client: Coordinates, server: &Place) -> Option<f64> {
    let place = server.coordinates.or_else(|| of_country(&server.country_code));
    place.map(|place| between(client, place))
}

/// What that distance adds to a score.
pub(super) fn cost(km: Option<f64>) -> f64 {
    km.unwrap_or(UNKNOWN_KM) / KM_OF_A_LOAD
}
