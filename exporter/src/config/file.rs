//! The TOML file. Walked by hand rather than derived, so that every error can name the line, the key,
//! what is allowed and the nearest known key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::unknown;
use super::services::{self, Options, Rule, Service, UnitMap};
use crate::sampler::network::device;

use super::{ConfigError, Endpoint, Network, PerPeer, Port, TlsFiles, Uplink, parse_listen};

const KEYS: [&str; 10] = [
    "listen",
    "token_file",
    "allow",
    "tls",
    "services",
    "uplink",
    "certificates",
    "per_peer",
    "page_seconds",
    "data_window_seconds",
];
const UPLINK_KEYS: [&str; 2] = ["device", "capacity_mbit"];
const TLS_KEYS: [&str; 3] = ["cert", "key", "client_ca"];
const SERVICE_KEYS: [&str; 9] =
    ["service", "ports", "device", "config", "status", "control", "stats_api", "control_password_file", "process"];

/// Longest that a page may be served again, in seconds: beyond, a scraper would see old news as new.
const MAX_PAGE_SECONDS: u64 = 60;

/// Longest window for moving data, in seconds.
const MAX_DATA_WINDOW_SECONDS: u64 = 86_400;

/// Most entries of a list.
const MAX_LIST: usize = 64;

/// Largest capacity accepted: 10 Tbit/s, so that bits or bytes written by mistake are noticed.
const MAX_CAPACITY_MBIT: u64 = 10_000_000;

/// What a file sets. Everything may be missing.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) listen: Option<SocketAddr>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) allow: Vec<Network>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) services: Option<UnitMap>,
    pub(super) uplink: Uplink,
    pub(super) certificates: Vec<PathBuf>,
    pub(super) per_peer: PerPeer,
    pub(super) page_seconds: Option<u64>,
    pub(super) data_window_seconds: Option<u64>,
}

type Value<'a> = Spanned<DeValue<'a>>;

/// Parses the text of `file`, which is named in errors.
///
/// # Errors
/// It is not TOML, or a key or value is not one that is known.
pub(super) fn parse(text: &str, file: &Path) -> Result<Settings, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ConfigError::new(error.message().to_owned()).at(text, start).in_file(file)
    })?;
    let mut settings = Settings::default();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        let parsed = match name {
            "listen" => string(value).and_then(parse_listen).map(|listen| settings.listen = Some(listen)),
            "token_file" => string(value).map(|path| settings.token_file = Some(path.into())),
            "allow" => list(value, Network::parse).map(|networks| settings.allow = networks),
            "tls" => parse_tls(value, text).map(|files| settings.tls = Some(files)),
            "certificates" => list(value, absolute).map(|files| settings.certificates = files),
            "per_peer" => parse_per_peer(value).map(|choice| settings.per_peer = choice),
            "page_seconds" => whole(value, 0, MAX_PAGE_SECONDS).map(|seconds| settings.page_seconds = Some(seconds)),
            "data_window_seconds" => {
                whole(value, 1, MAX_DATA_WINDOW_SECONDS).map(|seconds| settings.data_window_seconds = Some(seconds))
            }
            "services" => parse_services(value, text).map(|map| settings.services = Some(map)),
            "uplink" => parse_uplink(value, text).map(|uplink| settings.uplink = uplink),
            _ => Err(ConfigError::new(unknown("key", name, &KEYS))),
        };
        parsed.map_err(|error| error.about(name).at(text, key.span().start).in_file(file))?;
    }
    Ok(settings)
}

fn parse_services(value: &Value<'_>, text: &str) -> Result<UnitMap, ConfigError> {
    let mut rules = Vec::new();
    for (key, value) in subtable(value)? {
        let unit = key.get_ref().as_ref();
        let rule = services::unit_name(unit).and_then(|unit| parse_rule(unit, value, text));
        rules.push(rule.map_err(|error| error.about(format!("services.{unit:?}")).at(text, key.span().start))?);
    }
    Ok(UnitMap::from_operator(rules))
}

/// A rule is the service's id, or a table with the id and more.
fn parse_rule(unit: String, value: &Value<'_>, text: &str) -> Result<Rule, ConfigError> {
    if !value.get_ref().is_table() {
        return Ok(Rule::plain(unit, parse_service(value)?));
    }
    let (mut service, mut options) = (None, Options::default());
    for (key, value) in subtable(value)? {
        let name = key.get_ref().as_ref();
        let path = || string(value).and_then(absolute).map(Some);
        let endpoint = || string(value).and_then(Endpoint::parse).map(Some);
        let parsed = match name {
            "service" => parse_service(value).map(|id| service = Some(id)),
            "ports" => list(value, Port::parse).map(|ports| options.ports = ports),
            "device" => parse_device(value).map(|device| options.device = Some(device)),
            "config" => path().map(|path| options.config = path),
            "status" => path().map(|path| options.status = path),
            "control" => endpoint().map(|endpoint| options.control = endpoint),
            "stats_api" => endpoint().map(|endpoint| options.stats_api = endpoint),
            "control_password_file" => path().map(|path| options.control_password_file = path),
            "process" => string(value).map(|process| options.process = Some(process.to_owned())),
            _ => Err(ConfigError::new(unknown("key", name, &SERVICE_KEYS))),
        };
        parsed.map_err(|error| error.about(format!("services.{unit:?}.{name}")).at(text, key.span().start))?;
    }
    let service = service
        .ok_or_else(|| ConfigError::new(format!("`service` is missing. Allowed are: {}", Service::IDS.join(", "))))?;
    Ok(Rule { unit, service, options: options.into() })
}

fn parse_service(value: &Value<'_>) -> Result<Service, ConfigError> {
    let id = string(value)?;
    Service::from_id(id).ok_or_else(|| ConfigError::new(unknown("service", id, &Service::IDS)))
}

fn parse_tls(value: &Value<'_>, text: &str) -> Result<TlsFiles, ConfigError> {
    let (mut cert, mut key_file, mut client_ca) = (None, None, None);
    for (key, value) in subtable(value)? {
        let name = key.get_ref().as_ref();
        let slot = match name {
            "cert" => &mut cert,
            "key" => &mut key_file,
            "client_ca" => &mut client_ca,
            _ => {
                let error = ConfigError::new(unknown("key", name, &TLS_KEYS));
                return Err(error.about(format!("tls.{name}")).at(text, key.span().start));
            }
        };
        let path = string(value).and_then(absolute);
        *slot = Some(path.map_err(|error| error.about(format!("tls.{name}")).at(text, key.span().start))?);
    }
    match (cert, key_file) {
        (Some(cert), Some(key)) => Ok(TlsFiles { cert, key, client_ca }),
        _ => {
            Err(ConfigError::new("both `cert` and `key` are needed: PEM files with the certificate chain and its key"))
        }
    }
}

fn parse_per_peer(value: &Value<'_>) -> Result<PerPeer, ConfigError> {
    match string(value)? {
        "off" => Ok(PerPeer::Off),
        "hashed" => Ok(PerPeer::Hashed),
        other => Err(ConfigError::new(unknown("choice", other, &["off", "hashed"]))),
    }
}

fn parse_uplink(value: &Value<'_>, text: &str) -> Result<Uplink, ConfigError> {
    let mut uplink = Uplink::default();
    for (key, value) in subtable(value)? {
        let name = key.get_ref().as_ref();
        let parsed = match name {
            "device" => parse_device(value).map(|device| uplink.device = Some(device)),
            "capacity_mbit" => parse_capacity(value).map(|capacity| uplink.capacity_mbit = Some(capacity)),
            _ => Err(ConfigError::new(unknown("key", name, &UPLINK_KEYS))),
        };
        parsed.map_err(|error| error.about(format!("uplink.{name}")).at(text, key.span().start))?;
    }
    Ok(uplink)
}

fn parse_device(value: &Value<'_>) -> Result<String, ConfigError> {
    let name = string(value)?;
    if device::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(ConfigError::new(format!(
        "{name:?} is not a device name. Allowed are 1 to {} characters as `ip link` shows them, e.g. \"eth0\"",
        device::MAX_NAME_BYTES
    )))
}

fn parse_capacity(value: &Value<'_>) -> Result<u64, ConfigError> {
    integer(value).filter(|number| (1..=MAX_CAPACITY_MBIT).contains(number)).ok_or_else(|| {
        ConfigError::new(format!(
            "allowed is a whole number of Mbit/s from 1 to {MAX_CAPACITY_MBIT}, e.g. 1000 for 1 Gbit/s"
        ))
    })
}

fn whole(value: &Value<'_>, least: u64, most: u64) -> Result<u64, ConfigError> {
    integer(value)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| ConfigError::new(format!("allowed is a whole number from {least} to {most}")))
}

fn integer(value: &Value<'_>) -> Option<u64> {
    value.get_ref().as_integer().and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
}

fn absolute(text: &str) -> Result<PathBuf, ConfigError> {
    if text.starts_with('/') {
        return Ok(text.into());
    }
    Err(ConfigError::new(format!("{text:?} is no absolute path, which starts with \"/\"")))
}

/// A list of texts that `parse` understands.
fn list<T>(value: &Value<'_>, parse: impl Fn(&str) -> Result<T, ConfigError>) -> Result<Vec<T>, ConfigError> {
    let found = value.get_ref();
    let array = found
        .as_array()
        .ok_or_else(|| ConfigError::new(format!("allowed is a list of texts, found {}", found.type_str())))?;
    if array.iter().count() > MAX_LIST {
        return Err(ConfigError::new(format!("allowed are at most {MAX_LIST} entries")));
    }
    array.iter().map(|entry| string(entry).and_then(&parse)).collect()
}

fn string<'a>(value: &'a Value<'_>) -> Result<&'a str, ConfigError> {
    let value = value.get_ref();
    value.as_str().ok_or_else(|| ConfigError::new(format!("allowed is a text in quotes, found {}", value.type_str())))
}

fn subtable<'a, 'b>(value: &'a Value<'b>) -> Result<&'a DeTable<'b>, ConfigError> {
    let value = value.get_ref();
    value.as_table().ok_or_else(|| ConfigError::new(format!("allowed is a table, found {}", value.type_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        super::parse(text, Path::new("x.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn all_keys_are_read() {
        let text = "listen = \"[::1]:1\"\ntoken_file = \"/t\"\n[services]\nmyvpn = \"wg\"\n\"ov@*\" = \"ov\"\n\
            [uplink]\ndevice = \"ens3\"\ncapacity_mbit = 2_500\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings.listen.unwrap().to_string(), "[::1]:1");
        assert_eq!(settings.token_file.unwrap(), Path::new("/t"));
        assert_eq!(settings.uplink, Uplink { device: Some("ens3".into()), capacity_mbit: Some(2500) });
        let map = settings.services.unwrap();
        assert_eq!((map.names(), map.patterns()), (vec!["myvpn.service"], vec!["ov@*.service"]));
        assert!(!map.is_built_in());
    }

    #[test]
    fn a_service_may_say_more_than_its_id() {
        let text = "[services]\n\"openvpn@a\" = { service = \"ov\", ports = [\"udp/1194\", \"tcp/443\"], \
            control = \"/run/m.sock\", status = \"/run/s\", device = \"tun3\" }\n[services.x-ui]\nservice = \"vr\"\n\
            stats_api = \"127.0.0.1:10085\"\n";
        let map = parse(text).unwrap().services.unwrap();
        let options = &map.rule("openvpn@a.service").unwrap().options;
        assert_eq!(options.ports, [Port::udp(1194), Port::tcp(443)]);
        assert_eq!(options.control, Some(Endpoint::Unix("/run/m.sock".into())));
        assert_eq!(options.device.as_deref(), Some("tun3"));
        assert!(map.rule("x-ui.service").unwrap().options.stats_api.is_some());
    }

    #[test]
    fn exposure_is_read() {
        let text = "allow = [\"10.0.0.0/8\"]\nper_peer = \"hashed\"\npage_seconds = 0\ndata_window_seconds = 60\n\
            certificates = [\"/c.pem\"]\n[tls]\ncert = \"/c\"\nkey = \"/k\"\nclient_ca = \"/ca\"\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings.allow.len(), 1);
        assert_eq!(settings.per_peer, PerPeer::Hashed);
        assert_eq!((settings.page_seconds, settings.data_window_seconds), (Some(0), Some(60)));
        assert_eq!(settings.tls.unwrap().client_ca.unwrap(), Path::new("/ca"));
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert!(parse("# nothing\n").unwrap().services.is_none());
    }

    #[test]
    fn errors_name_file_line_key_and_what_is_allowed() {
        for (text, expected) in [
            (
                "\nlisen = \"x\"",
                "x.toml:2: lisen: unknown key \"lisen\". Did you mean \"listen\"? Allowed are: listen, token_file, allow, tls, services, uplink, certificates, per_peer, page_seconds, data_window_seconds",
            ),
            ("listen = 9776", "x.toml:1: listen: allowed is a text in quotes, found integer"),
            ("listen = \"localhost\"", "x.toml:1: listen: \"localhost\" is not an address and port."),
            (
                "[uplink]\n\ncapacity = 5",
                "x.toml:3: uplink.capacity: unknown key \"capacity\". Allowed are: device, capacity_mbit",
            ),
            ("[uplink]\ncapacity_mbit = 0", "x.toml:2: uplink.capacity_mbit: allowed is a whole number"),
            ("[uplink]\ncapacity_mbit = -5", "x.toml:2: uplink.capacity_mbit: allowed is"),
            ("[uplink]\ndevice = \"../x\"", "x.toml:2: uplink.device: \"../x\" is not a device name"),
            ("uplink = 5", "x.toml:1: uplink: allowed is a table, found integer"),
            (
                "[services]\nsquid = \"squid\"",
                "x.toml:2: services.\"squid\": unknown service \"squid\". Allowed are: wg, ov, sq, vr",
            ),
            ("[services]\n\"a b\" = \"wg\"", "x.toml:2: services.\"a b\": ' ' cannot stand in a unit name."),
            (
                "[services]\n\"a\" = { service = \"wg\", port = 5 }",
                "x.toml:2: services.\"a.service\".port: unknown key \"port\". Did you mean \"ports\"?",
            ),
            ("[services]\na = { ports = [\"udp/1\"] }", "x.toml:2: services.\"a\": `service` is missing."),
            (
                "[services]\na.service = \"ov\"\na.ports = [\"1\"]",
                "x.toml:3: services.\"a.service\".ports: \"1\" is no port",
            ),
            ("allow = \"10.0.0.0/8\"", "x.toml:1: allow: allowed is a list of texts, found string"),
            ("allow = [\"10.0.0.0/8\", 5]", "x.toml:1: allow: allowed is a text in quotes, found integer"),
            ("[tls]\ncert = \"/c\"", "x.toml:1: tls: both `cert` and `key` are needed"),
            ("[tls]\ncert = \"c\"", "x.toml:2: tls.cert: \"c\" is no absolute path"),
            ("per_peer = \"on\"", "x.toml:1: per_peer: unknown choice \"on\"."),
            ("page_seconds = 61", "x.toml:1: page_seconds: allowed is a whole number from 0 to 60"),
            ("certificates = [\"x.pem\"]", "x.toml:1: certificates: \"x.pem\" is no absolute path"),
            ("listen = ", "x.toml:1: "),
            ("listen = \"a\"\nlisten = \"b\"", "x.toml:2: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}\n  {error}\n  {expected}");
        }
    }
}
