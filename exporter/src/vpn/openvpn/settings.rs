//! What an OpenVPN instance is told to do: the options that matter here, from its command line and its
//! configuration file. Pure.

use std::path::{Path, PathBuf};

use crate::config::Port;
use crate::root::Root;

/// OpenVPN's own defaults, openvpn(8).
const DEFAULT_PORT: u16 = 1194;
const DEFAULT_STATUS_SECONDS: u64 = 60;
const DEFAULT_MAX_CLIENTS: u64 = 1024;

/// The options that matter, with OpenVPN's defaults. A later option wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    port: u16,
    local_port: Option<u16>,
    is_tcp: bool,
    dev: Option<String>,
    /// The status file, when one is named.
    pub status: Option<PathBuf>,
    /// How often it is written.
    pub status_seconds: u64,
    /// Most clients at a time.
    pub max_clients: u64,
    /// It connects to a server, and waits for nobody.
    pub is_client: bool,
    /// A configuration file could not be read.
    pub is_guess: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            local_port: None,
            is_tcp: false,
            dev: None,
            status: None,
            status_seconds: DEFAULT_STATUS_SECONDS,
            max_clients: DEFAULT_MAX_CLIENTS,
            is_client: false,
            is_guess: false,
        }
    }
}

impl Settings {
    /// Where it listens.
    pub fn port(&self) -> Port {
        let number = self.local_port.unwrap_or(self.port);
        if self.is_tcp { Port::tcp(number) } else { Port::udp(number) }
    }

    /// Its tunnel device, when it is named with its number.
    pub fn named_device(&self) -> Option<String> {
        self.dev.clone().filter(|dev| !matches!(dev.as_str(), "tun" | "tap"))
    }

    /// The only device of its kind that is there.
    pub fn only_device(&self, root: &Root) -> Option<String> {
        let dev = self.dev.as_deref().unwrap_or("tun");
        let listed = std::fs::read_dir(root.path("/sys/class/net")).ok()?;
        let mut names = listed.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut fitting = names.by_ref().filter(|name| {
            name.strip_prefix(dev).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }

    /// Takes the options of a command line; gives the configuration files that it names, which an instance
    /// started in `directory` looks for there.
    pub fn apply_arguments(&mut self, arguments: &[String], directory: &Path) -> Vec<PathBuf> {
        let mut directory = directory.to_owned();
        let mut files = Vec::new();
        let mut at = 1;
        while at < arguments.len() {
            let values: Vec<&str> =
                arguments[at + 1..].iter().map(String::as_str).take_while(|value| !value.starts_with("--")).collect();
            match (arguments[at].trim_start_matches("--"), values.first()) {
                ("cd", Some(to)) => directory = directory.join(to),
                ("config", Some(file)) => files.push(directory.join(file)),
                (option, _) => self.apply(option, &values, &directory),
            }
            at += 1 + values.len();
        }
        files
    }

    /// Takes the options of a configuration file.
    pub fn apply_file(&mut self, text: &str, directory: &Path) {
        let mut inside: Option<&str> = None;
        for line in text.lines() {
            let line = line.trim();
            // A certificate or key between <tag> and </tag>.
            if let Some(tag) = inside {
                if line.strip_prefix("</").and_then(|rest| rest.strip_suffix('>')) == Some(tag) {
                    inside = None;
                }
                continue;
            }
            // Connection blocks hold options like any other place.
            if let Some(tag) = line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
                inside = (!tag.trim_start_matches('/').eq("connection")).then_some(tag);
                continue;
            }
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'']));
            if let Some(option) = words.next() {
                let values: Vec<&str> = words.collect();
                self.apply(option.trim_start_matches("--"), &values, directory);
            }
        }
    }

    fn apply(&mut self, option: &str, values: &[&str], directory: &Path) {
        let number = |at: usize| values.get(at).and_then(|value| value.parse::<u64>().ok());
        let port = || number(0).and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
        match option {
            "port" => self.port = port().unwrap_or(self.port),
            "lport" => self.local_port = port().or(self.local_port),
            "proto" => self.is_tcp = values.first().is_some_and(|proto| proto.starts_with("tcp")),
            "dev" => self.dev = values.first().map(|dev| (*dev).to_owned()),
            "status" => {
                self.status = values.first().map(|file| directory.join(file));
                self.status_seconds = number(1).unwrap_or(DEFAULT_STATUS_SECONDS);
            }
            "max-clients" => self.max_clients = number(0).unwrap_or(self.max_clients),
            "client" | "nobind" => self.is_client = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_units_of_debian_are_understood() {
        let mut settings = Settings::default();
        let line = "/usr/sbin/openvpn --daemon ovpn-server --status /run/openvpn/server.status 10 --cd /etc/openvpn \
            --config /etc/openvpn/server.conf --writepid /run/openvpn/server.pid";
        let files = settings.apply_arguments(&words(line), Path::new("/etc/openvpn"));
        assert_eq!(files, [Path::new("/etc/openvpn/server.conf")]);
        assert_eq!(settings.status.as_deref(), Some(Path::new("/run/openvpn/server.status")));
        assert_eq!(settings.status_seconds, 10);

        let line = "/usr/sbin/openvpn --status /run/openvpn-server/status-a.log --status-version 2 --config a.conf";
        let mut settings = Settings::default();
        let files = settings.apply_arguments(&words(line), Path::new("/etc/openvpn/server"));
        assert_eq!(files, [Path::new("/etc/openvpn/server/a.conf")]);
        assert_eq!(settings.status_seconds, 60);
    }

    #[test]
    fn a_file_sets_what_matters_and_keys_are_skipped() {
        let mut settings = Settings::default();
        let text = "# port 1\nport 443 ; the other\nproto tcp6-server\ndev \"tun7\"\nmax-clients 50\nstatus s.log 5\n\
            <ca>\nport 7\nclient\n</ca>\n<key>\nproto udp\n</key>\n";
        settings.apply_file(text, Path::new("/etc/openvpn"));
        assert_eq!(settings.port(), Port::tcp(443));
        assert_eq!(settings.named_device().as_deref(), Some("tun7"));
        assert_eq!((settings.max_clients, settings.status_seconds), (50, 5));
        assert_eq!(settings.status.as_deref(), Some(Path::new("/etc/openvpn/s.log")));
        assert!(!settings.is_client);
    }

    #[test]
    fn clients_wait_for_nobody() {
        let mut settings = Settings::default();
        settings.apply_file("client\n<connection>\nremote x 1194\nproto tcp\n</connection>\nnobind\n", Path::new("/"));
        assert!(settings.is_client && settings.is_tcp);
    }

    #[test]
    fn the_only_device_of_its_kind_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let make = |name: &str| std::fs::create_dir_all(dir.path().join("sys/class/net").join(name)).unwrap();
        let settings = Settings::default();
        assert_eq!((settings.named_device(), settings.only_device(&root)), (None, None));
        make("tun3");
        make("tunl-x");
        make("eth0");
        assert_eq!(settings.only_device(&root).as_deref(), Some("tun3"));
        make("tun4");
        assert_eq!(settings.only_device(&root), None, "which of the two?");
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut settings = Settings::default();
        settings.apply_file("port\nport x\nport 99999\nlport 0\nmax-clients -1\n<\n>\n<>\n\n \u{0}", Path::new("/"));
        assert_eq!(settings.port(), Port::udp(1194));
        assert!(settings.apply_arguments(&[], Path::new("/")).is_empty());
        assert!(settings.apply_arguments(&words("openvpn --config"), Path::new("/")).is_empty());
    }
}
