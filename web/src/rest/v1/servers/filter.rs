//! Which servers are meant. Every condition must hold; of the values of one condition any.

use mect_fleet::{Health, ServerView, Service, Tag};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;
use crate::rest::params::Params;

/// Conditions on servers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Judged states: `pending`, `active`, `degraded`, `down`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    status: Vec<Health>,
    /// Codes or names of countries.
    #[serde(default)]
    country: Vec<String>,
    /// Name of the city.
    city: Option<String>,
    /// Kinds of service that are active: `wg`, `ov`, `sq`, `vr`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    service: Vec<Service>,
    /// Words that the server carries, all of them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tag: Vec<Tag>,
    /// Part of address, host name, place, tags or notes.
    text: Option<String>,
    gaming: Option<bool>,
    streaming: Option<bool>,
    paid: Option<bool>,
    enabled: Option<bool>,
    draining: Option<bool>,
    maintenance: Option<bool>,
    awaits_approval: Option<bool>,
    /// Reported by an agent of the old system.
    pushed: Option<bool>,
    #[serde(rename = "static")]
    is_static: Option<bool>,
    /// Identities, in a body only.
    #[schema(value_type = Option<Vec<String>>)]
    ids: Option<Vec<mect_fleet::ServerId>>,
}

/// The same, as parameters of a query: several values of one are separated by commas.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct FilterParams {
    /// Judged states: `pending`, `active`, `degraded`, `down`.
    #[param(required = false)]
    status: String,
    /// Codes or names of countries.
    #[param(required = false)]
    country: String,
    /// Name of the city.
    #[param(required = false)]
    city: String,
    /// Kinds of service that are active: `wg`, `ov`, `sq`, `vr`.
    #[param(required = false)]
    service: String,
    /// Words that the server carries, all of them.
    #[param(required = false)]
    tag: String,
    /// Part of address, host name, place, tags or notes.
    #[param(required = false)]
    text: String,
    #[param(required = false)]
    gaming: bool,
    #[param(required = false)]
    streaming: bool,
    #[param(required = false)]
    paid: bool,
    #[param(required = false)]
    enabled: bool,
    #[param(required = false)]
    draining: bool,
    #[param(required = false)]
    maintenance: bool,
    #[param(required = false)]
    awaits_approval: bool,
    #[param(required = false)]
    pushed: bool,
    #[serde(rename = "static")]
    #[param(required = false)]
    is_static: bool,
}

impl Filter {
    /// Takes the conditions from a query.
    pub(crate) fn take(params: &mut Params) -> Result<Self, Error> {
        let health = |text: &str| Health::ALL.into_iter().find(|health| health.name() == text);
        let filter = Self {
            status: params.take_list("status", "pending, active, degraded or down", health)?,
            country: params.take_list("country", "", |text| Some(text.to_owned()))?,
            city: params.take("city")?,
            service: params.take_list("service", "wg, ov, sq or vr", |text| text.parse().ok())?,
            tag: params.take_list("tag", "a tag", |text| text.parse().ok())?,
            text: params.take("text")?,
            gaming: params.take_flag("gaming")?,
            streaming: params.take_flag("streaming")?,
            paid: params.take_flag("paid")?,
            enabled: params.take_flag("enabled")?,
            draining: params.take_flag("draining")?,
            maintenance: params.take_flag("maintenance")?,
            awaits_approval: params.take_flag("awaits_approval")?,
            pushed: params.take_flag("pushed")?,
            is_static: params.take_flag("static")?,
            ids: None,
        };
        Ok(filter.lower())
    }

    /// Compared without regard to case.
    pub(crate) fn lower(mut self) -> Self {
        self.country.iter_mut().for_each(|country| *country = country.to_lowercase());
        self.city = self.city.map(|city| city.trim().to_lowercase());
        self.text = self.text.map(|text| text.trim().to_lowercase());
        self
    }

    /// True when it lets every server through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True for a server that it lets through. `lower` was called before.
    pub(crate) fn admits(&self, view: &ServerView) -> bool {
        let (server, place) = (&*view.server, &view.server.place);
        let is = |wanted: Option<bool>, flag: bool| wanted.is_none_or(|wanted| wanted == flag);
        is(self.gaming, server.gaming)
            && is(self.streaming, server.streaming)
            && is(self.paid, server.paid)
            && is(self.enabled, server.enabled)
            && is(self.draining, view.draining)
            && is(self.maintenance, view.in_maintenance)
            && is(self.awaits_approval, server.awaits_approval)
            && is(self.pushed, server.pushed)
            && is(self.is_static, server.is_static)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&server.id))
            && self.tag.iter().all(|tag| server.tags.contains(tag))
            && any(&self.status, |health| *health == view.health())
            && any(&self.country, |country| same(country, &place.country_code) || same(country, &place.country))
            && self.city.as_ref().is_none_or(|city| same(city, &place.city))
            && any(&self.service, |service| is_active(view, *service))
            && self.text.as_ref().is_none_or(|text| mentions(view, text))
    }
}

fn any<T>(wanted: &[T], has: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(has)
}

fn same(lower: &str, text: &str) -> bool {
    lower.eq_ignore_ascii_case(text) || !text.is_ascii() && lower == text.to_lowercase()
}

fn is_active(view: &ServerView, wanted: Service) -> bool {
    let reading = view.current_reading();
    reading.is_some_and(|reading| reading.by_service().any(|(service, active)| service == wanted && active))
}

fn mentions(view: &ServerView, lower: &str) -> bool {
    let (server, place) = (&view.server, &view.server.place);
    let texts = [&server.ip, &server.hostname, &place.country, &place.region, &place.city, &server.notes];
    texts.into_iter().any(|text| text.to_lowercase().contains(lower))
        || server.tags.iter().any(|tag| tag.as_str().contains(lower))
}
