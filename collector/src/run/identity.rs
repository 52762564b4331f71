//! Who may sign in, and with which key tokens are signed.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use mect_fleet::store::Store;
use mect_web::{Secret, Settings};

use crate::config::{Config, ConfigError};

/// File in the data directory that holds the key when the operator gives none.
const KEY_FILE: &str = "secret.key";
/// Bytes of a generated key: as long as the SHA-256 digest that it feeds.
const KEY_BYTES: usize = 32;

/// Creates the first user if there is none; returns the password that must be told.
pub(super) async fn first_admin(config: &Config, store: &Store) -> anyhow::Result<Option<Secret>> {
    let given = config.secrets.admin_password.clone();
    Ok(mect_web::ensure_first_admin(store.accounts.as_ref(), given).await?)
}

/// The key that signs tokens: the given one, or one that is made once and kept readable for the owner alone.
pub(super) fn secret_key(config: &Config) -> anyhow::Result<Secret> {
    if let Some(key) = &config.secrets.secret_key {
        return Ok(key.clone());
    }
    let path = config.store.data_dir.join(KEY_FILE);
    read_or_make(&path).with_context(|| format!("{}: cannot be read or made", path.display()))
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
        settings = settings.with_public_url(url).map_err(|error| ConfigError::at("[web]", error.to_string()))?;
    }
    settings.token_lifetime = Duration::from_secs(u64::from(config.web.token_hours) * 3600);
    settings.open_metrics = config.web.open_metrics;
    settings.rule = config.rule();
    Ok(settings)
}
