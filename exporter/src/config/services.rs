//! Which systemd units belong to which VPN service, and what an operator says about them.

use std::path::PathBuf;
use std::sync::Arc;

use super::{ConfigError, Endpoint, Port};

/// A kind of VPN service. The short ids are those that clients and the old agents use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// WireGuard, `wg`.
    Wg,
    /// OpenVPN, `ov`.
    Ov,
    /// Squid, `sq`.
    Sq,
    /// X-UI, V2Ray and Xray, `vr`.
    Vr,
}

impl Service {
    /// All ids, for messages.
    pub const IDS: [&'static str; 4] = ["wg", "ov", "sq", "vr"];

    /// The id in labels and in the configuration.
    pub fn id(self) -> &'static str {
        match self {
            Self::Wg => "wg",
            Self::Ov => "ov",
            Self::Sq => "sq",
            Self::Vr => "vr",
        }
    }

    /// The service with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        [Self::Wg, Self::Ov, Self::Sq, Self::Vr].into_iter().find(|service| service.id() == id)
    }
}

/// What an operator says about a unit, where it cannot be found out or would be found wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Ports that clients connect to; empty takes them from the service's own configuration.
    pub ports: Vec<Port>,
    /// The tunnel device.
    pub device: Option<String>,
    /// The service's own configuration file.
    pub config: Option<PathBuf>,
    /// OpenVPN's status file.
    pub status: Option<PathBuf>,
    /// Where it can be asked: OpenVPN's management, Squid's cache manager, Xray's metrics.
    pub control: Option<Endpoint>,
    /// Where the stats API (gRPC) of Xray or V2Ray listens.
    pub stats_api: Option<Endpoint>,
    /// File with the password of OpenVPN's management.
    pub control_password_file: Option<PathBuf>,
    /// Name, with wildcards, of the process that must live.
    pub process: Option<String>,
}

/// One unit name or glob, the service it belongs to, and more about it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name or glob, with suffix.
    pub unit: String,
    /// The service.
    pub service: Service,
    /// What the operator adds.
    pub options: Arc<Options>,
}

impl Rule {
    /// A rule that says nothing more than what the unit is.
    pub fn plain(unit: impl Into<String>, service: Service) -> Self {
        Self { unit: unit.into(), service, options: Arc::default() }
    }
}

/// Rules from unit names and globs to services.
#[derive(Debug, Clone)]
pub struct UnitMap {
    rules: Vec<Rule>,
    built_in: bool,
}

impl UnitMap {
    /// The units that the distributions' packages and X-UI's installer bring.
    pub fn built_in() -> Self {
        let rules = [
            ("wg-quick@*.service", Service::Wg),
            ("openvpn@*.service", Service::Ov),
            ("openvpn-server@*.service", Service::Ov),
            ("squid.service", Service::Sq),
            ("x-ui.service", Service::Vr),
        ];
        Self { rules: rules.map(|(unit, service)| Rule::plain(unit, service)).to_vec(), built_in: true }
    }

    /// An operator's own rules, which replace the built-in ones. Names have their suffix already.
    pub fn from_operator(rules: Vec<Rule>) -> Self {
        Self { rules, built_in: false }
    }

    /// Whether this is the built-in map, which names units that a host need not have.
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The exact unit names.
    pub fn names(&self) -> Vec<&str> {
        self.rules.iter().map(|rule| rule.unit.as_str()).filter(|unit| !is_glob(unit)).collect()
    }

    /// The globs.
    pub fn patterns(&self) -> Vec<&str> {
        self.rules.iter().map(|rule| rule.unit.as_str()).filter(|unit| is_glob(unit)).collect()
    }

    /// The rule for a unit: an exact name beats globs, and a longer glob beats a shorter one.
    pub fn rule(&self, unit: &str) -> Option<&Rule> {
        let fits = |rule: &str| if is_glob(rule) { glob_matches(rule, unit) } else { rule == unit };
        self.rules.iter().filter(|rule| fits(&rule.unit)).max_by_key(|rule| (!is_glob(&rule.unit), rule.unit.len()))
    }

    /// The service of a unit.
    pub fn service(&self, unit: &str) -> Option<Service> {
        self.rule(unit).map(|rule| rule.service)
    }
}

/// Suffixes of unit names, systemd.unit(5). Without one, `.service` is meant.
const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

/// Longest unit name that systemd accepts.
const MAX_NAME_BYTES: usize = 255;

/// Checks a unit name or glob as systemd would, and adds the implied `.service`. One bad name would
/// make systemd refuse the whole question.
///
/// # Errors
/// systemd would not accept it.
pub(super) fn unit_name(text: &str) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@*?".contains(&byte);
    if let Some(odd) = text.chars().find(|character| !character.is_ascii() || !allowed(*character as u8)) {
        return Err(ConfigError::new(format!(
            "{odd:?} cannot stand in a unit name. Allowed are letters, digits, : - _ . \\ @ and the wildcards * and ?"
        )));
    }
    let suffix = SUFFIXES.iter().copied().find(|suffix| text.ends_with(suffix));
    let stem = text.strip_suffix(suffix.unwrap_or_default()).unwrap_or(text);
    if stem.is_empty() || stem.starts_with('@') {
        return Err(ConfigError::new("the unit has no name"));
    }
    if stem.ends_with('@') {
        return Err(ConfigError::new(format!("a template is not a unit. Name an instance or all of them: {stem}*")));
    }
    let name = format!("{stem}{}", suffix.unwrap_or(".service"));
    if name.len() > MAX_NAME_BYTES {
        return Err(ConfigError::new(format!("longer than the {MAX_NAME_BYTES} characters that systemd accepts")));
    }
    Ok(name)
}

fn is_glob(unit: &str) -> bool {
    unit.contains(['*', '?'])
}

/// `*` stands for any text, `?` for one character. Linear but for backtracking to the last `*`, which
/// is enough: what an earlier `*` could take, the last one can take as well.
pub(crate) fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[position] => {
                at += 1;
                position += 1;
            }
            _ => match star {
                Some((after_star, taken)) => {
                    star = Some((after_star, taken + 1));
                    at = after_star;
                    position = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_a_shell() {
        for (pattern, text, expected) in [
            ("wg-quick@*.service", "wg-quick@wg0.service", true),
            ("wg-quick@*.service", "wg-quick@.service", true),
            ("wg-quick@*.service", "wg-quick@wg0.socket", false),
            ("*", "", true),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyybzz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "x", false),
            ("x*", "x", true),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exact_names_beat_globs_and_long_globs_short_ones() {
        let rules =
            [("*", Service::Vr), ("squid.service", Service::Sq), ("openvpn*", Service::Ov), ("squid*", Service::Wg)];
        let map = UnitMap::from_operator(rules.map(|(rule, service)| Rule::plain(rule, service)).to_vec());
        assert_eq!(map.service("squid.service"), Some(Service::Sq));
        assert_eq!(map.service("squid2.service"), Some(Service::Wg));
        assert_eq!(map.service("openvpn@a.service"), Some(Service::Ov));
        assert_eq!(map.service("else.service"), Some(Service::Vr));
        assert_eq!(UnitMap::built_in().service("else.service"), None);
    }

    #[test]
    fn unit_names_are_completed_or_refused() {
        assert_eq!(unit_name("squid").unwrap(), "squid.service");
        assert_eq!(unit_name("wg-quick@*").unwrap(), "wg-quick@*.service");
        assert_eq!(unit_name("vpn.target").unwrap(), "vpn.target");
        assert_eq!(unit_name("a.b").unwrap(), "a.b.service");
        for bad in ["", ".service", "wg-quick@", "wg-quick@.service", "@x", "a/b", "a b", "a[0]", "é", &"x".repeat(300)]
        {
            assert!(unit_name(bad).is_err(), "{bad:?}");
        }
    }
}
