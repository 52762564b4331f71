//! What the operator decides about the web side. Handed in: this crate reads neither environment nor files.

use std::time::Duration;

use mect_fleet::Rule;
use tower_http::csrf::CsrfLayer;

use crate::secret::Secret;

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
}

/// Settings of the web side, checked when they are made.
#[derive(Debug, Clone)]
pub struct Settings {
    token_secret: Secret,
    public_url: Option<String>,
    /// How long a bearer token from `POST /token` works. Default 24 hours.
    pub token_lifetime: Duration,
    /// How long a browser session lasts. Default 12 hours.
    pub session_lifetime: Duration,
    /// `/metrics` answers everyone, not only those who signed in. Default false.
    pub open_metrics: bool,
    /// The health rule in force: pages say how many failed checks make a server down.
    pub rule: Rule,
}

impl Settings {
    /// Defaults, with the secret that signs bearer tokens.
    ///
    /// # Errors
    /// The secret is shorter than 32 bytes.
    pub fn new(token_secret: Secret) -> Result<Self, SettingsError> {
        let bytes = token_secret.expose().len();
        if bytes < MIN_SECRET_BYTES {
            return Err(SettingsError::ShortSecret(bytes));
        }
        Ok(Self {
            token_secret,
            public_url: None,
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            session_lifetime: Duration::from_secs(12 * 60 * 60),
            open_metrics: false,
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

    /// The secret that signs bearer tokens.
    pub(crate) fn token_secret(&self) -> &Secret {
        &self.token_secret
    }

    /// The address under which browsers reach the pages.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// True when browsers reach the pages over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
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
