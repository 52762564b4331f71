//! Puts together what the configured sources say: targets of one host are endpoints of one server, and who comes first
//! is the main one.

use std::collections::HashMap;

use mect_fleet::collecting::DroppedTarget;
use mect_fleet::server::MAX_ENDPOINTS;

use super::{Candidate, Endpoint, Labels, ScrapeTarget};
use crate::config::Config;
use crate::parse::Format;

/// A server, and all that is scraped of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged<'a> {
    /// What its main endpoint, the first that was named, says of it.
    pub(super) labels: &'a Labels,
    /// Its pages.
    pub(super) page: ScrapeTarget,
    /// What a page is in that does not say so: of the first endpoint that tells.
    pub(super) fallback_format: Option<Format>,
}

/// The targets that the configuration itself lists; their addresses were checked when it was read.
pub(super) fn fixed(config: &Config) -> Vec<Candidate> {
    let entry_of = |entry: &crate::config::TargetEntry| {
        let (target, labels) = (entry.target().ok()?, entry.labels());
        let endpoints: Vec<Endpoint> = target.pages().map(|page| page.endpoint.clone()).collect();
        Some(endpoints.into_iter().map(move |endpoint| Candidate { endpoint, labels: labels.clone() }))
    };
    config.targets.iter().filter_map(entry_of).flatten().collect()
}

/// Every server, in the order of its first target; and the targets that are left aside.
pub(super) fn merge<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> (Vec<Merged<'a>>, Vec<DroppedTarget>) {
    let (mut places, mut merged, mut dropped) = (HashMap::new(), Vec::<Merged<'a>>::new(), Vec::new());
    let mut further: HashMap<usize, Vec<ScrapeTarget>> = HashMap::new();
    for candidate in candidates {
        let host = candidate.endpoint.host();
        let Some(&place) = places.get(host) else {
            places.insert(host, merged.len());
            let (labels, fallback_format) = (&candidate.labels, candidate.labels.fallback_format);
            merged.push(Merged { labels, page: candidate.page(), fallback_format });
            continue;
        };
        let Some(server) = merged.get_mut(place) else { continue };
        let beside = further.entry(place).or_default();
        if let Some(reason) = refusal(&server.page, beside, &candidate.endpoint) {
            tracing::warn!(ignored = %candidate.endpoint, host, reason, "target left aside");
            dropped.push(DroppedTarget { address: candidate.endpoint.to_string(), reason });
            continue;
        }
        server.fallback_format = server.fallback_format.or(candidate.labels.fallback_format);
        beside.push(candidate.page());
    }
    for (place, pages) in further {
        if let Some(server) = merged.get_mut(place) {
            server.page.further = pages.into();
        }
    }
    (merged, dropped)
}

/// Why `endpoint` is not one more of a server that has `main` and `further` already.
fn refusal(main: &ScrapeTarget, further: &[ScrapeTarget], endpoint: &Endpoint) -> Option<String> {
    let mut known = std::iter::once(main).chain(further);
    if let Some(known) = known.find(|known| known.endpoint.is_same_page(endpoint)) {
        return Some(format!("another source names the same page before: {}", known.endpoint));
    }
    let is_full = further.len() + 1 >= MAX_ENDPOINTS;
    is_full
        .then(|| format!("its server has {MAX_ENDPOINTS} endpoints already, of which the first is {}", main.endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str, hostname: &str) -> Candidate {
        let labels = Labels { hostname: hostname.into(), ..Labels::default() };
        Candidate { endpoint: address.parse().unwrap(), labels }
    }

    #[test]
    fn targets_of_one_host_are_one_server_and_the_first_is_its_main_one() {
        let mut all = [candidate("192.0.2.1:1", "a"), candidate("192.0.2.2:1", "b"), candidate("192.0.2.1:2", "c")];
        all[2].labels.fallback_format = Some(Format::Text);
        all[2].labels.access = Some("paris".into());
        let (merged, dropped) = merge(all.iter());
        let names: Vec<_> = merged.iter().map(|server| server.labels.hostname.as_str()).collect();
        assert_eq!((names, dropped), (vec!["a", "b"], vec![]));
        let pages: Vec<_> = merged[0].page.pages().map(|page| (page.endpoint.port(), page.access.clone())).collect();
        assert_eq!(pages, [(1, None), (2, Some("paris".into()))]);
        assert_eq!((merged[0].fallback_format, merged[1].fallback_format), (Some(Format::Text), None));
        assert!(merged[1].page.further.is_empty());
    }

    #[test]
    fn a_page_named_again_and_one_too_many_are_left_aside() {
        let ports = (1..=9).map(|port| candidate(&format!("192.0.2.1:{port}"), ""));
        let all: Vec<_> = ports.chain([candidate("https://192.0.2.1:3", "")]).collect();
        let (merged, dropped) = merge(all.iter());
        assert_eq!(merged[0].page.pages().count(), MAX_ENDPOINTS);
        let dropped: Vec<_> = dropped.iter().map(|target| (target.address.as_str(), target.reason.as_str())).collect();
        assert_eq!(dropped[0].0, "http://192.0.2.1:9/metrics");
        assert!(dropped[0].1.contains("8 endpoints already"), "{dropped:?}");
        assert_eq!(
            dropped[1],
            ("https://192.0.2.1:3/metrics", "another source names the same page before: http://192.0.2.1:3/metrics")
        );
    }
}
