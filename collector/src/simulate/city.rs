//! Where simulated servers stand.

/// A city with a data centre.
#[derive(Debug, PartialEq)]
pub(super) struct City {
    /// What host names call it, as airports do.
    pub(super) code: &'static str,
    pub(super) city: &'static str,
    pub(super) region: &'static str,
    pub(super) country_code: &'static str,
    pub(super) country: &'static str,
    /// Hours ahead of UTC in winter: the evening peak comes by local time.
    pub(super) utc_offset_hours: f64,
}

const fn city(
    code: &'static str,
    city: &'static str,
    region: &'static str,
    country_code: &'static str,
    country: &'static str,
    utc_offset_hours: f64,
) -> City {
    City { code, city, region, country_code, country, utc_offset_hours }
}

/// In an order in which neighbours are far apart, so that a small fleet spans the world.
pub(super) const CITIES: [City; 30] = [
    city("fra", "Frankfurt am Main", "Hesse", "DE", "Germany", 1.0),
    city("nyc", "New York", "New York", "US", "United States", -5.0),
    city("sin", "Singapore", "Central Region", "SG", "Singapore", 8.0),
    city("lon", "London", "England", "GB", "United Kingdom", 0.0),
    city("tyo", "Tokyo", "Kanto", "JP", "Japan", 9.0),
    city("ams", "Amsterdam", "North Holland", "NL", "Netherlands", 1.0),
    city("sao", "São Paulo", "São Paulo", "BR", "Brazil", -3.0),
    city("syd", "Sydney", "New South Wales", "AU", "Australia", 10.0),
    city("par", "Paris", "Île-de-France", "FR", "France", 1.0),
    city("lax", "Los Angeles", "California", "US", "United States", -8.0),
    city("bom", "Mumbai", "Maharashtra", "IN", "India", 5.5),
    city("sto", "Stockholm", "Stockholm County", "SE", "Sweden", 1.0),
    city("yyz", "Toronto", "Ontario", "CA", "Canada", -5.0),
    city("hkg", "Hong Kong", "Hong Kong", "HK", "Hong Kong", 8.0),
    city("zrh", "Zurich", "Canton of Zurich", "CH", "Switzerland", 1.0),
    city("jnb", "Johannesburg", "Gauteng", "ZA", "South Africa", 2.0),
    city("mad", "Madrid", "Community of Madrid", "ES", "Spain", 1.0),
    city("sel", "Seoul", "Seoul Capital Area", "KR", "South Korea", 9.0),
    city("waw", "Warsaw", "Masovia", "PL", "Poland", 1.0),
    city("chi", "Chicago", "Illinois", "US", "United States", -6.0),
    city("ist", "Istanbul", "Marmara", "TR", "Turkey", 3.0),
    city("mil", "Milan", "Lombardy", "IT", "Italy", 1.0),
    city("dxb", "Dubai", "Dubai", "AE", "United Arab Emirates", 4.0),
    city("hel", "Helsinki", "Uusimaa", "FI", "Finland", 2.0),
    city("mex", "Mexico City", "Mexico City", "MX", "Mexico", -6.0),
    city("vie", "Vienna", "Vienna", "AT", "Austria", 1.0),
    city("dfw", "Dallas", "Texas", "US", "United States", -6.0),
    city("prg", "Prague", "Prague", "CZ", "Czechia", 1.0),
    city("osl", "Oslo", "Oslo", "NO", "Norway", 1.0),
    city("dub", "Dublin", "Leinster", "IE", "Ireland", 0.0),
];
