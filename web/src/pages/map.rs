//! The fleet on a map of the world: the countries that have servers, each a link. The shapes are an asset of their own,
//! `world.svg`, which browsers keep.

use std::sync::LazyLock;

use mect_fleet::Coordinates;
use mect_fleet::ranking::distance::of_country;

use crate::pages::filter::FleetQuery;
use crate::pages::row::{HOT, WARM};
use crate::pages::summary::{Country, Summary};
use crate::pages::{assets, format};

/// Codes that `world.svg` has a shape for: the others are too small to be seen at its scale.
static SHAPES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let world = include_str!("../../assets/vendored/world.svg");
    let mut codes: Vec<_> = world.split("id=\"").filter_map(|rest| rest.split_once('"')).map(|(id, _)| id).collect();
    codes.sort_unstable();
    codes
});

/// Radius of a country without a shape, of a map that is 2,000 wide.
pub(crate) const DOT: f64 = 13.0;

/// A country that has servers.
pub(crate) struct Place {
    pub(crate) link: String,
    /// Its servers in words.
    pub(crate) title: String,
    /// The worst state of a server there.
    pub(crate) state: &'static str,
    /// How busy its servers are.
    pub(crate) load: &'static str,
    /// Address of its shape; `None` for a dot.
    pub(crate) shape: Option<String>,
    /// Where the dot is.
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// The query asks for it.
    pub(crate) selected: bool,
}

/// The countries of the fleet, dots last: they lie upon their neighbours.
pub(crate) fn places(summary: &Summary, query: &FleetQuery) -> Vec<Place> {
    let known = summary.countries.iter().filter_map(|(code, country)| place(code, country, query));
    let (mut shapes, dots): (Vec<_>, Vec<_>) = known.partition(|place| place.shape.is_some());
    shapes.extend(dots);
    shapes
}

fn place(code: &str, country: &Country, query: &FleetQuery) -> Option<Place> {
    let (x, y) = project(of_country(code)?);
    let is_drawn = SHAPES.binary_search(&code).is_ok();
    let selected = query.country.eq_ignore_ascii_case(code);
    let load = country.mean_load();
    Some(Place {
        link: query.link_with(|query| query.country = if selected { String::new() } else { code.to_owned() }),
        title: title(country),
        state: country.worst(),
        load: match load.map(mect_fleet::reading::percent) {
            Some(percent) if percent >= HOT => "hot",
            Some(percent) if percent >= WARM => "warm",
            _ => "cool",
        },
        shape: is_drawn.then(|| format!("{}#{code}", assets::url("world.svg"))),
        x: x.round(),
        y: y.round(),
        selected,
    })
}

/// `Germany: 12 servers, 1 down, mean load 43 %`.
fn title(country: &Country) -> String {
    let plural = if country.servers == 1 { "" } else { "s" };
    let mut title = format!("{}: {} server{plural}", country.name, format::count(country.servers as u64));
    for (count, word) in [(country.down, "down"), (country.degraded, "degraded"), (country.unverified, "unverified")] {
        if count > 0 {
            title.push_str(&format!(", {count} {word}"));
        }
    }
    if let Some(load) = country.mean_load() {
        title.push_str(&format!(", mean load {}", format::whole_percent(load)));
    }
    title
}

/// Where a point lies on the map, which is 2,000 wide. As `assets/vendored/world.py` draws it: Natural Earth's
/// projection (Šavrič and others, 2011).
fn project(at: Coordinates) -> (f64, f64) {
    const SCALE: f64 = 2000.0 / 5.4655;
    /// The map's northern edge, in units of the projection.
    const TOP: f64 = 1.379_302;
    let (across, up) = (at.longitude().to_radians(), at.latitude().to_radians());
    let p2 = up * up;
    let p4 = p2 * p2;
    let x = across * (0.8707 + p2 * (-0.131979 + p2 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4))));
    let y = up * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)));
    (1000.0 + x * SCALE, (TOP - y) * SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_lie_where_their_shapes_are() {
        assert!(SHAPES.len() > 160, "{}", SHAPES.len());
        for code in ["DE", "PL", "BR", "AU", "ZA", "TH"] {
            let (x, y) = project(of_country(code).unwrap());
            let world = include_str!("../../assets/vendored/world.svg");
            let shape = world.split(&format!("id=\"{code}\" d=\"")).nth(1).unwrap().split('"').next().unwrap();
            // The first point of the shape is not far from its middle, on a map 2,000 wide.
            let first = shape.trim_start_matches('M').split('l').next().unwrap();
            let (near_x, near_y) = first.split_once(' ').unwrap();
            let (near_x, near_y): (f64, f64) = (near_x.parse().unwrap(), near_y.parse().unwrap());
            assert!((x - near_x).abs() < 200.0 && (y - near_y).abs() < 200.0, "{code}: {x} {y}, {first}");
        }
    }
}
