//! The orders of a list of servers, and the places in them that cursors hold.

use std::cmp::Ordering;
use std::sync::Arc;

use mect_fleet::{ServerId, ServerView};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::error::Error;
use crate::rest::params::Params;
use crate::rest::v1::page::{Page, Window};

/// An order. Servers that are equal in it are in the order of their identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sort {
    by: By,
    descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Hostname,
    Ip,
    Country,
    City,
    Health,
    Load,
    RegisteredAt,
}

/// The parameter that chooses an order, for the description of REST.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub(crate) struct SortParams {
    /// `hostname`, `ip`, `country`, `city`, `health`, `load` or `registered_at`; with `-` in front the other way round.
    #[param(required = false, default = "hostname")]
    sort: String,
}

/// A place in a list of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    sort: Sort,
    key: Key<String>,
    id: ServerId,
}

/// What servers are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key<T> {
    Text(T),
    Number(i64),
}

impl By {
    const ALL: [(&'static str, Self); 7] = [
        ("hostname", Self::Hostname),
        ("ip", Self::Ip),
        ("country", Self::Country),
        ("city", Self::City),
        ("health", Self::Health),
        ("load", Self::Load),
        ("registered_at", Self::RegisteredAt),
    ];

    fn key(self, view: &ServerView) -> Key<&str> {
        let server = &view.server;
        match self {
            Self::Hostname => Key::Text(&server.hostname),
            Self::Ip => Key::Text(&server.ip),
            Self::Country => Key::Text(&server.place.country),
            Self::City => Key::Text(&server.place.city),
            Self::Health => Key::Number(view.health().code().into()),
            // Unknown before idle.
            Self::Load => Key::Number(view.load().map_or(-1, |load| (f64::from(load) * 1e6) as i64)),
            Self::RegisteredAt => Key::Number(server.registered_at.as_millis()),
        }
    }
}

impl Key<String> {
    fn borrowed(&self) -> Key<&str> {
        match self {
            Self::Text(text) => Key::Text(text),
            Self::Number(number) => Key::Number(*number),
        }
    }
}

impl Key<&str> {
    fn owned(&self) -> Key<String> {
        match self {
            Self::Text(text) => Key::Text((*text).to_owned()),
            Self::Number(number) => Key::Number(*number),
        }
    }
}

impl Sort {
    /// Takes `sort` from a query.
    pub(super) fn take(params: &mut Params) -> Result<Self, Error> {
        let names: Vec<_> = By::ALL.iter().map(|(name, _)| *name).collect();
        let allowed = format!("{}, with - in front for the other way round", names.join(", "));
        let sort = params.take_as("sort", allowed, |text| {
            let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
            let (_, by) = By::ALL.into_iter().find(|(known, _)| *known == name)?;
            Some(Self { by, descending })
        })?;
        Ok(sort.unwrap_or(Self { by: By::Hostname, descending: false }))
    }

    /// The page of `found` that `window` asks for.
    pub(super) fn page<'a>(
        self,
        found: &mut Vec<&'a Arc<ServerView>>,
        window: &Window<Place>,
    ) -> Result<Page<&'a Arc<ServerView>>, Error> {
        if let Some(after) = &window.after {
            if after.sort != self {
                return Err(Error::Invalid("cursor: from a list in another order; keep `sort` as it was".to_owned()));
            }
            found.retain(|view| self.order(&self.place(view), &(after.key.borrowed(), after.id)) == Ordering::Greater);
        }
        let compare = |a: &&Arc<ServerView>, b: &&Arc<ServerView>| self.order(&self.place(a), &self.place(b));
        // Of 50,000 only the page need be in order.
        if found.len() > window.limit + 1 {
            found.select_nth_unstable_by(window.limit, compare);
            found.truncate(window.limit + 1);
        }
        found.sort_unstable_by(compare);
        let place = |view: &&Arc<ServerView>| {
            let (key, id) = self.place(view);
            Place { sort: self, key: key.owned(), id }
        };
        Ok(Page::of(std::mem::take(found), window.limit, place))
    }

    fn place(self, view: &ServerView) -> (Key<&str>, ServerId) {
        (self.by.key(view), view.server.id)
    }

    fn order(self, a: &(Key<&str>, ServerId), b: &(Key<&str>, ServerId)) -> Ordering {
        if self.descending { b.cmp(a) } else { a.cmp(b) }
    }
}
