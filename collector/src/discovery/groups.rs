//! What groups of targets mean: from whichever source they come, they are read alike.

use mect_fleet::collecting::DroppedTarget;
use mect_fleet::{TargetGroup, TargetPolicy};

use super::Candidate;
use crate::config::Labels;

/// A target of a list that cannot be one.
struct Unusable {
    address: String,
    /// Number of its group, from 1.
    group: usize,
    /// What is wrong, and whether with the labels of the group.
    problem: String,
    is_of_labels: bool,
}

/// The targets of all groups, in their order. One mistake refuses them all: a file is written by the operator, and half of
/// it would take the other half out of the fleet.
///
/// # Errors
/// A label or an address cannot be used, or `policy` does not allow it; says which.
pub(super) fn all(groups: &[TargetGroup], policy: &TargetPolicy) -> Result<Vec<Candidate>, String> {
    let told = |unusable: Unusable| {
        let Unusable { address, group, problem, is_of_labels } = unusable;
        let place = if is_of_labels { ", which starts with target" } else { ", target" };
        format!("group {group}{place} `{address}`: {problem}")
    };
    candidates(groups, policy).map(|candidate| candidate.map_err(told)).collect()
}

/// Those targets of all groups that can be used, in their order, and the others. As Prometheus has it: who writes a line of
/// a list that many write to does not decide on the lines of others. Of accesses they may name those in `accesses`.
///
/// # Errors
/// There are targets, and none can be used; says why not the first.
pub(super) fn usable(
    groups: &[TargetGroup],
    policy: &TargetPolicy,
    accesses: &[String],
) -> Result<(Vec<Candidate>, Vec<DroppedTarget>), String> {
    let (mut taken, mut dropped) = (Vec::new(), Vec::new());
    for candidate in candidates(groups, policy) {
        match candidate {
            Ok(Candidate { endpoint, labels: Labels { access: Some(access), .. } }) if !accesses.contains(&access) => {
                let reason =
                    format!("`target_access` in [[http_sd]] does not allow the access `{access}` to this list");
                dropped.push(DroppedTarget { address: endpoint.to_string(), reason });
            }
            Ok(candidate) => taken.push(candidate),
            Err(Unusable { address, problem, .. }) => dropped.push(DroppedTarget { address, reason: problem }),
        }
    }
    match dropped.first() {
        Some(first) if taken.is_empty() => {
            Err(format!("none of its targets can be used; `{}`: {}", first.address, first.reason))
        }
        _ => Ok((taken, dropped)),
    }
}

fn candidates(groups: &[TargetGroup], policy: &TargetPolicy) -> impl Iterator<Item = Result<Candidate, Unusable>> {
    groups.iter().zip(1..).flat_map(move |(group, number)| {
        let labels = Labels::from_map(&group.labels);
        // Said of a group without targets, too.
        let nobody = labels.is_err() && group.targets.is_empty();
        let addresses = group.targets.iter().map(String::as_str).chain(nobody.then_some(""));
        addresses.map(move |address| {
            let unusable = |problem: String, is_of_labels| Unusable {
                address: address.to_owned(),
                group: number,
                problem,
                is_of_labels,
            };
            let labels = labels.clone().map_err(|error| unusable(error, true))?;
            let endpoint = group.endpoint(address).map_err(|error| unusable(error.to_string(), false))?;
            policy.check_endpoint(&endpoint).map_err(|denied| unusable(denied.to_string(), false))?;
            Ok(Candidate { endpoint, labels })
        })
    })
}
