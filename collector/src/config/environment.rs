//! Environment variables that override the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mect_fleet::redis::RedisUrl;
use mect_fleet::store::mongo;
use mect_web::{ListKey, Secret};

use super::Config;
use super::diagnose::{ConfigError, unknown_key};

/// Every variable that the collector reads. The first four keep the names of the system that it replaces.
pub const KNOWN_VARIABLES: &[&str] = &[
    "MONGO_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "AGENT_API_KEY",
    "MONGO_URL_FILE",
    "REDIS_URL_FILE",
    "SECRET_KEY_FILE",
    "AGENT_API_KEY_FILE",
    "MECT_ADMIN_PASSWORD_FILE",
    "MECT_LIST_KEY_FILE",
    "MECT_CONFIG",
    "MECT_DATA_DIR",
    "MECT_LISTEN",
    "MECT_LOG",
];

/// Variables under this prefix are ours: an unknown one is a mistake.
const PREFIX: &str = "MECT_";

/// The variables of the process, handed in so that tests need not change the real ones.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of this process that concern the collector.
    ///
    /// # Errors
    /// A variable that starts with `MECT_` is not known, or one of ours is not UTF-8.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut ours = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            if !KNOWN_VARIABLES.contains(&name.as_str()) {
                if name.starts_with(PREFIX) {
                    return Err(ConfigError::at("environment", unknown_key(&name, KNOWN_VARIABLES)));
                }
                continue;
            }
            let value =
                value.into_string().map_err(|_| ConfigError::at(format!("environment: {name}"), "not UTF-8"))?;
            ours.insert(name, value);
        }
        Ok(Self(ours))
    }

    /// Variables from pairs of name and value.
    pub fn from_pairs<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value of `name`; an empty value counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn override_config(&self, config: &mut Config) -> Result<(), ConfigError> {
        if let Some(listen) = self.get("MECT_LISTEN") {
            config.web.listen = listen.parse().map_err(|_| {
                let problem =
                    format!("`{listen}` is not allowed; give an address and a port, for example 127.0.0.1:8000");
                ConfigError::at("environment: MECT_LISTEN", problem)
            })?;
        }
        if let Some(data_dir) = self.get("MECT_DATA_DIR") {
            config.store.data_dir = PathBuf::from(data_dir);
        }
        config.secrets.redis_url = self.redis_url()?;
        config.secrets.secret_key = self.secret("SECRET_KEY")?;
        config.secrets.mongo_url = self.mongo_url()?;
        if config.secrets.mongo_url.is_some() && config.secrets.secret_key.is_none() {
            let problem = "is needed with MONGO_URL, the same for every collector; `openssl rand -hex 32` makes one";
            return Err(ConfigError::at("environment: SECRET_KEY", problem));
        }
        config.secrets.agent_api_key = self.secret("AGENT_API_KEY")?;
        config.secrets.admin_password = self.secret_file("MECT_ADMIN_PASSWORD_FILE")?;
        config.secrets.list_key = self.list_key()?;
        Ok(())
    }

    fn list_key(&self) -> Result<Option<ListKey>, ConfigError> {
        let Some(pem) = self.secret_file("MECT_LIST_KEY_FILE")? else { return Ok(None) };
        let key = ListKey::from_pem(&pem);
        key.map(Some).map_err(|error| ConfigError::at("environment: MECT_LIST_KEY_FILE", error.to_string()))
    }

    fn redis_url(&self) -> Result<Option<RedisUrl>, ConfigError> {
        let Some(url) = self.secret("REDIS_URL")? else { return Ok(None) };
        let parsed = RedisUrl::parse(url.expose());
        parsed.map(Some).map_err(|error| ConfigError::at("environment: REDIS_URL", error.to_string()))
    }

    fn mongo_url(&self) -> Result<Option<Secret>, ConfigError> {
        let Some(url) = self.secret("MONGO_URL")? else { return Ok(None) };
        mongo::check_url(url.expose()).map_err(|error| ConfigError::at("environment: MONGO_URL", error.to_string()))?;
        Ok(Some(url))
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        match self.get(name) {
            Some(value) => Ok(Some(Secret::new(value))),
            None => self.secret_file(&format!("{name}_FILE")),
        }
    }

    fn secret_file(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        let Some(path) = self.get(name) else { return Ok(None) };
        let place = || format!("environment: {name}: {path}");
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::at(place(), format!("cannot be read: {error}")))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() { Err(ConfigError::at(place(), "is empty")) } else { Ok(Some(Secret::new(secret))) }
    }
}
