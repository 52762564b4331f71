//! Where a server stands, and who says so.
//!
//! Three sources may tell, in this order of precedence: an operator's edit by hand, the labels of its target, and a
//! geolocation database. Each is kept in a [layer](Layers) of its own, so that an edit taken back brings to light what
//! the next source says. A country is one fact: what a lower source says of another country than the one that was
//! decided is left aside, and so are its region and city.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::country;

/// Millionths of a degree in a degree: 0.1 m on the ground.
const MICRO: f64 = 1_000_000.0;

/// A point on the earth, in steps of a millionth of a degree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Degrees", into = "Degrees")]
pub struct Coordinates {
    latitude: i32,
    longitude: i32,
}

/// How coordinates are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Degrees {
    lat: f64,
    lon: f64,
}

/// Numbers that name no point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not coordinates: lat must lie in -90 to 90 and lon in -180 to 180")]
pub struct InvalidCoordinates;

impl Coordinates {
    /// The point at these degrees, north and east positive.
    ///
    /// # Errors
    /// The latitude is beyond ±90, the longitude beyond ±180, or one is no number.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, InvalidCoordinates> {
        if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
            return Err(InvalidCoordinates);
        }
        let micro = |degrees: f64| (degrees * MICRO).round() as i32;
        Ok(Self { latitude: micro(latitude), longitude: micro(longitude) })
    }

    /// Degrees north of the equator.
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude) / MICRO
    }

    /// Degrees east of Greenwich.
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude) / MICRO
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.latitude(), self.longitude())
    }
}

impl TryFrom<Degrees> for Coordinates {
    type Error = InvalidCoordinates;
    fn try_from(degrees: Degrees) -> Result<Self, InvalidCoordinates> {
        Self::new(degrees.lat, degrees.lon)
    }
}

impl From<Coordinates> for Degrees {
    fn from(point: Coordinates) -> Self {
        Self { lat: point.latitude(), lon: point.longitude() }
    }
}

/// Where a server stands. Every part may be unknown (empty).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// ISO 3166-1 alpha-2, upper case, for example `DE`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country_code: String,
    /// English name, for example `Germany`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// State or region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// City.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub city: String,
    /// The point; of a database often the middle of the city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
}

impl Place {
    /// True when nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The country's code: as said, or as its name tells.
    fn code(&self) -> &str {
        if self.country_code.is_empty() { country::code(&self.country).unwrap_or_default() } else { &self.country_code }
    }

    /// The country's name: as said, or as its code tells.
    fn name(&self) -> &str {
        if self.country.is_empty() { country::name(&self.country_code).unwrap_or_default() } else { &self.country }
    }
}

/// A source of what is known of a place, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An operator wrote it.
    Hand,
    /// The labels of its target, or the agent that reports it.
    Labels,
    /// A geolocation database, or what the old system had looked up.
    Database,
}

impl Origin {
    /// Every source, the strongest first.
    pub const ALL: [Self; 3] = [Self::Hand, Self::Labels, Self::Database];

    /// The word in REST.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Labels => "labels",
            Self::Database => "database",
        }
    }
}

/// Who says each part of a place; `None` where nobody does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Origins {
    /// Of code and name.
    pub country: Option<Origin>,
    /// Of the region.
    pub region: Option<Origin>,
    /// Of the city.
    pub city: Option<Origin>,
    /// Of the coordinates.
    pub coordinates: Option<Origin>,
}

/// What one source says of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layer {
    /// Its name for people; empty when the source gives none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
}

impl Layer {
    fn is_empty(&self) -> bool {
        self.hostname.is_empty() && self.place.is_unknown()
    }
}

/// What each source says of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layers {
    /// See [`Origin::Hand`].
    #[serde(skip_serializing_if = "Layer::is_empty")]
    pub hand: Layer,
    /// See [`Origin::Labels`].
    #[serde(skip_serializing_if = "Layer::is_empty")]
    pub labels: Layer,
    /// See [`Origin::Database`].
    #[serde(skip_serializing_if = "Layer::is_empty")]
    pub database: Layer,
}

impl Layers {
    /// True when no source said anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a source says.
    pub fn get(&self, origin: Origin) -> &Layer {
        match origin {
            Origin::Hand => &self.hand,
            Origin::Labels => &self.labels,
            Origin::Database => &self.database,
        }
    }

    /// What a source says, to be changed.
    pub fn get_mut(&mut self, origin: Origin) -> &mut Layer {
        match origin {
            Origin::Hand => &mut self.hand,
            Origin::Labels => &mut self.labels,
            Origin::Database => &mut self.database,
        }
    }

    /// The name that the strongest source gives; `None` when none does.
    pub fn hostname(&self) -> Option<&str> {
        Origin::ALL.into_iter().map(|origin| self.get(origin).hostname.as_str()).find(|name| !name.is_empty())
    }

    /// The place that all sources together give, and who says which part.
    pub fn place(&self) -> (Place, Origins) {
        let (mut place, mut origins) = (Place::default(), Origins::default());
        for origin in Origin::ALL {
            let said = &self.get(origin).place;
            let code = said.code();
            let is_elsewhere = !place.country_code.is_empty() && !code.is_empty() && code != place.country_code;
            if is_elsewhere {
                continue;
            }
            if origins.country.is_none() && (!said.country_code.is_empty() || !said.country.is_empty()) {
                (place.country_code, place.country) = (code.to_owned(), said.name().to_owned());
                origins.country = Some(origin);
            }
            let is_other_city = !place.city.is_empty() && !said.city.is_empty() && said.city != place.city;
            if origins.coordinates.is_none() && said.coordinates.is_some() && !is_other_city {
                (place.coordinates, origins.coordinates) = (said.coordinates, Some(origin));
            }
            if origins.region.is_none() && !said.region.is_empty() {
                place.region.clone_from(&said.region);
                origins.region = Some(origin);
            }
            if origins.city.is_none() && !said.city.is_empty() {
                place.city.clone_from(&said.city);
                origins.city = Some(origin);
            }
        }
        (place, origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(code: &str, city: &str, point: Option<(f64, f64)>) -> Layer {
        let coordinates = point.map(|(lat, lon)| Coordinates::new(lat, lon).unwrap());
        let place = Place { country_code: code.into(), city: city.into(), coordinates, ..Place::default() };
        Layer { hostname: String::new(), place }
    }

    #[test]
    fn coordinates_keep_six_digits_and_lie_on_the_earth() {
        let point = Coordinates::new(50.110_924_4, -8.682_127).unwrap();
        assert_eq!((point.latitude(), point.longitude()), (50.110_924, -8.682_127));
        assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"lat":50.110924,"lon":-8.682127}"#);
        assert_eq!(serde_json::from_str::<Coordinates>(r#"{"lat":50.110924,"lon":-8.682127}"#).unwrap(), point);
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Coordinates::new(latitude, longitude), Err(InvalidCoordinates));
        }
        assert!(serde_json::from_str::<Coordinates>(r#"{"lat":91,"lon":0}"#).is_err());
    }

    #[test]
    fn the_stronger_source_wins_field_by_field() {
        let layers = Layers {
            hand: layer("", "Offenbach", None),
            labels: layer("DE", "Frankfurt", None),
            database: layer("DE", "Berlin", Some((52.5, 13.4))),
        };
        let (place, origins) = layers.place();
        assert_eq!((place.country_code.as_str(), place.country.as_str()), ("DE", "Germany"));
        assert_eq!((place.city.as_str(), place.coordinates), ("Offenbach", None), "that point is another city's");
        assert_eq!((origins.country, origins.city), (Some(Origin::Labels), Some(Origin::Hand)));
        assert_eq!((origins.region, origins.coordinates), (None, None));
    }

    #[test]
    fn what_a_weaker_source_says_of_another_country_is_left_aside() {
        let layers = Layers {
            labels: layer("DE", "", None),
            database: layer("NL", "Amsterdam", Some((52.4, 4.9))),
            ..Layers::default()
        };
        let (place, origins) = layers.place();
        assert_eq!((place.country.as_str(), place.city.as_str(), place.coordinates), ("Germany", "", None));
        assert_eq!((origins.country, origins.city), (Some(Origin::Labels), None));
        let (place, _) = Layers { labels: Layer::default(), ..layers }.place();
        assert_eq!((place.country.as_str(), place.city.as_str()), ("Netherlands", "Amsterdam"));
    }

    #[test]
    fn a_country_given_by_name_has_a_code() {
        let place = Place { country: "France".into(), ..Place::default() };
        let layers = Layers { hand: Layer { place, ..Layer::default() }, ..Layers::default() };
        assert_eq!(layers.place().0.country_code, "FR");
    }
}
