//! What groups of targets mean: from whichever source they come, they are read alike.

use mect_fleet::{TargetGroup, TargetPolicy};

use super::Candidate;
use crate::config::Labels;

/// The targets of all groups, in their order. One mistake refuses them all: half of a list would take the other half out
/// of the fleet.
///
/// # Errors
/// A label or an address cannot be used, or `policy` does not allow it; says which.
pub(super) fn candidates(groups: Vec<TargetGroup>, policy: &TargetPolicy) -> Result<Vec<Candidate>, String> {
    let mut candidates = Vec::new();
    for (group, number) in groups.into_iter().zip(1..) {
        let first = group.targets.first().map(String::as_str).unwrap_or_default();
        let labels = Labels::from_map(&group.labels)
            .map_err(|error| format!("group {number}, which starts with target `{first}`: {error}"))?;
        for address in &group.targets {
            let place = || format!("group {number}, target `{address}`");
            let endpoint = group.endpoint(address).map_err(|error| format!("{}: {error}", place()))?;
            policy.check_endpoint(&endpoint).map_err(|denied| format!("{}: {denied}", place()))?;
            candidates.push(Candidate { endpoint, labels: labels.clone() });
        }
    }
    Ok(candidates)
}
