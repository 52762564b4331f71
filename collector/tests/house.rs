//! The arrows of the house: which package may name which.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Our own packages that each package may depend on; nothing else.
const ARROWS: [(&str, &[&str]); 5] = [
    ("mect-exporter", &[]),
    ("mect-fleet", &[]),
    ("mect-testkit", &[]),
    ("mect-web", &["mect-fleet"]),
    ("mect-collector", &["mect-fleet", "mect-web"]),
];

#[test]
fn packages_depend_only_along_the_arrows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let found: BTreeMap<_, BTreeSet<_>> = packages
        .iter()
        .map(|package| {
            // What only tests use may come from the test kit, which is not part of any program.
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let dependencies = dependencies.filter(|d| !(d["name"] == "mect-testkit" && d["kind"] == "dev"));
            let names = dependencies.map(|dependency| dependency["name"].as_str().unwrap());
            (package["name"].as_str().unwrap(), names.filter(|name| ours.contains(name)).collect())
        })
        .collect();
    let allowed = ARROWS.map(|(package, names)| (package, names.iter().copied().collect()));
    assert_eq!(found, BTreeMap::from(allowed));
}
