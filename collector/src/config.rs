//! Configuration: one TOML file, a few environment variables on top. The only module that reads either.
//!
//! A mistake names the file, the line, the key and what is allowed; nothing starts with a half-understood file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mect_fleet::Rule;
use mect_web::Secret;
use serde::Deserialize;

mod diagnose;
mod environment;
mod target;

pub use diagnose::ConfigError;
pub use environment::{KNOWN_VARIABLES, Variables};
pub use target::{Labels, TargetEntry};

/// Shortest interval and timeout: below, scraping is a load test.
const MIN_INTERVAL_SECONDS: f64 = 0.1;
/// Longest interval: beyond an hour a heartbeat says little.
const MAX_INTERVAL_SECONDS: f64 = 3600.0;

/// Everything `mect-collector serve` needs to know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[web]`
    pub web: Web,
    /// `[store]`
    pub store: Store,
    /// `[scrape]`
    pub scrape: Scrape,
    /// `[health]`
    pub health: HealthRule,
    /// `[[targets]]`
    pub targets: Vec<TargetEntry>,
    /// `[[file_sd]]`
    pub file_sd: Vec<FileSd>,
    /// Secrets, from the environment or the files that the environment names.
    #[serde(skip)]
    pub secrets: Secrets,
}

/// The web side.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address of pages and REST. Environment: `MECT_LISTEN`.
    pub listen: SocketAddr,
    /// The URL by which browsers reach it; `https` makes cookies secure-only.
    pub public_url: Option<String>,
    /// Life of a REST token.
    pub token_hours: u32,
    /// `/metrics` answers without a token.
    pub open_metrics: bool,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: None,
            token_hours: 24,
            open_metrics: false,
            max_connections: 4096,
        }
    }
}

/// Where the fleet is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Directory of the embedded store. Environment: `MECT_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Heartbeats are kept this many days.
    pub retention_days: u32,
    /// Memory for the store's page cache.
    pub cache_mib: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("data"), retention_days: 30, cache_mib: 32 }
    }
}

/// How targets are scraped.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrape {
    /// Each target is scraped this often.
    pub interval_seconds: f64,
    /// A scrape takes at most this long, from connecting to the last byte.
    pub timeout_seconds: f64,
    /// After a first failure the next check comes this much later instead of a whole interval.
    pub recheck_seconds: f64,
    /// Scrapes at once. Each holds a socket and at most one page in memory.
    pub max_in_flight: usize,
    /// Keep connections between scrapes.
    pub keep_alive: KeepAlive,
    /// Bytes of a page on the wire.
    pub max_wire_bytes: usize,
    /// Bytes of a page after decompression.
    pub max_page_bytes: usize,
    /// Samples of a page.
    pub max_samples: usize,
}

impl Default for Scrape {
    fn default() -> Self {
        Self {
            interval_seconds: 120.0,
            timeout_seconds: 10.0,
            recheck_seconds: 15.0,
            max_in_flight: 1000,
            keep_alive: KeepAlive::Auto,
            max_wire_bytes: 512 * 1024,
            max_page_bytes: 2 * 1024 * 1024,
            max_samples: 2000,
        }
    }
}

/// Whether a connection outlives its scrape. It saves a handshake and costs a socket and about 10 KiB a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepAlive {
    /// Kept when the interval is at most a minute.
    Auto,
    /// Always kept.
    Always,
    /// Never kept.
    Never,
}

/// When health flips; see [`Rule`].
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthRule {
    /// Consecutive failures until down.
    pub fall: u32,
    /// Consecutive successes until back.
    pub rise: u32,
}

impl Default for HealthRule {
    fn default() -> Self {
        let rule = Rule::default();
        Self { fall: rule.fall, rise: rule.rise }
    }
}

/// Target files in Prometheus' `file_sd` format, JSON or YAML, read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSd {
    /// Paths, relative to the configuration file.
    pub files: Vec<PathBuf>,
    /// How often the files are looked at.
    #[serde(default = "FileSd::default_refresh")]
    pub refresh_seconds: f64,
}

impl FileSd {
    fn default_refresh() -> f64 {
        5.0
    }
}

/// Secrets, each from a variable or from the file that the variable with `_FILE` names.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `SECRET_KEY`: signs REST tokens. Made and kept in the data directory when not given.
    pub secret_key: Option<Secret>,
    /// `AGENT_API_KEY`: shown to exporters.
    pub agent_api_key: Option<Secret>,
    /// `MECT_ADMIN_PASSWORD_FILE`: first password of `admin`.
    pub admin_password: Option<Secret>,
}

impl Config {
    /// Reads `path` (defaults when `None`) and `variables` on top, and checks the whole.
    ///
    /// # Errors
    /// The file cannot be read, or says something that is not allowed.
    pub fn load(path: Option<&Path>, variables: &Variables) -> Result<Self, ConfigError> {
        let mut config = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| ConfigError::file(path, &error))?;
                Self::parse(path, &text)?
            }
            None => Self::default(),
        };
        variables.override_config(&mut config)?;
        Ok(config)
    }

    /// Reads the text of the file `path`. Relative paths in it start at the file's directory.
    ///
    /// # Errors
    /// It says something that is not allowed.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| diagnose::explain(path, text, &error))?;
        if let Some(directory) = path.parent() {
            config.store.data_dir = directory.join(&config.store.data_dir);
            for file in config.file_sd.iter_mut().flat_map(|file_sd| &mut file_sd.files) {
                *file = directory.join(&*file);
            }
        }
        config.check(path, text)?;
        Ok(config)
    }

    fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let refuse = |key: &str, allowed: String| Err(diagnose::refuse(path, text, key, &allowed));
        let scrape = &self.scrape;
        let seconds = MIN_INTERVAL_SECONDS..=MAX_INTERVAL_SECONDS;
        if !seconds.contains(&scrape.interval_seconds) {
            return refuse("scrape.interval_seconds", format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}"));
        }
        if !(MIN_INTERVAL_SECONDS..=scrape.interval_seconds).contains(&scrape.timeout_seconds) {
            let allowed = format!("{MIN_INTERVAL_SECONDS} to the interval, {}", scrape.interval_seconds);
            return refuse("scrape.timeout_seconds", allowed);
        }
        if !seconds.contains(&scrape.recheck_seconds) {
            return refuse("scrape.recheck_seconds", format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}"));
        }
        for (key, value) in [
            ("scrape.max_in_flight", scrape.max_in_flight),
            ("scrape.max_wire_bytes", scrape.max_wire_bytes),
            ("scrape.max_page_bytes", scrape.max_page_bytes),
            ("scrape.max_samples", scrape.max_samples),
            ("web.max_connections", self.web.max_connections),
            ("web.token_hours", self.web.token_hours as usize),
            ("store.cache_mib", self.store.cache_mib),
            ("store.retention_days", self.store.retention_days as usize),
            ("health.fall", self.health.fall as usize),
            ("health.rise", self.health.rise as usize),
        ] {
            if value == 0 {
                return refuse(key, "1 or more".into());
            }
        }
        if let Some(file_sd) = self.file_sd.iter().find(|file_sd| !seconds.contains(&file_sd.refresh_seconds)) {
            let allowed = format!("{MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}, not {}", file_sd.refresh_seconds);
            return refuse("file_sd.refresh_seconds", allowed);
        }
        for entry in &self.targets {
            if let Err(problem) = entry.check() {
                return Err(diagnose::refuse_value(path, text, "targets.address", &entry.address, &problem));
            }
        }
        Ok(())
    }

    /// The health rule.
    pub fn rule(&self) -> Rule {
        Rule { fall: self.health.fall, rise: self.health.rise, ..Rule::default() }
    }
}

impl Scrape {
    /// Time between two scrapes of a target.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval_seconds)
    }

    /// Bound of one scrape.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }

    /// Delay of a re-check.
    pub fn recheck(&self) -> Duration {
        Duration::from_secs_f64(self.recheck_seconds)
    }

    /// Whether connections outlive their scrape.
    pub fn keeps_connections(&self) -> bool {
        /// Below, the next scrape comes soon enough to be worth a socket.
        const AUTO_UP_TO_SECONDS: f64 = 60.0;
        match self.keep_alive {
            KeepAlive::Auto => self.interval_seconds <= AUTO_UP_TO_SECONDS,
            KeepAlive::Always => true,
            KeepAlive::Never => false,
        }
    }
}

#[cfg(test)]
mod tests;
