//! How targets are reached: which certificates are believed, which one is shown, and the credentials. Read from files,
//! and again when they change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use mect_fleet::{Failure, FailureReason};
use mect_web::Secret;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::pin::{Pin, PinnedKey};
use crate::config::{self, ConfigError};

/// The files are looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the system trusts.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!("the system has no certificate authorities: https targets need a `ca` or a `pinned_key`");
    }
    Arc::new(roots)
});

/// One way to reach a target.
pub(super) struct Access {
    connector: TlsConnector,
    /// Name that the certificate must be for, where it is not the target's host.
    server_name: Option<ServerName<'static>>,
    /// What is shown to the exporter.
    pub(super) credentials: Option<(HeaderName, HeaderValue)>,
}

impl Access {
    /// The usual way: the system's authorities, and the agent key.
    ///
    /// # Errors
    /// The key holds characters that no HTTP header may have.
    fn usual(agent_key: Option<&Secret>) -> anyhow::Result<Self> {
        let credentials = agent_key.map(bearer).transpose()?;
        Ok(Self { connector: connector(&config::Access::default())?, server_name: None, credentials })
    }

    fn read(config: &config::Access) -> anyhow::Result<Self> {
        let server_name = config.server_name.clone().map(|name| {
            ServerName::try_from(name)
                .map_err(|_| anyhow::anyhow!("`server_name` is neither a host name nor an address"))
        });
        Ok(Self {
            connector: connector(config)?,
            server_name: server_name.transpose()?,
            credentials: credentials(config)?,
        })
    }

    /// How to speak TLS to `host`, and whom to expect there.
    ///
    /// # Errors
    /// The host's name cannot be in any certificate.
    pub(super) fn tls(&self, host: &str) -> Result<(&TlsConnector, ServerName<'static>), Failure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| Failure::new(FailureReason::Tls, format!("{host}: {error}")))?,
        };
        Ok((&self.connector, name))
    }
}

fn connector(config: &config::Access) -> anyhow::Result<TlsConnector> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match (&config.pinned_key, &config.ca) {
        (Some(pin), _) => {
            let pin = Pin::parse(pin).context("`pinned_key` is not `sha256/` and 32 bytes in base64")?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(PinnedKey::new(pin, provider)))
        }
        (None, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate).with_context(|| format!("{}: not an authority", ca.display()))?;
            }
            builder.with_root_certificates(roots)
        }
        (None, None) => builder.with_root_certificates(Arc::clone(&SYSTEM_ROOTS)),
    };
    let mut tls = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            // The error could quote the key.
            let key = PrivateKeyDer::from_pem_slice(&bytes(key)?)
                .map_err(|_| anyhow::anyhow!("{}: no private key in PEM form", key.display()))?;
            builder.with_client_auth_cert(chain, key).context("`certificate` and `key` cannot be used")?
        }
        _ => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(tls)))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let found = found.with_context(|| format!("{}: no certificate in PEM form", path.display()))?;
    if found.is_empty() {
        bail!("{}: holds no certificate", path.display());
    }
    Ok(found)
}

fn credentials(config: &config::Access) -> anyhow::Result<Option<(HeaderName, HeaderValue)>> {
    if let Some(file) = &config.bearer_file {
        return Ok(Some(bearer(&secret(file)?).with_context(|| unfit(file))?));
    }
    if let Some(file) = &config.api_key_file {
        return Ok(Some((API_KEY, sensitive(secret(file)?.expose()).with_context(|| unfit(file))?)));
    }
    let (Some(username), Some(file)) = (&config.username, &config.password_file) else { return Ok(None) };
    let pair = STANDARD.encode(format!("{username}:{}", secret(file)?.expose()));
    Ok(Some((AUTHORIZATION, sensitive(&format!("Basic {pair}"))?)))
}

fn bearer(key: &Secret) -> anyhow::Result<(HeaderName, HeaderValue)> {
    Ok((AUTHORIZATION, sensitive(&format!("Bearer {}", key.expose()))?))
}

fn sensitive(text: &str) -> anyhow::Result<HeaderValue> {
    // The error must not quote the text.
    let mut value = HeaderValue::try_from(text).map_err(|_| anyhow::anyhow!("no HTTP header may hold that"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unfit(file: &Path) -> String {
    format!("{}: characters that cannot be sent", file.display())
}

fn secret(file: &Path) -> anyhow::Result<Secret> {
    let text = String::from_utf8(bytes(file)?).map_err(|_| anyhow::anyhow!("{}: not UTF-8", file.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        bail!("{}: is empty", file.display());
    }
    Ok(Secret::new(secret))
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))
}

fn usual(agent_key: Option<&Secret>) -> Result<Access, ConfigError> {
    Access::usual(agent_key).map_err(|error| ConfigError::at("environment: AGENT_API_KEY", format!("{error:#}")))
}

/// Every way to reach targets.
pub struct Accesses {
    usual: RwLock<Arc<Access>>,
    named: RwLock<Named>,
}

/// The ways that have a name, and what the configuration says of them.
struct Named {
    by_name: HashMap<Box<str>, Arc<Access>>,
    config: Vec<config::Access>,
}

impl Named {
    fn read(config: &[config::Access]) -> Result<Self, ConfigError> {
        let read = |config: &config::Access| match Access::read(config) {
            Ok(access) => Ok((config.name.as_str().into(), Arc::new(access))),
            Err(error) => Err(ConfigError::at(format!("[[access]] `{}`", config.name), format!("{error:#}"))),
        };
        let by_name = config.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { by_name, config: config.to_vec() })
    }
}

impl Accesses {
    /// Reads what the configuration describes. `agent_key` is shown where no access is named.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn open(config: &[config::Access], agent_key: Option<&Secret>) -> Result<Arc<Self>, ConfigError> {
        let (usual, named) = (usual(agent_key)?, Named::read(config)?);
        Ok(Arc::new(Self { usual: RwLock::new(Arc::new(usual)), named: RwLock::new(named) }))
    }

    /// Takes other ways in the place of those that have a name, and reads all their files again; and another agent key.
    ///
    /// # Errors
    /// A file or the key cannot be read or used; the old ways stay.
    pub fn replace(&self, config: &[config::Access], agent_key: Option<&Secret>) -> Result<(), ConfigError> {
        let (usual, named) = (usual(agent_key)?, Named::read(config)?);
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
        let mut in_force = self.usual.write().unwrap_or_else(PoisonError::into_inner);
        // Connections by one that is the same stay.
        if in_force.credentials != usual.credentials {
            *in_force = Arc::new(usual);
        }
        Ok(())
    }

    /// True when a way has that name.
    pub fn has(&self, name: &str) -> bool {
        self.named.read().unwrap_or_else(PoisonError::into_inner).by_name.contains_key(name)
    }

    /// The way with that name, or the usual one.
    ///
    /// # Errors
    /// No way has that name: a fault of our configuration, which tells nothing of the server.
    pub(super) fn find(&self, name: Option<&str>) -> Result<Arc<Access>, Failure> {
        let Some(name) = name else {
            return Ok(Arc::clone(&self.usual.read().unwrap_or_else(PoisonError::into_inner)));
        };
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Failure::new(FailureReason::Local, format!("no [[access]] has the name `{name}`"));
        named.by_name.get(name).cloned().ok_or_else(unknown)
    }

    /// Reads files again when they change, until `stop`. What cannot be used leaves the old one in place.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = HashMap::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let configured = self.named.read().unwrap_or_else(PoisonError::into_inner).config.clone();
            for config in configured {
                let now = changed(&config);
                // One that was not there yet was just read.
                if seen.insert(config.name.clone(), now.clone()).is_none_or(|before| before == now) {
                    continue;
                }
                match Access::read(&config) {
                    Ok(access) => {
                        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
                        // Unless the configuration was read again meanwhile, with all files.
                        if named.config.contains(&config) {
                            named.by_name.insert(config.name.as_str().into(), Arc::new(access));
                        }
                        tracing::info!(access = config.name, "the files of an access were read again");
                    }
                    // Half of a renewal: the other file changes soon.
                    Err(error) => {
                        tracing::warn!(access = config.name, error = format!("{error:#}"), "the old files stay in use");
                    }
                }
            }
        }
    }
}

fn changed(config: &config::Access) -> Vec<Option<SystemTime>> {
    let time = |path: &PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    config.files().map(time).collect()
}
