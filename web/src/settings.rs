//! What the operator decides about the web side. Handed in: this crate reads neither environment nor files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use mect_fleet::{Network, Role, Rule, TargetPolicy, User};
use tower_http::csrf::CsrfLayer;

use crate::secret::{AgentKey, Secret};
use crate::signature::ListKey;

/// HMAC-SHA-256 keys shorter than its output weaken it (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Settings that cannot work.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The signing secret is too short to be safe.
    #[error("the token secret has {0} bytes, at least {MIN_SECRET_BYTES} are needed; `openssl rand -hex 32` makes one")]
    ShortSecret(usize),
    /// The public address is not an origin.
    #[error("public_url `{0}` must be scheme and host only, for example https://vpn.example.org")]
    PublicUrl(String),
    /// An entry of the allow-list is not an origin.
    #[error("cors origin `{0}` must be scheme and host in small letters, for example https://dash.example.org")]
    CorsOrigin(String),
}

/// What becomes of an exporter that announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// It is refused.
    Off,
    /// It becomes a server.
    On {
        /// An operator must let it in before it is scraped.
        needs_approval: bool,
        /// The agent key may travel to it unencrypted.
        insecure_credentials: bool,
    },
}

/// What `/federate` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The label `job` of every series. Default `vpn`.
    pub job: String,
    /// An answer with more series is refused. Default 200,000: twice what 1,000 servers with 100 series have.
    pub max_series: usize,
    /// Labels that every series gets if it has no such label of its own. Default none.
    pub external_labels: BTreeMap<String, String>,
}

impl Default for Federation {
    fn default() -> Self {
        Self { job: "vpn".to_owned(), max_series: 200_000, external_labels: BTreeMap::new() }
    }
}

/// Settings of the web side, checked when they are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// One a line, at least one.
    token_keys: Secret,
    cors_origins: Vec<HeaderValue>,
    public_url: Option<String>,
    /// How long a bearer token from `POST /token` works, which cannot be refreshed. Default 24 hours.
    pub token_lifetime: Duration,
    /// How long an access token from `POST /api/v1/login` works. Default 15 minutes.
    pub access_lifetime: Duration,
    /// How long such a sign-in can be refreshed. Default 30 days.
    pub refresh_lifetime: Duration,
    /// Passwords may also stand in the query of the two old password calls. Default false.
    pub legacy_query_passwords: bool,
    /// From this role on, nothing is allowed before one-time codes are set up. Default `None`: nobody must.
    pub totp_required_from: Option<Role>,
    /// We speak TLS ourselves. Default false.
    pub tls: bool,
    /// How long a browser session lasts. Default 12 hours.
    pub session_lifetime: Duration,
    /// `/metrics` answers everyone, not only those who signed in. Default false.
    pub open_metrics: bool,
    /// `GET /servers` answers everyone: without a token with the load rounded to tens. Default false.
    pub public_list: bool,
    /// Signs the list. Default none.
    pub list_key: Option<ListKey>,
    /// The description of REST and its readers answer everyone, not only those who signed in. Default false.
    pub open_docs: bool,
    /// Everyone may see `/status`: countries and services, and no server. Default false.
    pub status_page: bool,
    /// Key that agents and exporters show. Without one nobody can report or announce itself.
    pub agent_key: AgentKey,
    /// What becomes of an exporter that announces itself. Default: it is refused.
    pub enrolment: Enrolment,
    /// Proxies in front of us: what they say of a client's address is believed. Default none.
    pub trusted_proxies: Vec<Network>,
    /// Which addresses may be scraped: servers are not added elsewhere. Default: those that [`TargetPolicy`] has.
    pub target_policy: Arc<TargetPolicy>,
    /// What `/federate` shows.
    pub federation: Federation,
    /// The health rule in force: pages say how many failed checks make a server down.
    pub rule: Rule,
}

impl Settings {
    /// Defaults, with the keys of bearer tokens, one a line: the first signs, all verify. To change the key without
    /// anybody noticing, add the new one as the last line everywhere, then move it up, then drop the old one.
    ///
    /// # Errors
    /// There is none, or one is shorter than 32 bytes.
    pub fn new(token_keys: Secret) -> Result<Self, SettingsError> {
        let shortest = token_keys.lines().map(|key| key.expose().len()).min().unwrap_or_default();
        if shortest < MIN_SECRET_BYTES {
            return Err(SettingsError::ShortSecret(shortest));
        }
        Ok(Self {
            token_keys,
            cors_origins: Vec::new(),
            access_lifetime: Duration::from_secs(15 * 60),
            refresh_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            legacy_query_passwords: false,
            totp_required_from: None,
            tls: false,
            public_url: None,
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            session_lifetime: Duration::from_secs(12 * 60 * 60),
            open_metrics: false,
            public_list: false,
            list_key: None,
            open_docs: false,
            status_page: false,
            agent_key: AgentKey::default(),
            enrolment: Enrolment::Off,
            trusted_proxies: Vec::new(),
            target_policy: Arc::default(),
            federation: Federation::default(),
            rule: Rule::default(),
        })
    }

    /// Sets the address under which browsers reach the pages, for example `https://vpn.example.org`. With `https`
    /// the session cookie is sent over TLS only.
    ///
    /// # Errors
    /// It is not an origin: scheme, host and port without a path.
    pub fn with_public_url(mut self, url: &str) -> Result<Self, SettingsError> {
        let origin = url.trim_end_matches('/');
        match CsrfLayer::new().add_trusted_origin(origin) {
            Ok(_) => self.public_url = Some(origin.to_owned()),
            Err(_) => return Err(SettingsError::PublicUrl(url.to_owned())),
        }
        Ok(self)
    }

    /// Lets pages of that origin call us from a browser, with a token; never with the cookies of our own pages.
    ///
    /// # Errors
    /// It is not an origin: scheme, host and port without a path, as browsers send it.
    pub fn with_cors_origin(mut self, origin: &str) -> Result<Self, SettingsError> {
        let refused = || SettingsError::CorsOrigin(origin.to_owned());
        let _ = CsrfLayer::new().add_trusted_origin(origin).map_err(|_| refused())?;
        if origin.bytes().any(|byte| byte.is_ascii_uppercase()) || origin.ends_with('/') {
            return Err(refused());
        }
        self.cors_origins.push(HeaderValue::from_str(origin).map_err(|_| refused())?);
        Ok(self)
    }

    /// The keys of bearer tokens.
    pub(crate) fn token_keys(&self) -> Vec<Secret> {
        self.token_keys.lines().collect()
    }

    /// The origins whose pages may call us.
    pub(crate) fn cors_origins(&self) -> &[HeaderValue] {
        &self.cors_origins
    }

    /// True when `user` must set up one-time codes first.
    pub(crate) fn misses_codes(&self, user: &User) -> bool {
        self.totp_required_from.is_some_and(|role| user.role >= role) && !user.asks_for_code()
    }

    /// The address under which browsers reach the pages.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// True when browsers reach the pages over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.tls || self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(Secret::new("0123456789abcdef0123456789abcdef")).unwrap()
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(Settings::new(Secret::new("short")).unwrap_err(), SettingsError::ShortSecret(5));
        assert_eq!(Settings::new(Secret::new("")).unwrap_err(), SettingsError::ShortSecret(0));
        let (one, other) = ("1".repeat(32), "2".repeat(32));
        let two = Settings::new(Secret::new(format!("{one}\n\n {other} \n"))).unwrap();
        assert_eq!(two.token_keys(), [Secret::new(one.clone()), Secret::new(other)]);
        let mixed = Settings::new(Secret::new(format!("{one}\nshort")));
        assert_eq!(mixed.unwrap_err(), SettingsError::ShortSecret(5));
    }

    #[test]
    fn allowed_origins_are_as_browsers_write_them() {
        assert!(settings().with_cors_origin("https://dash.example.org:8443").is_ok());
        for bad in ["*", "null", "https://dash.example.org/", "https://Dash.example.org", "dash.example.org", ""] {
            assert!(settings().with_cors_origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_public_address_is_an_origin() {
        assert!(!settings().is_https());
        assert!(settings().with_public_url("https://vpn.example.org/").unwrap().is_https());
        assert!(!settings().with_public_url("http://192.0.2.1:8080").unwrap().is_https());
        for bad in ["vpn.example.org", "https://vpn.example.org/monitor", "ftp://vpn.example.org"] {
            assert!(settings().with_public_url(bad).is_err(), "{bad}");
        }
    }
}
