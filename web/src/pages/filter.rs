//! The fleet page's query: which servers, in which order, which page.

use std::sync::Arc;

use mect_fleet::{FleetView, Health, Server, ServerView, Service, Tag};
use serde::Deserialize;

use crate::pages::order::Order;

/// Rows per page: one screen to scroll, and the same cost at 50 and at 50,000 servers.
pub(crate) const PAGE_ROWS: usize = 100;

/// Query of the fleet page, as the browser sends it. Whatever makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct FleetQuery {
    /// Words that must all occur in name, address, place or tags.
    pub(crate) q: String,
    /// Only servers in this state, see [`State`].
    pub(crate) state: String,
    /// Only servers there: an ISO 3166-1 alpha-2 code.
    pub(crate) country: String,
    /// Only servers where this kind of service is active.
    pub(crate) service: String,
    /// Only servers with this flag, see [`FLAGS`]; with `-` in front those without.
    pub(crate) flag: String,
    /// Only servers that carry this tag.
    pub(crate) tag: String,
    /// See [`Order`].
    pub(crate) sort: String,
    /// `compact` for low rows.
    pub(crate) density: String,
    /// From 1.
    pub(crate) page: String,
}

/// A state that the headline counts: judged health, a doubt about it, or what the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Is(Health),
    /// Would be down, were its failures not doubted.
    Unverified,
    Draining,
    Maintenance,
}

impl State {
    /// In the order of the headline.
    pub(crate) const ALL: [Self; 7] = [
        Self::Is(Health::Active),
        Self::Is(Health::Degraded),
        Self::Is(Health::Down),
        Self::Is(Health::Pending),
        Self::Unverified,
        Self::Draining,
        Self::Maintenance,
    ];

    /// The word in the address, which is also the one that people read.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Is(health) => health.name(),
            Self::Unverified => "unverified",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }

    /// True for a server in that state.
    pub(crate) fn holds(self, view: &ServerView) -> bool {
        match self {
            Self::Is(health) => view.health() == health,
            Self::Unverified => view.is_unverified(),
            Self::Draining => view.draining,
            Self::Maintenance => view.in_maintenance,
        }
    }
}

/// Whether a flag holds for a server.
pub(crate) type Holds = fn(&Server) -> bool;

/// Flags to filter by: the word in the address, what people read with it and without it, and the flag.
pub(crate) const FLAGS: [(&str, &str, &str, Holds); 4] = [
    ("enabled", "listed", "not listed", |server| server.enabled),
    ("gaming", "gaming", "not gaming", |server| server.gaming),
    ("streaming", "streaming", "not streaming", |server| server.streaming),
    ("paid", "paid", "free", |server| server.paid),
];

/// The servers that a query finds, cut to one page.
pub(crate) struct Found<'a> {
    pub(crate) rows: Vec<&'a Arc<ServerView>>,
    pub(crate) total: usize,
    /// From 1; the last one when the query asked for more.
    pub(crate) page: usize,
    pub(crate) pages: usize,
}

impl FleetQuery {
    /// The state asked for.
    pub(crate) fn state(&self) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == self.state)
    }

    /// The order asked for.
    pub(crate) fn order(&self) -> Order {
        Order::of(&self.sort)
    }

    /// Low rows are asked for.
    pub(crate) fn is_compact(&self) -> bool {
        self.density == "compact"
    }

    fn service(&self) -> Option<Service> {
        self.service.parse().ok()
    }

    fn flag(&self) -> Option<(Holds, bool)> {
        let (name, wanted) = self.flag.strip_prefix('-').map_or((&*self.flag, true), |name| (name, false));
        FLAGS.into_iter().find(|(known, ..)| *known == name).map(|(.., flag)| (flag, wanted))
    }

    /// True when the query leaves servers out.
    pub(crate) fn narrows(&self) -> bool {
        let texts = [&self.q, &self.country, &self.tag];
        texts.into_iter().any(|text| !text.trim().is_empty())
            || self.state().is_some()
            || self.service().is_some()
            || self.flag().is_some()
    }

    /// Every server that the query lets through, by host name.
    pub(crate) fn admitted<'a>(&self, view: &'a FleetView) -> Vec<&'a Arc<ServerView>> {
        let (state, service, flag) = (self.state(), self.service(), self.flag());
        let words: Vec<&str> = self.q.split_whitespace().collect();
        let country = self.country.trim();
        // What is no tag, nobody carries.
        let tag: Option<Option<Tag>> = Some(self.tag.trim()).filter(|tag| !tag.is_empty()).map(|tag| tag.parse().ok());
        view.servers()
            .iter()
            .filter(|view| state.is_none_or(|state| state.holds(view)))
            .filter(|view| country.is_empty() || view.server.place.country_code.eq_ignore_ascii_case(country))
            .filter(|view| service.is_none_or(|service| is_active(view, service)))
            .filter(|view| flag.is_none_or(|(flag, wanted)| flag(&view.server) == wanted))
            .filter(|view| {
                let carries = |tag: &Option<Tag>| tag.as_ref().is_some_and(|tag| view.server.tags.contains(tag));
                tag.as_ref().is_none_or(carries)
            })
            .filter(|view| words.iter().all(|word| matches(view, word)))
            .collect()
    }

    /// Finds, sorts and cuts.
    pub(crate) fn find<'a>(&self, view: &'a FleetView) -> Found<'a> {
        let mut found = self.admitted(view);
        let total = found.len();
        let pages = total.div_ceil(PAGE_ROWS).max(1);
        let page = self.page.parse().unwrap_or(1).clamp(1, pages);
        self.order().sort(&mut found, page * PAGE_ROWS);
        let rows = found.into_iter().skip((page - 1) * PAGE_ROWS).take(PAGE_ROWS).collect();
        Found { rows, total, page, pages }
    }

    /// This query with one field changed and the first page, as a link.
    pub(crate) fn link_with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut query = Self { page: String::new(), ..self.clone() };
        change(&mut query);
        query.link()
    }

    /// This query with another page, as a link.
    pub(crate) fn link_to_page(&self, page: usize) -> String {
        self.link_with(|query| query.page = page.to_string())
    }

    /// The fields by name, without the page.
    pub(crate) fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("country", &self.country),
            ("service", &self.service),
            ("flag", &self.flag),
            ("tag", &self.tag),
            ("sort", &self.sort),
            ("density", &self.density),
        ]
    }

    /// The page's address with this query.
    pub(crate) fn link(&self) -> String {
        let pairs: Vec<String> = self
            .fields()
            .into_iter()
            .chain([("page", &*self.page)])
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        if pairs.is_empty() { "/".to_owned() } else { format!("/?{}", pairs.join("&")) }
    }
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

fn is_active(view: &ServerView, wanted: Service) -> bool {
    let reading = view.current_reading();
    reading.is_some_and(|reading| reading.by_service().any(|(service, active)| service == wanted && active))
}

fn matches(view: &ServerView, word: &str) -> bool {
    let (server, place) = (&*view.server, &view.server.place);
    let fields = [&server.hostname, &server.ip, &place.city, &place.country, &place.region, &place.country_code];
    fields.into_iter().any(|field| contains(field, word)) || server.tags.iter().any(|tag| contains(tag.as_str(), word))
}

/// Without regard to the case of ASCII letters, and without an allocation per field: it runs over the whole fleet.
pub(crate) fn contains(field: &str, word: &str) -> bool {
    let Some(first) = word.bytes().next() else { return false };
    let begins = |part: &&[u8]| part.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&first));
    field.as_bytes().windows(word.len()).filter(begins).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_the_query_escaped() {
        let query =
            FleetQuery { q: "de fra&x=é".into(), sort: "load".into(), page: "3".into(), ..FleetQuery::default() };
        let down = query.link_with(|query| query.state = "down".into());
        assert_eq!(down, "/?q=de%20fra%26x%3D%C3%A9&state=down&sort=load");
        assert_eq!(query.link_to_page(4), "/?q=de%20fra%26x%3D%C3%A9&sort=load&page=4");
        assert_eq!(FleetQuery::default().link(), "/");
    }

    #[test]
    fn what_makes_no_sense_counts_as_not_given() {
        let query = |flag: &str| FleetQuery { flag: flag.into(), ..FleetQuery::default() };
        assert!(query("gaming").narrows() && query("-paid").narrows());
        for flag in ["", "-", "--paid", "static", "Gaming"] {
            assert!(!query(flag).narrows(), "{flag}");
        }
        let odd = FleetQuery { state: "up".into(), service: "ssh".into(), page: "-1".into(), ..FleetQuery::default() };
        assert!(!odd.narrows());
    }

    #[test]
    fn words_match_anywhere_in_any_case() {
        assert!(contains("Frankfurt am Main", "MAIN") && contains("192.0.2.10", ".2.1"));
        assert!(!contains("de1", "de10") && !contains("", "a") && !contains("a", ""));
    }
}
