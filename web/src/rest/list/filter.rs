//! Which servers a client wants.

use mect_fleet::server::Tag;
use mect_fleet::{ServerView, Service};

use crate::error::Error;
use crate::rest::params::Params;

/// Every condition must hold; of a condition's values any. Sorted, so that equal questions are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    /// Codes or names of countries, lower case.
    countries: Vec<String>,
    /// Lower case.
    city: Option<String>,
    /// One of them is active.
    services: Vec<Service>,
    gaming: Option<bool>,
    streaming: Option<bool>,
    paid: Option<bool>,
    tags: Vec<Tag>,
}

impl Filter {
    /// Takes `country`, `city`, `service`, `gaming`, `streaming`, `paid` and `tag` from a query.
    pub(crate) fn take(params: &mut Params) -> Result<Self, Error> {
        Ok(Self {
            countries: params.take_list("country", "", |text| Some(text.to_lowercase()))?,
            city: params.take("city")?.map(|text| text.trim().to_lowercase()),
            services: params.take_list("service", "wg, ov, sq or vr", |text| text.parse().ok())?,
            gaming: params.take_flag("gaming")?,
            streaming: params.take_flag("streaming")?,
            paid: params.take_flag("paid")?,
            tags: params.take_list("tag", "words of a-z, 0-9, `.`, `_`, `:` and `-`", |text| text.parse().ok())?,
        })
    }

    /// True for a server that it lets through.
    pub(crate) fn admits(&self, view: &ServerView) -> bool {
        let (server, place) = (&*view.server, &view.server.place);
        let is = |wanted: Option<bool>, flag: bool| wanted.is_none_or(|wanted| wanted == flag);
        is(self.gaming, server.gaming)
            && is(self.streaming, server.streaming)
            && is(self.paid, server.paid)
            && any(&self.countries, |country| same(country, &place.country_code) || same(country, &place.country))
            && self.city.as_ref().is_none_or(|city| same(city, &place.city))
            && any(&self.tags, |tag| server.tags.contains(tag))
            && any(&self.services, |service| is_active(view, *service))
    }
}

/// No wish is granted by everyone.
fn any<T>(wanted: &[T], has: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(has)
}

/// Compares without regard to case; `lower` is lower case already. ASCII, the usual case, costs no allocation.
fn same(lower: &str, text: &str) -> bool {
    lower.eq_ignore_ascii_case(text) || !text.is_ascii() && lower == text.to_lowercase()
}

fn is_active(view: &ServerView, wanted: Service) -> bool {
    let reading = view.current_reading();
    reading.is_some_and(|reading| reading.services.iter().any(|unit| unit.service == wanted && unit.active))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_script() {
        assert!(same("zürich", "Zürich") && same("zürich", "ZÜRICH") && same("de", "DE") && same("москва", "Москва"));
        assert!(!same("de", "D") && !same("zurich", "Zürich") && !same("", "x"));
    }
}
