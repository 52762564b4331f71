//! Puts together what the configured sources say: who comes first counts.

use std::collections::HashMap;

use mect_fleet::collecting::DroppedTarget;

use super::{Candidate, Endpoint};
use crate::config::Config;

/// The targets that the configuration itself lists; their addresses were checked when it was read.
pub(super) fn fixed(config: &Config) -> Vec<Candidate> {
    let entries = config.targets.iter();
    entries.filter_map(|e| Some(Candidate { endpoint: e.address.parse().ok()?, labels: e.labels() })).collect()
}

/// The first candidate of every server, in order; and the others.
pub(super) fn merge<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> (Vec<&'a Candidate>, Vec<DroppedTarget>) {
    let (mut taken, mut dropped): (HashMap<&str, &Endpoint>, _) = (HashMap::new(), Vec::new());
    let kept = candidates.filter(|candidate| {
        let (ignored, host) = (&candidate.endpoint, candidate.endpoint.host());
        if let Some(kept) = taken.get(host) {
            tracing::warn!(%ignored, %kept, host, "two targets for one server; the first is kept");
            let reason = format!("another target of the same server comes first: {kept}");
            dropped.push(DroppedTarget { address: ignored.to_string(), reason });
            return false;
        }
        taken.insert(host, ignored);
        true
    });
    (kept.collect(), dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Labels;

    fn candidate(address: &str, hostname: &str) -> Candidate {
        let labels = Labels { hostname: hostname.into(), ..Labels::default() };
        Candidate { endpoint: address.parse().unwrap(), labels }
    }

    #[test]
    fn the_first_source_wins_a_server() {
        let all = [candidate("192.0.2.1:1", "a"), candidate("192.0.2.2:1", "b"), candidate("192.0.2.1:2", "c")];
        let (kept, dropped) = merge(all.iter());
        let names: Vec<_> = kept.into_iter().map(|candidate| &candidate.labels.hostname).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(dropped[0].address, "http://192.0.2.1:2/metrics");
    }
}
