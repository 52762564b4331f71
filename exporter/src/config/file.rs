//! The TOML file. Walked by hand rather than derived, so that every error can name the line, the key,
//! what is allowed and the nearest known key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::unknown;
use super::services::{self, Service, UnitMap};
use super::{ConfigError, Uplink, parse_listen};

const KEYS: [&str; 4] = ["listen", "token_file", "services", "uplink"];
const UPLINK_KEYS: [&str; 2] = ["device", "capacity_mbit"];

/// Largest capacity accepted: 10 Tbit/s, so that bits or bytes written by mistake are noticed.
const MAX_CAPACITY_MBIT: u64 = 10_000_000;

/// Longest device name, `IFNAMSIZ` in linux/if.h without its NUL.
const MAX_DEVICE_BYTES: usize = 15;

/// What a file sets. Everything may be missing.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) listen: Option<SocketAddr>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) services: Option<UnitMap>,
    pub(super) uplink: Uplink,
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
        let rule = services::unit_name(unit).and_then(|unit| Ok((unit, parse_service(value)?)));
        rules.push(rule.map_err(|error| error.about(format!("services.{unit:?}")).at(text, key.span().start))?);
    }
    Ok(UnitMap::from_operator(rules))
}

fn parse_service(value: &Value<'_>) -> Result<Service, ConfigError> {
    let id = string(value)?;
    Service::from_id(id).ok_or_else(|| ConfigError::new(unknown("service", id, &Service::IDS)))
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

/// The name becomes a part of paths below `/sys`, so that it may not lead elsewhere.
fn parse_device(value: &Value<'_>) -> Result<String, ConfigError> {
    let name = string(value)?;
    let fits = (1..=MAX_DEVICE_BYTES).contains(&name.len()) && !matches!(name, "." | "..");
    if fits && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        return Ok(name.to_owned());
    }
    Err(ConfigError::new(format!(
        "{name:?} is not a device name. Allowed are 1 to {MAX_DEVICE_BYTES} characters as `ip link` shows them, e.g. \"eth0\""
    )))
}

fn parse_capacity(value: &Value<'_>) -> Result<u64, ConfigError> {
    let number =
        value.get_ref().as_integer().and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
    number.filter(|number| (1..=MAX_CAPACITY_MBIT).contains(number)).ok_or_else(|| {
        ConfigError::new(format!(
            "allowed is a whole number of Mbit/s from 1 to {MAX_CAPACITY_MBIT}, e.g. 1000 for 1 Gbit/s"
        ))
    })
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
    fn an_empty_file_sets_nothing() {
        assert!(parse("# nothing\n").unwrap().services.is_none());
    }

    #[test]
    fn errors_name_file_line_key_and_what_is_allowed() {
        for (text, expected) in [
            (
                "\nlisen = \"x\"",
                "x.toml:2: lisen: unknown key \"lisen\". Did you mean \"listen\"? Allowed are: listen, token_file, services, uplink",
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
            ("listen = ", "x.toml:1: "),
            ("listen = \"a\"\nlisten = \"b\"", "x.toml:2: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}\n  {error}\n  {expected}");
        }
    }
}
