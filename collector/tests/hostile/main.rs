//! Hosts that do their worst: on raw sockets, one behaviour a case, all of them at once against one collector.
//!
//! Each host is a good one first. Then all turn at one moment: from then on every scrape of a bad page fails with its
//! reason, in bounded time and memory, what was known of the server stays as it was, and their good neighbours are scraped
//! as ever. What is odd but allowed must be read to something sane.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod body;
mod case;
mod connecting;
mod content;
mod dns;
mod encoding;
mod framing;
mod head;
mod host;
mod judge;
mod many;
mod name_server;
mod numbers;
mod page;
mod time;
mod tls;
mod world;

use std::collections::BTreeSet;

use mect_fleet::FailureReason;

use case::{Case, Expected};

fn cases() -> Vec<Case> {
    [
        connecting::cases(),
        head::cases(),
        framing::cases(),
        body::cases(),
        encoding::cases(),
        content::cases(),
        numbers::cases(),
        time::cases(),
        tls::cases(),
        dns::cases(),
        many::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Reasons that no page and no socket leads to: `silent` is of agents that report by themselves.
const OF_NO_HOST: [FailureReason; 1] = [FailureReason::Silent];

#[test]
fn there_is_a_case_of_every_reason() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(cases.len() >= 60, "{}", cases.len());
    let reasons = cases.iter().filter_map(|case| match case.expected {
        Expected::Fails(reason, _) => Some(reason),
        Expected::Reads => None,
    });
    let reasons: BTreeSet<_> = reasons.chain(OF_NO_HOST).collect();
    assert_eq!(reasons, FailureReason::ALL.iter().copied().collect());
}

#[test]
fn each_fails_with_its_reason_and_costs_nobody_else_anything() {
    world::inside(|world| judge::judge(world, cases()));
}
