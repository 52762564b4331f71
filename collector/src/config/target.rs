//! One `[[targets]]` entry, and the labels that a target carries from whichever source it came.

use std::collections::BTreeMap;

use mect_fleet::{FlagsPatch, Place, ScrapeTarget, TargetPolicy};
use serde::Deserialize;

use crate::discovery::Endpoint;
use crate::parse::Format;

/// A target given in the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    /// `host:port` of the exporter, or a URL with a path.
    pub address: String,
    /// Pages of other exporters on the same host: `:port`, `:port/path`, or as `address`.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// See [`Labels`].
    #[serde(default)]
    pub hostname: String,
    /// See [`Labels`].
    #[serde(default)]
    pub country_code: String,
    /// See [`Labels`].
    #[serde(default)]
    pub country: String,
    /// See [`Labels`].
    #[serde(default)]
    pub region: String,
    /// See [`Labels`].
    #[serde(default)]
    pub city: String,
    /// See [`Labels`].
    #[serde(default)]
    pub gaming: Option<bool>,
    /// See [`Labels`].
    #[serde(default)]
    pub streaming: Option<bool>,
    /// See [`Labels`].
    #[serde(default)]
    pub paid: Option<bool>,
    /// See [`Labels`].
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Never deleted for silence.
    #[serde(default, rename = "static")]
    pub is_static: bool,
    /// Show credentials to this target although the connection is not encrypted.
    #[serde(default)]
    pub insecure_credentials: bool,
    /// See [`Labels`].
    #[serde(default)]
    pub fallback_format: Option<Format>,
    /// See [`Labels`].
    #[serde(default)]
    pub access: Option<String>,
}

impl TargetEntry {
    /// Says what is wrong with the address, or with the further endpoints, if anything; `policy` allows others.
    pub(super) fn check(&self, policy: &TargetPolicy) -> Result<(), String> {
        let target = self.target()?;
        let given = std::iter::once(&self.address).chain(&self.endpoints);
        let mut pages = given.zip(target.pages());
        pages.try_for_each(|(given, page)| {
            policy.check_endpoint(&page.endpoint).map_err(|denied| format!("`{given}`: {denied}"))
        })
    }

    /// Its pages.
    ///
    /// # Errors
    /// What is wrong with the address, or with the further endpoints.
    pub fn target(&self) -> Result<ScrapeTarget, String> {
        let endpoint: Endpoint = self.address.parse().map_err(|error| format!("`{}`: {error}", self.address))?;
        ScrapeTarget::at(endpoint).with_endpoints(&self.endpoints).map_err(|error| format!("`endpoints`: {error}"))
    }

    /// What the entry says of the server.
    pub fn labels(&self) -> Labels {
        Labels {
            hostname: self.hostname.clone(),
            place: Place {
                country_code: self.country_code.to_ascii_uppercase(),
                country: self.country.clone(),
                region: self.region.clone(),
                city: self.city.clone(),
                coordinates: None,
            },
            flags: FlagsPatch {
                gaming: self.gaming,
                streaming: self.streaming,
                paid: self.paid,
                enabled: self.enabled,
            },
            is_static: self.is_static,
            insecure_credentials: self.insecure_credentials,
            fallback_format: self.fallback_format,
            access: self.access.clone(),
        }
    }
}

/// What a discovery source says of the server behind a target. Empty means unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Name for people; the address when empty.
    pub hostname: String,
    /// Where it stands.
    pub place: Place,
    /// Flags of a server that is new.
    pub flags: FlagsPatch,
    /// Never deleted for silence.
    pub is_static: bool,
    /// Credentials may travel unencrypted.
    pub insecure_credentials: bool,
    /// What a page is in that does not say so by its content type; without this such a page is refused.
    pub fallback_format: Option<Format>,
    /// How the target is reached, see [`Access`](super::Access); in the usual way without.
    pub access: Option<String>,
}

impl Labels {
    /// Reads the labels of a `file_sd` group. Labels that mean nothing to us are left alone, as Prometheus' users
    /// expect.
    ///
    /// # Errors
    /// A flag is neither `true` nor `false`, or a format is none.
    pub fn from_map(labels: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let flag = |name: &str| match labels.get(name).map(String::as_str) {
            None | Some("") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(format!("label `{name}`: `{other}` is not allowed; give true or false")),
        };
        let fallback_format = match labels.get("fallback_format").map(String::as_str) {
            None | Some("") => None,
            Some(name) => Some(name.parse().map_err(|error| format!("label `fallback_format`: `{name}` is {error}"))?),
        };
        Ok(Self {
            hostname: text("hostname"),
            place: Place {
                country_code: text("country_code").to_ascii_uppercase(),
                country: text("country"),
                region: text("region"),
                city: text("city"),
                coordinates: None,
            },
            flags: FlagsPatch {
                gaming: flag("gaming")?,
                streaming: flag("streaming")?,
                paid: flag("paid")?,
                enabled: flag("enabled")?,
            },
            is_static: flag("static")?.unwrap_or(false),
            insecure_credentials: flag("insecure_credentials")?.unwrap_or(false),
            fallback_format,
            access: labels.get("access").filter(|name| !name.is_empty()).cloned(),
        })
    }
}
