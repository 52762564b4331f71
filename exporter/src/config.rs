//! Configuration: a TOML file, then the environment, then the command line; the later one wins.
//!
//! Every error names the file, the line and the key, and says what is allowed. Nothing is read from the
//! environment here: the caller hands in a lookup.

mod endpoint;
mod error;
mod file;
mod network;
mod services;
mod token;

pub use endpoint::{Endpoint, Port, Transport};
pub use error::ConfigError;
pub use network::Network;
pub(crate) use services::glob_matches;
pub use services::{Options, Rule, Service, UnitMap};
pub use token::Token;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the file is looked for when the command line names none. It may be missing there.
pub const DEFAULT_FILE: &str = "/etc/mect/exporter.toml";

/// Loopback: the page tells much about a host, so that whoever wants it on a network must say so.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9776);

/// How long a page is served again. Two scrapers at the same moment cost one collection, and nobody can
/// make the host work harder than once a second.
const DEFAULT_PAGE_LIFETIME: Duration = Duration::from_secs(1);

/// How long data counts as moving after it last did: longer than two scrapes at two minutes.
const DEFAULT_DATA_WINDOW: Duration = Duration::from_secs(300);

const LISTEN_VARIABLE: &str = "MECT_EXPORTER_LISTEN";

/// What the exporter does.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Which setting has given the address.
    pub listen_origin: ListenOrigin,
    /// What a scraper must present; `None` lets everyone in.
    pub token: Option<Token>,
    /// Addresses that may connect; empty lets all.
    pub allow: Vec<Network>,
    /// Where the certificate is; `None` speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Which units belong to which service.
    pub services: UnitMap,
    /// What is known about the uplink.
    pub uplink: Uplink,
    /// PEM files whose expiry is shown.
    pub certificates: Vec<PathBuf>,
    /// Whether single peers are shown.
    pub per_peer: PerPeer,
    /// How long a page is served again.
    pub page_lifetime: Duration,
    /// How long data counts as moving after it last did.
    pub data_window: Duration,
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the exporter's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose certificates scrapers must show; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// Whether the page shows single peers and clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PerPeer {
    /// Totals only.
    #[default]
    Off,
    /// One series per peer, under a name that only this host can tell whose it is.
    Hashed,
}

/// The uplink, as far as the operator describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uplink {
    /// Device name; `None` follows the default route.
    pub device: Option<String>,
    /// Capacity in one direction, in Mbit/s; `None` takes the link's speed.
    pub capacity_mbit: Option<u64>,
}

/// Which setting an address comes from, for messages about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenOrigin {
    /// Nobody has set it.
    Default,
    /// `listen` in this file.
    File(PathBuf),
    /// `MECT_EXPORTER_LISTEN`.
    Environment,
    /// `--listen`.
    CommandLine,
}

impl fmt::Display for ListenOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(formatter, "the default; set `listen` in {DEFAULT_FILE} or use --listen"),
            Self::File(path) => write!(formatter, "`listen` in {}", path.display()),
            Self::Environment => write!(formatter, "{LISTEN_VARIABLE} in the environment"),
            Self::CommandLine => write!(formatter, "--listen"),
        }
    }
}

/// What the command line and the environment add to the file.
pub struct Sources<'a> {
    /// `--config`: must exist. `None` tries [`DEFAULT_FILE`].
    pub file: Option<&'a Path>,
    /// `--listen`.
    pub listen: Option<&'a str>,
    /// Looks up an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// A file cannot be read, a setting is wrong, or the settings together are unsafe.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let named = sources.file.unwrap_or(Path::new(DEFAULT_FILE));
        let file = match std::fs::read_to_string(named) {
            Ok(text) => file::parse(&text, named)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && sources.file.is_none() => {
                file::Settings::default()
            }
            Err(error) => return Err(ConfigError::new(format!("cannot be read: {error}")).in_file(named)),
        };
        let (listen, listen_origin) = if let Some(text) = sources.listen {
            (parse_listen(text).map_err(|error| error.about("--listen"))?, ListenOrigin::CommandLine)
        } else if let Some(text) = non_empty(sources, LISTEN_VARIABLE) {
            (parse_listen(&text).map_err(|error| error.about(LISTEN_VARIABLE))?, ListenOrigin::Environment)
        } else if let Some(listen) = file.listen {
            (listen, ListenOrigin::File(named.to_owned()))
        } else {
            (DEFAULT_LISTEN, ListenOrigin::Default)
        };
        let token = token::load(file.token_file.as_deref(), |name| non_empty(sources, name))?;
        let config = Self {
            listen,
            listen_origin,
            token,
            allow: file.allow,
            tls: file.tls,
            services: file.services.unwrap_or_else(UnitMap::built_in),
            uplink: file.uplink,
            certificates: file.certificates,
            per_peer: file.per_peer,
            page_lifetime: file.page_seconds.map_or(DEFAULT_PAGE_LIFETIME, Duration::from_secs),
            data_window: file.data_window_seconds.map_or(DEFAULT_DATA_WINDOW, Duration::from_secs),
        };
        config.check_exposure()?;
        Ok(config)
    }

    /// What the operator should hear although it is allowed.
    pub fn warning(&self) -> Option<String> {
        let asks_nobody = self.token.is_none() && self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_none());
        let is_public = !self.listen.ip().to_canonical().is_loopback();
        (asks_nobody && is_public && self.allow.is_empty()).then(|| {
            "TLS hides the metrics on their way, but anyone may ask for them: set a token, `client_ca` under [tls], or `allow`"
                .to_owned()
        })
    }

    /// The page says which services a host runs and how busy it is: nobody should publish it by accident.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        if self.token.is_some() || self.tls.is_some() || self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "{} is not a loopback address and neither a token nor TLS is set, so that anyone could read the metrics. Set \
             AGENT_API_KEY (or AGENT_API_KEY_FILE, or `token_file` in the file), or `cert` and `key` under [tls], or listen \
             on 127.0.0.1:{}",
            self.listen,
            self.listen.port()
        ))
        .about(self.listen_origin.to_string()))
    }
}

/// An empty variable is what container tools leave behind for an unset one.
fn non_empty(sources: &Sources<'_>, name: &str) -> Option<String> {
    (sources.environment)(name).filter(|value| !value.is_empty())
}

fn parse_listen(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::new(format!(
            "{text:?} is not an address and port. Allowed are e.g. 127.0.0.1:9776, 0.0.0.0:9776 or [::]:9776"
        ))
    })
}
