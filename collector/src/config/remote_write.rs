//! `[[remote_write]]`: who is sent samples as they come, over Prometheus' remote write.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mect_fleet::Endpoint;
use serde::Deserialize;

use super::federation::is_label;
use super::http_sd::{InvalidUrl, endpoint};

/// The name is a label and a directory.
const MAX_NAME_BYTES: usize = 64;
/// Samples of a request: what receivers take without a thought.
const MAX_SAMPLES: usize = 10_000;
/// A TiB.
const MAX_QUEUE_MIB: usize = 1 << 20;
/// Shortest and longest that a receiver is waited for.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=600.0;
/// What the protocol or an access says is not for the operator to say otherwise.
const OURS: [&str; 9] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-prometheus-remote-write-version",
];

/// Sends samples to a receiver: a Prometheus, VictoriaMetrics, Mimir, and the like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWrite {
    /// What metrics and logs call it; also the directory in which its queue is kept.
    pub name: String,
    /// Where it takes samples, `http://…` or `https://…`.
    pub url: String,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// What it gets.
    #[serde(default)]
    pub send: Series,
    /// How it is reached, see [`Access`](super::Access). Without one the system's authorities count, and nothing is shown:
    /// the agent key is for exporters.
    #[serde(default)]
    pub access: Option<String>,
    /// Credentials may travel unencrypted to it.
    #[serde(default)]
    pub insecure_credentials: bool,
    /// Headers that it wants beside, for example `X-Scope-OrgID`. No secrets: those belong in an access.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Labels that every series gets if it has no such label of its own.
    #[serde(default)]
    pub external_labels: BTreeMap<String, String>,
    /// Disk for samples while it is away; beyond, the oldest are dropped.
    #[serde(default = "RemoteWrite::default_queue_mib")]
    pub queue_mib: usize,
    /// Bound of one request, from connecting to the last byte of the answer.
    #[serde(default = "RemoteWrite::default_timeout_seconds")]
    pub timeout_seconds: f64,
    /// Samples of one request.
    #[serde(default = "RemoteWrite::default_max_samples")]
    pub max_samples: usize,
}

/// A version of remote write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// What every receiver speaks.
    #[default]
    #[serde(rename = "1.0")]
    One,
    /// Shorter, and the receiver says how much it took.
    #[serde(rename = "2.0")]
    Two,
}

/// Which series are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Series {
    /// What we say of servers, countries and the fleet.
    #[default]
    Derived,
    /// What the servers say themselves, too.
    All,
}

impl RemoteWrite {
    fn default_queue_mib() -> usize {
        256
    }

    fn default_timeout_seconds() -> f64 {
        30.0
    }

    fn default_max_samples() -> usize {
        2000
    }

    /// What the URL names. Its port may be left out, and its path.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn endpoint(&self) -> Result<Endpoint, InvalidUrl> {
        endpoint(&self.url)
    }

    /// Bound of one request.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }

    /// The headers that it wants beside.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // They were checked.
        self.headers.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
    }

    /// Says what is wrong with it, if anything: the key, the value that it has, and the problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, &str, String)> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=MAX_NAME_BYTES).contains(&self.name.len()) || !self.name.bytes().all(is_plain) {
            let allowed = format!("allowed is a name of 1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`");
            return Err(("remote_write.name", &self.name, allowed));
        }
        if let Err(error) = self.endpoint() {
            return Err(("remote_write.url", &self.url, format!("`{}`: {error}", self.url)));
        }
        if !(1..=MAX_QUEUE_MIB).contains(&self.queue_mib) {
            return Err(("remote_write.queue_mib", "", format!("allowed is 1 to {MAX_QUEUE_MIB}")));
        }
        if !(1..=MAX_SAMPLES).contains(&self.max_samples) {
            return Err(("remote_write.max_samples", "", format!("allowed is 1 to {MAX_SAMPLES}")));
        }
        if !TIMEOUT_SECONDS.contains(&self.timeout_seconds) {
            let (least, most) = (TIMEOUT_SECONDS.start(), TIMEOUT_SECONDS.end());
            return Err(("remote_write.timeout_seconds", "", format!("allowed is {least} to {most}")));
        }
        if let Some(name) = self.external_labels.keys().find(|name| !is_label(name)) {
            let allowed = "allowed are names of labels: letters, digits and `_`, not starting with a digit or `__`";
            return Err(("remote_write.external_labels", name, format!("`{name}`: {allowed}")));
        }
        for (name, value) in &self.headers {
            if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                let problem = format!("`{name}` is not free; credentials belong in an [[access]]");
                return Err(("remote_write.headers", name, problem));
            }
            if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
                return Err((
                    "remote_write.headers",
                    name,
                    format!("`{name}`: allowed are names and values of headers"),
                ));
            }
        }
        Ok(())
    }
}
