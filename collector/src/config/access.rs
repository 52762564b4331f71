//! `[[access]]`: how some targets are reached, where it is not the usual way. Targets name one.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// TLS and credentials for the targets that name it. Files are relative to the configuration file, and read again when
/// they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// What targets call it.
    pub name: String,
    /// Authorities that vouch for the exporter's certificate, in PEM; the system's by default.
    pub ca: Option<PathBuf>,
    /// Certificate chain that is shown to exporters, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// Name that the exporter's certificate must be for; the target's host by default.
    pub server_name: Option<String>,
    /// The exporter's public key, as `sha256/` and the digest of its SubjectPublicKeyInfo in base64: nobody needs to
    /// vouch for it then.
    pub pinned_key: Option<String>,
    /// Token that is shown as `Authorization: Bearer`.
    pub bearer_file: Option<PathBuf>,
    /// Key that is shown as `X-API-Key`.
    pub api_key_file: Option<PathBuf>,
    /// Name for Basic authentication.
    pub username: Option<String>,
    /// Its password.
    pub password_file: Option<PathBuf>,
}

impl Access {
    /// Says what is wrong with it, if anything: the key, and what is allowed.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let credentials = [&self.bearer_file, &self.api_key_file, &self.password_file];
        match self {
            _ if self.name.is_empty() => Err(("access.name", "a name")),
            _ if self.certificate.is_some() != self.key.is_some() => {
                Err(("access.certificate", "only both of `certificate` and `key`, or none"))
            }
            _ if self.username.is_some() != self.password_file.is_some() => {
                Err(("access.username", "only both of `username` and `password_file`, or none"))
            }
            _ if self.username.as_ref().is_some_and(|name| name.contains(':')) => {
                Err(("access.username", "a name without a colon"))
            }
            _ if credentials.into_iter().flatten().count() > 1 => {
                Err(("access.name", "one of `bearer_file`, `api_key_file` and `password_file`"))
            }
            _ if self.pinned_key.is_some() && self.ca.is_some() => {
                Err(("access.pinned_key", "only one of `ca` and `pinned_key`"))
            }
            _ => Ok(()),
        }
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { ca, certificate, key, bearer_file, api_key_file, password_file, .. } = self;
        [ca, certificate, key, bearer_file, api_key_file, password_file].into_iter().flatten()
    }

    /// The same with its files in `directory`.
    pub(super) fn from(&mut self, directory: &Path) {
        let Self { ca, certificate, key, bearer_file, api_key_file, password_file, .. } = self;
        for file in [ca, certificate, key, bearer_file, api_key_file, password_file].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }
}
