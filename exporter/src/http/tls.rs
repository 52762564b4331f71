//! TLS 1.2 and 1.3 by rustls, with a certificate that may be replaced while we serve.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{ConfigError, TlsFiles};
use crate::log;

/// How often the files are looked at, at most: with each connection, but not more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sessions that may be taken up again, over all clients. Each costs memory; there are few scrapers.
const RESUMED_SESSIONS: usize = 32;

/// The certificate in use. Replaced files are taken up with the next connection; ones that do not fit
/// together, as while they are being replaced, leave the old certificate in use.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamp: Stamp,
    looked: Instant,
    /// What was said last about new files that cannot be used.
    complaint: Option<String>,
}

/// When each file was written; a change of any of them is a new certificate.
type Stamp = Vec<Option<SystemTime>>;

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or they do not fit together; the file is named.
    pub fn load(files: TlsFiles) -> Result<Self, ConfigError> {
        let stamp = stamp(&files);
        let config = Arc::new(read(&files)?);
        let current = Current { config, stamp, looked: Instant::now(), complaint: None };
        Ok(Self { files, current: Mutex::new(current) })
    }

    /// Shakes hands with a new peer.
    ///
    /// # Errors
    /// The peer does not speak TLS, or shows no certificate where one is asked for.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config()).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            self.look(&mut current);
        }
        Arc::clone(&current.config)
    }

    fn look(&self, current: &mut Current) {
        let stamp = stamp(&self.files);
        if stamp == current.stamp {
            return;
        }
        match read(&self.files) {
            Ok(config) => {
                (current.config, current.stamp, current.complaint) = (Arc::new(config), stamp, None);
                log::line(format_args!("took up the new certificate in {}", self.files.cert.display()));
            }
            // Tried again with the next look: the other file may come a moment later.
            Err(error) => {
                let complaint = error.to_string();
                if current.complaint.as_ref() != Some(&complaint) {
                    log::line(format_args!("keeps the old certificate: {complaint}"));
                    current.complaint = Some(complaint);
                }
            }
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let all = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
    all.into_iter().flatten().map(|path| modified(path)).collect()
}

fn read(files: &TlsFiles) -> Result<ServerConfig, ConfigError> {
    let broken = |path: &Path, key: &str, reason: String| ConfigError::new(reason).about(key).in_file(path);
    let cert = |reason| broken(&files.cert, "tls.cert", reason);
    let key = |reason| broken(&files.key, "tls.key", reason);

    let chain = certificates(&files.cert).map_err(cert)?;
    let private = text(&files.key).map_err(key)?;
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|_| key("holds no private key in PEM".to_owned()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| cert(error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let ca = |reason| broken(path, "tls.client_ca", reason);
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).map_err(ca)? {
                roots.add(certificate).map_err(|error| ca(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| ca(error.to_string()))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, private)
        .map_err(|error| cert(format!("does not fit the key in {}: {error}", files.key.display())))?;
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(RESUMED_SESSIONS);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let parsed = parsed.map_err(|error| error.to_string())?;
    if parsed.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(parsed) }
}

fn text(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}
