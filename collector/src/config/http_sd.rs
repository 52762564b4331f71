//! `[[http_sd]]`: lists of targets that another program serves.

use mect_fleet::{Endpoint, InvalidEndpoint};
use serde::Deserialize;

/// Port of a URL that names none, by scheme.
const DEFAULT_PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

/// A list of targets in Prometheus' `http_sd` format, asked for again and again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSd {
    /// Where it is, `http://…` or `https://…`.
    pub url: String,
    /// How often it is asked for.
    #[serde(default = "HttpSd::default_refresh")]
    pub refresh_seconds: f64,
    /// How it is reached, see [`Access`](super::Access). Without one the system's authorities count, and nothing is shown:
    /// the agent key is for exporters.
    #[serde(default)]
    pub access: Option<String>,
    /// Accesses that its targets may name in their label `access`. By default none: who writes a list chooses addresses, and
    /// would choose which of our credentials are shown there.
    #[serde(default)]
    pub target_access: Vec<String>,
    /// Credentials may travel unencrypted to it.
    #[serde(default)]
    pub insecure_credentials: bool,
}

/// Why a URL cannot be asked for a list, or sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It does not begin as a URL.
    #[error("give a URL that begins with http:// or https://")]
    Scheme,
    /// What follows cannot be used.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
}

impl HttpSd {
    fn default_refresh() -> f64 {
        60.0
    }

    /// What the URL names. Its port may be left out, and its path.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn endpoint(&self) -> Result<Endpoint, InvalidUrl> {
        endpoint(&self.url)
    }

    /// The URL for people: a query may hold a secret.
    pub fn name(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// What a URL names. Its port may be left out, and its path.
pub(super) fn endpoint(url: &str) -> Result<Endpoint, InvalidUrl> {
    let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
    let named = DEFAULT_PORTS.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let (scheme, port) = named.ok_or(InvalidUrl::Scheme)?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    // In brackets, colons are the address's own.
    let has_port = authority.rsplit(']').next().is_some_and(|behind| behind.contains(':'));
    let port = if has_port { String::new() } else { format!(":{port}") };
    Ok(format!("{scheme}://{authority}{port}{slash}{path}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<String, InvalidUrl> {
        let list = HttpSd {
            url: url.into(),
            refresh_seconds: 60.0,
            access: None,
            target_access: Vec::new(),
            insecure_credentials: false,
        };
        list.endpoint().map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn urls_are_as_people_write_them() {
        for (url, meant) in [
            ("https://cmdb.example.net/targets", "https://cmdb.example.net:443/targets"),
            ("http://cmdb.example.net", "http://cmdb.example.net:80/"),
            ("HTTP://[2001:db8::1]/x?team=vpn", "http://[2001:db8::1]:80/x?team=vpn"),
            ("https://[2001:db8::1]:8443?x", "https://[2001:db8::1]:8443/?x"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ] {
            assert_eq!(endpoint(url).unwrap(), meant);
        }
        for (url, why) in [
            ("cmdb.example.net/targets", InvalidUrl::Scheme),
            ("ftp://cmdb.example.net", InvalidUrl::Scheme),
            ("http://", InvalidUrl::Endpoint(InvalidEndpoint::Host)),
            ("http://user:secret@cmdb", InvalidUrl::Endpoint(InvalidEndpoint::Credentials)),
            ("http://cmdb:no/", InvalidUrl::Endpoint(InvalidEndpoint::Port)),
            ("http://cmdb/a b", InvalidUrl::Endpoint(InvalidEndpoint::Path)),
        ] {
            assert_eq!(endpoint(url), Err(why), "{url}");
        }
    }
}
