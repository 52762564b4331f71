//! What `GET /servers` can be asked.

use std::sync::Arc;

use http::Uri;
use mect_fleet::{FleetView, ServerView, ranking};

use crate::error::Error;
use crate::rest::list::fields::{self, Fields};
use crate::rest::list::filter::Filter;
use crate::rest::params::Params;

/// More servers than anybody runs.
const MAX_LIMIT: usize = 1_000_000;

/// A query in one form: what means the same is equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct ListQuery {
    /// Also those that are down, pending or disabled.
    pub(crate) all: bool,
    filter: Filter,
    /// By score the servers for clients, by host name all servers.
    sort: Option<Sort>,
    pub(super) fields: Option<Fields>,
    limit: Option<usize>,
}

/// An order of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sort {
    by: Key,
    descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Score,
    Load,
    Hostname,
    Country,
    City,
}

impl Key {
    const ALL: [Self; 5] = [Self::Score, Self::Load, Self::Hostname, Self::Country, Self::City];

    const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Load => "load",
            Self::Hostname => "hostname",
            Self::Country => "country",
            Self::City => "city",
        }
    }
}

impl ListQuery {
    /// Reads the query of `GET /servers`. Names that mean nothing are left alone, as the old API did.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        // What nearly every client asks for, every minute.
        if uri.query().is_none_or(str::is_empty) {
            return Ok(Self::default());
        }
        let mut params = Params::of(uri)?;
        let any_field = format!("some of {}", fields::NAMES.join(", "));
        let fields = params.take_list("fields", any_field, Fields::place)?;
        Ok(Self {
            all: params.take_flag("all_servers")?.unwrap_or(false),
            filter: Filter::take(&mut params)?,
            sort: params.take_as("sort", "score, load, hostname, country or city, or one of them after a `-`", sort)?,
            fields: (!fields.is_empty()).then(|| Fields::new(fields)),
            limit: params.take_count("limit", MAX_LIMIT)?,
        })
    }

    /// True for the two lists that have always been: all that clients may use, and all there are.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { all: self.all, ..Self::default() }
    }

    /// The servers asked for, in order.
    pub(crate) fn pick<'a>(&self, view: &'a FleetView) -> Vec<&'a Arc<ServerView>> {
        let base = if self.all { view.servers() } else { view.ranked() };
        let mut found: Vec<_> = base.iter().filter(|one| self.filter.admits(one)).collect();
        if let Some(sort) = self.sort {
            sort.apply(&mut found);
        }
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found
    }
}

/// What `sort` takes, with a `-` before it or without.
pub(super) fn sort_names() -> impl Iterator<Item = &'static str> {
    Key::ALL.into_iter().map(Key::name)
}

fn sort(text: &str) -> Option<Sort> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    Key::ALL.into_iter().find(|key| key.name() == name).map(|by| Sort { by, descending })
}

impl Sort {
    /// Equals keep their order. What is not known comes last, in either direction.
    fn apply(self, found: &mut [&Arc<ServerView>]) {
        match self.by {
            Key::Score => self.by_number(found, |view| view.is_listed().then(|| ranking::score(view).total())),
            Key::Load => self.by_number(found, |view| view.load().map(f64::from)),
            Key::Hostname => self.by_text(found, |view| &view.server.hostname),
            Key::Country => self.by_text(found, |view| &view.server.place.country),
            Key::City => self.by_text(found, |view| &view.server.place.city),
        }
    }

    fn by_number(self, found: &mut [&Arc<ServerView>], number: impl Fn(&ServerView) -> Option<f64>) {
        let sign = if self.descending { -1.0 } else { 1.0 };
        let key = |view: &ServerView| number(view).map_or(f64::INFINITY, |number| sign * number);
        let mut keyed: Vec<_> = found.iter().map(|view| (key(view), *view)).collect();
        keyed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        found.iter_mut().zip(keyed).for_each(|(place, (_, view))| *place = view);
    }

    fn by_text(self, found: &mut [&Arc<ServerView>], text: impl Fn(&ServerView) -> &String) {
        found.sort_by(|a, b| {
            let (a, b) = (text(a), text(b));
            match (a.is_empty(), b.is_empty()) {
                (false, false) if self.descending => b.cmp(a),
                (false, false) => a.cmp(b),
                (a, b) => a.cmp(&b),
            }
        });
    }
}
