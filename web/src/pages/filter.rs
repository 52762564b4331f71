//! The fleet page's query: which servers, in which order, which page.

use std::cmp::Ordering;
use std::sync::Arc;

use mect_fleet::{FleetView, Health, ServerView};
use serde::Deserialize;

/// Rows per page: one screen to scroll, and the same cost at 50 and at 50,000 servers.
pub(crate) const PAGE_ROWS: usize = 100;

/// Query of the fleet page, as the browser sends it. Whatever makes no sense counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct FleetQuery {
    /// Words that must all occur in name, address or place.
    pub(crate) q: String,
    /// Only servers in this state.
    pub(crate) state: String,
    /// See [`Sort`].
    pub(crate) sort: String,
    /// From 1.
    pub(crate) page: String,
}

/// Order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// What needs attention first, then by name.
    Attention,
    /// By host name.
    Name,
    /// Busiest first.
    Load,
}

impl Sort {
    pub(crate) const ALL: [Self; 3] = [Self::Attention, Self::Name, Self::Load];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Name => "name",
            Self::Load => "load",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Attention => "Trouble first",
            Self::Name => "Name",
            Self::Load => "Busiest first",
        }
    }
}

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
    pub(crate) fn health(&self) -> Option<Health> {
        Health::ALL.into_iter().find(|health| health.name() == self.state)
    }

    /// The order asked for.
    pub(crate) fn order(&self) -> Sort {
        Sort::ALL.into_iter().find(|sort| sort.name() == self.sort).unwrap_or(Sort::Attention)
    }

    /// True when the query leaves servers out.
    pub(crate) fn narrows(&self) -> bool {
        self.health().is_some() || !self.q.trim().is_empty()
    }

    /// Finds, sorts and cuts.
    pub(crate) fn find<'a>(&self, view: &'a FleetView) -> Found<'a> {
        let (health, words) = (self.health(), self.q.split_whitespace().collect::<Vec<_>>());
        let mut found: Vec<&Arc<ServerView>> = view
            .servers()
            .iter()
            .filter(|view| health.is_none_or(|health| view.health() == health))
            .filter(|view| words.iter().all(|word| matches(view, word)))
            .collect();
        match self.order() {
            Sort::Name => {}
            Sort::Attention => found.sort_by_key(|view| urgency(view)),
            Sort::Load => found.sort_by(|a, b| descending(a.load(), b.load())),
        }
        let total = found.len();
        let pages = total.div_ceil(PAGE_ROWS).max(1);
        let page = self.page.parse().unwrap_or(1).clamp(1, pages);
        let rows = found.into_iter().skip((page - 1) * PAGE_ROWS).take(PAGE_ROWS).collect();
        Found { rows, total, page, pages }
    }

    /// This query with another state and the first page, as a link; empty for none.
    pub(crate) fn link_to_state(&self, state: &str) -> String {
        Self { state: state.to_owned(), page: String::new(), ..self.clone() }.link()
    }

    /// This query with another page, as a link.
    pub(crate) fn link_to_page(&self, page: usize) -> String {
        Self { page: page.to_string(), ..self.clone() }.link()
    }

    /// The page's address with this query.
    pub(crate) fn link(&self) -> String {
        let fields = [("q", &self.q), ("state", &self.state), ("sort", &self.sort), ("page", &self.page)];
        let pairs: Vec<String> = fields
            .into_iter()
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

fn matches(view: &ServerView, word: &str) -> bool {
    let (server, place) = (&*view.server, &view.server.place);
    let fields = [&server.hostname, &server.ip, &place.city, &place.country, &place.region, &place.country_code];
    fields.into_iter().any(|field| contains(field, word))
}

/// Without regard to the case of ASCII letters, and without an allocation per field: it runs over the whole fleet.
fn contains(field: &str, word: &str) -> bool {
    field.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

fn urgency(view: &ServerView) -> u8 {
    match view.health() {
        Health::Down => 0,
        Health::Degraded => 1,
        Health::Active | Health::Pending if view.standing.last_failure.is_some() => 2,
        Health::Pending => 3,
        Health::Active => 4,
    }
}

/// Unknown load comes last.
fn descending(a: Option<f32>, b: Option<f32>) -> Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_the_query_escaped() {
        let query =
            FleetQuery { q: "de fra&x=é".into(), sort: "load".into(), page: "3".into(), ..FleetQuery::default() };
        assert_eq!(query.link_to_state("down"), "/?q=de%20fra%26x%3D%C3%A9&state=down&sort=load");
        assert_eq!(query.link_to_page(4), "/?q=de%20fra%26x%3D%C3%A9&sort=load&page=4");
        assert_eq!(FleetQuery::default().link(), "/");
    }

    #[test]
    fn words_match_anywhere_in_any_case() {
        assert!(contains("Frankfurt am Main", "MAIN") && contains("192.0.2.10", ".2.1"));
        assert!(!contains("de1", "de10") && !contains("", "a"));
    }

    #[test]
    fn nonsense_counts_as_not_given() {
        let query =
            FleetQuery { state: "sleeping".into(), sort: "-".into(), page: "-1".into(), ..FleetQuery::default() };
        assert_eq!((query.health(), query.order(), query.narrows()), (None, Sort::Attention, false));
        assert_eq!(query.find(&FleetView::default()).page, 1);
    }
}
