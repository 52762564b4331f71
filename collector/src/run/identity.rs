//! Who may sign in, and with which key tokens are signed.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use mect_fleet::store::Store;
use mect_fleet::{Neighbours, Timestamp, throttle};
use mect_web::{Enrolment, Federation, Secret, Settings};

use super::DAY;
use crate::config::{self, Config, ConfigError};

/// File in the data directory that holds the key when the operator gives none.
const KEY_FILE: &str = "secret.key";
/// Bytes of a generated key: as long as the SHA-256 digest that it feeds.
const KEY_BYTES: usize = 32;
/// The newest entries of the audit, among which sign-ins are looked for at the start.
const ENTRIES_SEARCHED: usize = 10_000;

/// Creates the first user if there is none, and tells the password here and nowhere else. Told first: a start that
/// breaks off in between leaves no account whose password nobody knows.
pub(super) async fn first_admin(config: &Config, store: &Store) -> anyhow::Result<()> {
    let given = config.secrets.admin_password.clone();
    let tell = |password: &Secret| {
        let mut out = std::io::stdout().lock();
        let password = password.expose();
        writeln!(
            out,
            "First sign-in: user admin, password {password} (shown this once; choose your own at the first sign-in)"
        )?;
        out.flush()
    };
    Ok(mect_web::ensure_first_admin(store.accounts.as_ref(), given, tell).await?)
}

/// Finds in the audit from which addresses users signed in: guesses of others do not lock those out.
pub(super) async fn remember_clients(store: &Store, neighbours: &Neighbours) {
    let (now, wall) = (Instant::now(), Timestamp::now());
    let entries = match store.journal.audit(None, ENTRIES_SEARCHED).await {
        Ok(entries) => entries,
        Err(error) => return tracing::warn!(%error, "addresses of earlier sign-ins are not known"),
    };
    let sign_ins = entries.iter().map(|record| &record.entry).filter(|entry| entry.action == mect_web::LOGIN_OK);
    for entry in sign_ins.filter(|entry| wall.since(entry.at) < throttle::KNOWN_FOR) {
        if let Ok(address) = entry.address.parse() {
            neighbours.throttle.remember(&entry.subject, address, now);
        }
    }
}

/// The key that signs tokens: the given one, or one that is made once and kept readable for the owner alone.
pub(super) fn secret_key(config: &Config) -> anyhow::Result<Secret> {
    if let Some(key) = &config.secrets.secret_key {
        return Ok(key.clone());
    }
    let path = config.store.data_dir.join(KEY_FILE);
    read_or_make(&path).with_context(|| format!("{}: cannot be read or made", path.display()))
}

/// Files of the data directory that a backup takes along, where they exist.
pub(crate) fn companions_of(config: &Config) -> Vec<PathBuf> {
    vec![config.store.data_dir.join(KEY_FILE)]
}

/// Stands in for a key that is not made yet where only the other settings are looked at.
pub(super) fn any_key() -> Secret {
    Secret::new("0".repeat(2 * KEY_BYTES))
}

fn read_or_make(path: &Path) -> std::io::Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(Secret::new(text.trim())),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let mut key = [0u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // Written beside and renamed: a crash leaves either no key or a whole one.
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    Ok(Secret::new(text))
}

/// What the web side needs to know.
pub(super) fn web_settings(config: &Config, secret_key: Secret) -> anyhow::Result<Settings> {
    let mut settings = Settings::new(secret_key).map_err(|error| ConfigError::at("SECRET_KEY", error.to_string()))?;
    if let Some(url) = &config.web.public_url {
        settings = settings
            .with_public_url(url)
            .map_err(|error| ConfigError::at("key `web.public_url`", error.to_string()))?;
    }
    for origin in &config.web.cors_origins {
        settings = settings
            .with_cors_origin(origin)
            .map_err(|error| ConfigError::at("key `web.cors_origins`", error.to_string()))?;
    }
    settings.access_lifetime = Duration::from_secs(u64::from(config.web.access_minutes) * 60);
    settings.refresh_lifetime = Duration::from_secs(u64::from(config.web.refresh_days) * DAY);
    settings.legacy_query_passwords = config.web.legacy_query_passwords;
    settings.totp_required_from = config.web.totp_required_from;
    settings.tls = config.web.tls_certificate.is_some();
    settings.token_lifetime = Duration::from_secs(u64::from(config.web.token_hours) * 3600);
    settings.open_metrics = config.web.open_metrics;
    settings.public_list = config.web.public_list;
    settings.list_key = config.secrets.list_key.clone();
    settings.open_docs = config.web.open_docs;
    settings.status_page = config.web.status_page;
    settings.federation = Federation {
        job: config.federation.job.clone(),
        max_series: config.federation.max_series,
        external_labels: config.federation.external_labels.clone(),
    };
    settings.trusted_proxies = config.web.trusted_proxies.clone();
    settings.agent_key.set(config.secrets.agent_api_key.clone());
    settings.enrolment = match config.web.enrolment {
        config::Enrolment::Off => Enrolment::Off,
        asked => Enrolment::On {
            needs_approval: asked == config::Enrolment::Approval,
            insecure_credentials: config.web.enrolment_insecure_credentials,
        },
    };
    settings.rule = config.rule();
    Ok(settings)
}
