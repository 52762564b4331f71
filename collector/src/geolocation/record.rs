//! What a geolocation database says of a network. Two shapes are common: MaxMind's (GeoLite2, GeoIP2, DB-IP) with names
//! in many languages, and IPinfo's, which is flat.

use mect_fleet::{Coordinates, Place, country};
use serde::Deserialize;

/// Longer names are none.
const MAX_NAME_CHARS: usize = 100;

/// A record of either shape, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    country: Named,
    /// IPinfo Lite, where `country` is a name.
    country_code: Option<String>,
    subdivisions: Vec<Named>,
    region: Option<String>,
    city: Named,
    location: Location,
    lat: Option<Number>,
    lng: Option<Number>,
}

/// A text, or names by language.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    Names {
        #[serde(default)]
        iso_code: Option<String>,
        #[serde(default)]
        names: Names,
    },
}

impl Default for Named {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    en: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// IPinfo writes numbers as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    Text(String),
}

impl Named {
    fn name(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Names { names, .. } => &names.en,
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Names { iso_code, .. } => iso_code.as_deref(),
        }
    }
}

impl Number {
    fn value(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Record {
    /// The place that the record tells.
    pub(super) fn place(self) -> Place {
        let told = self.country.name();
        let code = self.country.code().or(self.country_code.as_deref());
        let code = code.or_else(|| country::name(told).map(|_| told)).or_else(|| country::code(told));
        let code = code.unwrap_or_default().to_ascii_uppercase();
        // Of names that several sources write differently, one serves everybody.
        let name = country::name(&code).map_or_else(|| told.to_owned(), str::to_owned);
        let latitude = self.location.latitude.or_else(|| self.lat.as_ref()?.value());
        let longitude = self.location.longitude.or_else(|| self.lng.as_ref()?.value());
        let coordinates = latitude.zip(longitude).and_then(|(lat, lon)| Coordinates::new(lat, lon).ok());
        let region = self.region.as_deref().or_else(|| Some(self.subdivisions.first()?.name()));
        Place {
            country_code: short(&code),
            country: short(&name),
            region: short(region.unwrap_or_default()),
            city: short(self.city.name()),
            coordinates,
        }
    }
}

fn short(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME_CHARS).collect()
}
