//! The orders of the fleet page's table.

use std::sync::Arc;

use mect_fleet::{Health, ServerView};

/// What the table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// What needs attention first.
    Attention,
    /// By host name.
    Name,
    /// By country and city.
    Place,
    /// Busiest first.
    Load,
    /// Most clients first.
    Sessions,
    /// Latest heartbeat first.
    Heartbeat,
}

impl Sort {
    pub(crate) const ALL: [Self; 6] =
        [Self::Attention, Self::Name, Self::Place, Self::Load, Self::Sessions, Self::Heartbeat];

    /// The word in the address.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Name => "name",
            Self::Place => "place",
            Self::Load => "load",
            Self::Sessions => "sessions",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// What people choose.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Attention => "Trouble first",
            Self::Name => "Name",
            Self::Place => "Place",
            Self::Load => "Busiest first",
            Self::Sessions => "Most sessions",
            Self::Heartbeat => "Latest heartbeat",
        }
    }

    /// True where the order, as it is usually wanted, begins with the largest.
    const fn descends(self) -> bool {
        matches!(self, Self::Load | Self::Sessions | Self::Heartbeat)
    }
}

/// An order of the table: a [`Sort`], with `-` in front the other way round. Servers that are equal in it are in the
/// order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) by: Sort,
    pub(crate) reversed: bool,
}

impl Order {
    /// The order that `text` names; trouble first for none.
    pub(crate) fn of(text: &str) -> Self {
        let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        match Sort::ALL.into_iter().find(|sort| sort.name() == name) {
            Some(by) => Self { by, reversed },
            None => Self { by: Sort::Attention, reversed: false },
        }
    }

    /// The text that names the order.
    pub(crate) fn name(self) -> String {
        format!("{}{}", if self.reversed { "-" } else { "" }, self.by.name())
    }

    /// The value of `aria-sort`.
    pub(crate) const fn aria(self) -> &'static str {
        if self.by.descends() == self.reversed { "ascending" } else { "descending" }
    }

    /// Brings the first `wanted` of `found`, which are in the order of their names, into this order; further ones may be
    /// in any.
    pub(crate) fn sort(self, found: &mut Vec<&Arc<ServerView>>, wanted: usize) {
        if self == (Self { by: Sort::Name, reversed: false }) {
            return;
        }
        // The place in the list stands for the name, and keeps what is equal in its order.
        let turned = |key: i64| if self.reversed { key.saturating_neg() } else { key };
        let keyed = found.drain(..).zip(0..).map(|(view, place)| (turned(self.key(view, place)), place, view));
        let mut keyed: Vec<(i64, i64, &Arc<ServerView>)> = keyed.collect();
        let by_place = |a: &ServerView, b: &ServerView| {
            let order = place_of(a).cmp(&place_of(b));
            if self.reversed { order.reverse() } else { order }
        };
        let compare = |a: &(i64, i64, &Arc<ServerView>), b: &(i64, i64, &Arc<ServerView>)| {
            let order = if self.by == Sort::Place { by_place(a.2, b.2) } else { a.0.cmp(&b.0) };
            order.then(a.1.cmp(&b.1))
        };
        // Of 50,000 only what is shown need be in order.
        if wanted < keyed.len() {
            keyed.select_nth_unstable_by(wanted, compare);
            keyed.truncate(wanted);
        }
        keyed.sort_unstable_by(compare);
        found.extend(keyed.into_iter().map(|(_, _, view)| view));
    }

    /// What servers are ordered by, the smallest first; looked up once for each.
    fn key(self, view: &ServerView, place: i64) -> i64 {
        match self.by {
            Sort::Attention => urgency(view),
            Sort::Name => place,
            // Texts are compared where they are.
            Sort::Place => 0,
            Sort::Load => view.load().map_or(1, |load| -(f64::from(load) * 1e6) as i64),
            Sort::Sessions => {
                view.current_reading().and_then(|reading| reading.sessions).map_or(1, |sessions| -i64::from(sessions))
            }
            Sort::Heartbeat => view.standing.last_heartbeat.map_or(1, |at| -at.as_millis()),
        }
    }
}

/// Country and city; those of which nothing is known come last.
fn place_of(view: &ServerView) -> (bool, &str, bool, &str) {
    let place = &view.server.place;
    (place.country.is_empty(), &place.country, place.city.is_empty(), &place.city)
}

fn urgency(view: &ServerView) -> i64 {
    match view.health() {
        Health::Down => 0,
        Health::Degraded => 1,
        _ if view.is_unverified() || view.stale => 2,
        Health::Active | Health::Pending if view.standing.last_failure.is_some() => 3,
        Health::Pending => 4,
        Health::Active => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_names_both_ways() {
        for by in Sort::ALL {
            for reversed in [false, true] {
                let order = Order { by, reversed };
                assert_eq!(Order::of(&order.name()), order);
            }
        }
        assert_eq!(Order::of("load").aria(), "descending");
        assert_eq!(Order::of("-name").aria(), "descending");
        for odd in ["", "-", "size", "--load"] {
            assert_eq!(Order::of(odd), Order { by: Sort::Attention, reversed: false }, "{odd}");
        }
    }
}
