//! Groups of targets as Prometheus' service discovery writes them, by file or by HTTP: each with `targets` and `labels`.
//! Whoever reads one, the collector or the page that imports a list, reads it here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::endpoint::{Endpoint, InvalidEndpoint};

/// Label by which Prometheus' users give another path.
pub const PATH_LABEL: &str = "__metrics_path__";
/// Label by which Prometheus' users say that targets speak TLS.
pub const SCHEME_LABEL: &str = "__scheme__";

/// Targets and what is said of all of them. In JSON and YAML a key beside these two is refused, as Prometheus does: it is
/// a slip of the finger that would leave out labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetGroup {
    /// Addresses, each as [`endpoint`](Self::endpoint) understands them.
    #[serde(default, deserialize_with = "null_is_none")]
    pub targets: Vec<String>,
    /// What is said of the servers behind them.
    #[serde(default, deserialize_with = "null_is_none")]
    pub labels: BTreeMap<String, String>,
}

/// Why a target of a group is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Its address.
    #[error("{0}")]
    Address(InvalidEndpoint),
    /// The path in its labels.
    #[error("{PATH_LABEL}: {0}")]
    Path(InvalidEndpoint),
    /// The scheme in its labels.
    #[error("{SCHEME_LABEL}: `{0}` is not allowed; give http or https")]
    Scheme(String),
}

impl TargetGroup {
    /// Reads a list of groups in JSON.
    ///
    /// # Errors
    /// The text is no such list.
    pub fn from_json(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Where the page of the target `address` is, under the path and by the scheme that the labels name. An address that is
    /// an `https://` URL stays one.
    ///
    /// # Errors
    /// The address or one of these labels cannot be used.
    pub fn endpoint(&self, address: &str) -> Result<Endpoint, InvalidTarget> {
        let mut endpoint: Endpoint = address.parse().map_err(InvalidTarget::Address)?;
        if let Some(path) = self.labels.get(PATH_LABEL) {
            endpoint = endpoint.with_path(path).map_err(InvalidTarget::Path)?;
        }
        match self.labels.get(SCHEME_LABEL).map(String::as_str) {
            None | Some("" | "http") => Ok(endpoint),
            Some("https") => Ok(endpoint.over_tls()),
            Some(other) => Err(InvalidTarget::Scheme(other.to_owned())),
        }
    }
}

/// Programs in Go write what is empty as null.
fn null_is_none<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_as_prometheus_does() {
        let text = r#"[{"targets": ["a:1", "b:2"], "labels": {"x": "y"}}, {"targets": ["c:3"]},
                       {"targets": null, "labels": null}]"#;
        let groups = TargetGroup::from_json(text).unwrap();
        assert_eq!(groups.iter().map(|group| group.targets.len()).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(groups[0].labels["x"], "y");
        assert!(TargetGroup::from_json("[]").unwrap().is_empty());
        for wrong in ["", "{}", "null", "[null]", r#"[{"target": []}]"#, r#"[{"targets": [1]}]"#, r#"[{"targets": []}"#]
        {
            assert!(TargetGroup::from_json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_say_where_under_an_address_the_page_is() {
        let endpoint = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            TargetGroup { labels, ..TargetGroup::default() }.endpoint("a:1").map(|endpoint| endpoint.to_string())
        };
        assert_eq!(endpoint(&[]).unwrap(), "http://a:1/metrics");
        assert_eq!(endpoint(&[(PATH_LABEL, "/probe"), (SCHEME_LABEL, "https")]).unwrap(), "https://a:1/probe");
        assert_eq!(endpoint(&[(PATH_LABEL, "probe")]), Err(InvalidTarget::Path(InvalidEndpoint::Path)));
        let scheme = endpoint(&[(SCHEME_LABEL, "ftp")]).unwrap_err().to_string();
        assert_eq!(scheme, "__scheme__: `ftp` is not allowed; give http or https");
    }
}
