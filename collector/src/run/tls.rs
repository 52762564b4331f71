//! The certificate of pages and REST: read at the start, and again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use mect_web::{Tls, server_config};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Web};

/// The files are looked at this often. Whoever renews a certificate does so days before it expires.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files, and when they changed last.
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    seen: [Option<SystemTime>; 2],
    current: watch::Sender<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads the files; `None` where the configuration names none.
    ///
    /// # Errors
    /// A file cannot be read, or they hold nothing that can be used.
    pub(super) fn open(web: &Web) -> Result<Option<(Self, Tls)>, ConfigError> {
        let (Some(chain), Some(key)) = (web.tls_certificate.clone(), web.tls_key.clone()) else { return Ok(None) };
        let seen = changed(&chain, &key);
        let config = read(&chain, &key)
            .map_err(|error| ConfigError::at("keys `web.tls_certificate` and `web.tls_key`", format!("{error:#}")))?;
        let (current, tls) = watch::channel(config);
        Ok(Some((Self { chain, key, seen, current }, tls)))
    }

    /// Reads them again when they change, until `stop`. Files that cannot be used leave the old certificate in place.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let seen = changed(&self.chain, &self.key);
            if seen == self.seen {
                continue;
            }
            self.seen = seen;
            match read(&self.chain, &self.key) {
                Ok(config) => {
                    tracing::info!(certificate = %self.chain.display(), "the certificate was read again");
                    self.current.send_replace(config);
                }
                // Half of a renewal: the other file changes soon.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the old certificate stays in use"),
            }
        }
    }
}

fn changed(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn read(chain: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let bytes = |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    Ok(server_config(&bytes(chain)?, &bytes(key)?)?)
}
