//! Configuration: one TOML file, a few environment variables on top. The only module that reads either.
//!
//! A mistake names the file, the line, the key and what is allowed; nothing starts with a half-understood file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mect_fleet::redis::RedisUrl;
use mect_fleet::{Network, Role, Rule, TargetPolicy};
use mect_web::{ListKey, Secret};
use serde::Deserialize;

mod access;
mod check;
mod diagnose;
mod environment;
mod federation;
mod http_sd;
mod remote_write;
mod scrape;
mod source;
mod target;

pub use access::Access;
pub use diagnose::ConfigError;
pub use environment::{KNOWN_VARIABLES, Variables};
pub use federation::Federation;
pub use http_sd::HttpSd;
pub use remote_write::{Protocol, RemoteWrite, Series};
pub use scrape::{KeepAlive, Scrape};
pub use source::Source;
pub use target::{Labels, TargetEntry};

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
    /// `[guard]`
    pub guard: GuardRule,
    /// `[collectors]`
    pub collectors: Collectors,
    /// `[geolocation]`
    pub geolocation: Geolocation,
    /// `[federation]`
    pub federation: Federation,
    /// `[[access]]`
    pub access: Vec<Access>,
    /// `[[targets]]`
    pub targets: Vec<TargetEntry>,
    /// `[[file_sd]]`
    pub file_sd: Vec<FileSd>,
    /// `[[http_sd]]`
    pub http_sd: Vec<HttpSd>,
    /// `[[remote_write]]`
    pub remote_write: Vec<RemoteWrite>,
    /// Secrets, from the environment or the files that the environment names.
    #[serde(skip)]
    pub secrets: Secrets,
    /// The file as it was read.
    #[serde(skip)]
    pub source: Source,
}

/// The web side.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address of pages and REST. Environment: `MECT_LISTEN`.
    pub listen: SocketAddr,
    /// The URL by which browsers reach it; `https` makes cookies secure-only.
    pub public_url: Option<String>,
    /// Life of a token from `POST /token`, which cannot be refreshed.
    pub token_hours: u32,
    /// Life of an access token from `POST /api/v1/login`.
    pub access_minutes: u32,
    /// Such a sign-in can be refreshed this long.
    pub refresh_days: u32,
    /// Passwords may stand in the query of the two old password calls.
    pub legacy_query_passwords: bool,
    /// From this role on, nothing is allowed before one-time codes are set up.
    pub totp_required_from: Option<Role>,
    /// Origins whose pages may call REST from a browser, as browsers write them.
    pub cors_origins: Vec<String>,
    /// Certificate chain in PEM form, read again when it changes; with it, pages and REST speak TLS only.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key in PEM form.
    pub tls_key: Option<PathBuf>,
    /// `/metrics` answers without a token.
    pub open_metrics: bool,
    /// `GET /servers` answers without a token, with the load rounded to tens.
    pub public_list: bool,
    /// The description of REST and its readers, `/docs` and `/redoc`, answer without a token.
    pub open_docs: bool,
    /// Everyone may see `/status`: countries and services, and no server.
    pub status_page: bool,
    /// Addresses of proxies in front of the pages, as single ones or ranges: what they say in `X-Forwarded-For` is
    /// believed, for the throttle of logins.
    pub trusted_proxies: Vec<Network>,
    /// Agents of the old system may report their servers to `POST /heartbeat`, with the agent key.
    pub legacy_push: bool,
    /// A server that an agent reports is down after so long without a report.
    pub legacy_push_silence_seconds: f64,
    /// Whether exporters may announce themselves to `POST /api/v1/enrol`, with the agent key.
    pub enrolment: Enrolment,
    /// The agent key may travel unencrypted to exporters that announced themselves.
    pub enrolment_insecure_credentials: bool,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Connections at once from one address; further ones are closed. Trusted proxies have no such limit.
    pub max_connections_per_address: usize,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: None,
            token_hours: 24,
            access_minutes: 15,
            refresh_days: 30,
            legacy_query_passwords: false,
            totp_required_from: None,
            cors_origins: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            open_metrics: false,
            public_list: false,
            open_docs: false,
            status_page: false,
            trusted_proxies: Vec::new(),
            legacy_push: false,
            legacy_push_silence_seconds: 240.0,
            enrolment: Enrolment::Off,
            enrolment_insecure_credentials: false,
            max_connections: 4096,
            max_connections_per_address: 128,
        }
    }
}

/// What becomes of an exporter that announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enrolment {
    /// It is refused.
    Off,
    /// It waits until an operator lets it in.
    Approval,
    /// It is scraped at once.
    Open,
}

/// Where the fleet is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Directory of the embedded store. Environment: `MECT_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Heartbeats are kept this many days.
    pub retention_days: u32,
    /// A server that is neither static nor scraped is forgotten after this many days without a sign of life; 0: never.
    pub delete_silent_days: u32,
    /// Memory for the store's page cache.
    pub cache_mib: usize,
    /// Disk for records while a shared store is away; beyond, the oldest are dropped.
    pub spool_mib: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            retention_days: 30,
            delete_silent_days: 30,
            cache_mib: 32,
            spool_mib: 2048,
        }
    }
}

/// How several collectors share one fleet. Without effect on the embedded store, which belongs to one.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collectors {
    /// A collector that dies is replaced after at most this long. Shorter leases bear shorter pauses of store and
    /// network.
    pub lease_seconds: f64,
    /// Name of this collector for people; the host's by default.
    pub name: Option<String>,
}

impl Default for Collectors {
    fn default() -> Self {
        Self { lease_seconds: 30.0, name: None }
    }
}

impl Collectors {
    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_secs_f64(self.lease_seconds)
    }
}

/// Where servers stand by their addresses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Geolocation {
    /// Databases in MaxMind's format, relative to the configuration file; read again when they change. The first that
    /// knows an address decides.
    pub databases: Vec<PathBuf>,
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

/// What keeps a fault of our own network from turning servers down; see [`mect_fleet::guard`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardRule {
    /// Addresses outside of the fleet that take TCP connections: while none of them and no other server answers, no
    /// server turns down.
    pub canaries: Vec<SocketAddr>,
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
    /// `SECRET_KEY`: signs REST tokens. Made and kept in the data directory when not given; with a
    /// database it must be given, because every collector needs the same.
    pub secret_key: Option<Secret>,
    /// `MONGO_URL`: the database, with its password.
    pub mongo_url: Option<Secret>,
    /// `REDIS_URL`: where Redis is, with its password.
    pub redis_url: Option<RedisUrl>,
    /// `AGENT_API_KEY`: shown to exporters.
    pub agent_api_key: Option<Secret>,
    /// `MECT_LIST_KEY_FILE`: signs the list of servers.
    pub list_key: Option<ListKey>,
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
            for file in [&mut config.web.tls_certificate, &mut config.web.tls_key].into_iter().flatten() {
                *file = directory.join(&*file);
            }
            for file in config.file_sd.iter_mut().flat_map(|file_sd| &mut file_sd.files) {
                *file = directory.join(&*file);
            }
            config.access.iter_mut().for_each(|access| access.from(directory));
            for database in &mut config.geolocation.databases {
                *database = directory.join(&*database);
            }
        }
        config.check(path, text)?;
        config.source = Source::of(path, text);
        Ok(config)
    }

    /// Refuses what only a collector at work needs: who keeps the accounts in order does not have every key.
    ///
    /// # Errors
    /// Agents or exporters may call, and there is no key for them; or a target is the collector itself.
    pub fn check_for_serving(&self) -> Result<(), ConfigError> {
        let asks_for_key = self.web.legacy_push || self.web.enrolment != Enrolment::Off;
        if asks_for_key && self.secrets.agent_api_key.is_none() {
            let problem = "is needed with `web.legacy_push` and `web.enrolment`: agents and exporters show it";
            return Err(ConfigError::at("environment: AGENT_API_KEY", problem));
        }
        // Only now it is known where we listen: the environment may have said so.
        let policy = self.target_policy();
        match self.targets.iter().find_map(|entry| entry.check(&policy).err()) {
            Some(problem) => Err(ConfigError::at("key `targets.address`", problem)),
            None => Ok(()),
        }
    }

    /// Which addresses may be scraped.
    pub fn target_policy(&self) -> TargetPolicy {
        let policy = self.scrape.target_policy();
        // Port 0 is any free one: who listens there knows it later.
        if self.web.listen.port() != 0 {
            policy.deny_listener(self.web.listen, is_here);
        }
        policy
    }

    /// The health rule.
    pub fn rule(&self) -> Rule {
        Rule { fall: self.health.fall, rise: self.health.rise, ..Rule::default() }
    }
}

/// True for an address of this machine: only on such a one can a socket be opened. Sends nothing.
pub(crate) fn is_here(address: IpAddr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let (any, setting): (IpAddr, _) = match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), "/proc/sys/net/ipv4/ip_nonlocal_bind"),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), "/proc/sys/net/ipv6/ip_nonlocal_bind"),
    };
    let binds_anywhere = || std::fs::read_to_string(setting).is_ok_and(|text| text.trim() == "1");
    // Where every address can be bound, for one that moves between machines: what is sent to an own one comes from it.
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        // The port plays no part.
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    UdpSocket::bind((address, 0)).is_ok() && (!binds_anywhere() || from().is_ok_and(|from| from.ip() == address))
}

#[cfg(test)]
mod tests;
