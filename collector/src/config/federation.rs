//! `[federation]`: what `/federate` shows to Prometheus.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What `/federate` shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federation {
    /// Keep the latest page of each server, for its own series on `/federate`.
    pub raw: bool,
    /// Series of one answer; an answer with more is refused.
    pub max_series: usize,
    /// The label `job` of every series.
    pub job: String,
    /// Labels that every series gets if it has no such label of its own.
    pub external_labels: BTreeMap<String, String>,
}

impl Default for Federation {
    fn default() -> Self {
        Self { raw: true, max_series: 200_000, job: "vpn".to_owned(), external_labels: BTreeMap::new() }
    }
}

impl Federation {
    /// Says what is wrong with it, if anything: the key, and what is allowed.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.job.is_empty() {
            return Err(("federation.job", "a name"));
        }
        if self.external_labels.contains_key("instance") {
            // Sums have an empty one, and no series may have two.
            return Err(("federation.external_labels", "labels other than `instance`, which tells servers apart"));
        }
        if !self.external_labels.keys().all(|name| is_label(name)) {
            let allowed = "names of labels: letters, digits and `_`, not starting with a digit or `__`";
            return Err(("federation.external_labels", allowed));
        }
        Ok(())
    }
}

/// True for the name of a label that operators may give to series.
pub(super) fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    first && !name.starts_with("__") && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
