//! Squid: ports from its configuration, counters from its cache manager.
//!
//! The manager answers over HTTP on Squid's own port, `/squid-internal-mgr/…`, which its default
//! configuration allows to the host itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Endpoint, Port, glob_matches};
use crate::page::{Kind, Page};
use crate::root::Root;
use crate::sampler::SampleError;

use super::{Details, Instance, Reading, Traffic, ask};

const DEFAULT_CONFIG: &str = "/etc/squid/squid.conf";

/// Most files that one configuration may include.
const MAX_INCLUDES: usize = 32;

/// Squid counts traffic in units of this many bytes.
const KILOBYTE: u64 = 1024;

/// What Squid says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Squid {
    requests: u64,
    hits: u64,
    errors: u64,
    client_receive_bytes: u64,
    client_transmit_bytes: u64,
    server_bytes: u64,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

/// A port of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listen {
    address: Option<IpAddr>,
    port: u16,
    /// Takes ordinary requests, so that the manager answers there.
    is_plain: bool,
}

/// Reads the configuration of `instance` and asks its cache manager.
pub async fn read(root: &Root, instance: &Instance, budget: Duration) -> Reading {
    let mut reading = Reading { counts_connections: true, ..Reading::default() };
    let mut listens = Vec::new();
    let file = config_file(instance);
    match root.text(&file) {
        Ok(text) => collect_listens(root, &text, &mut listens, &mut 0),
        Err(error) => reading.gaps.push(format!("its ports are not known: {error}")),
    }
    reading.ports = listens.iter().map(|listen| Port::tcp(listen.port)).collect();
    let ports = if instance.options.ports.is_empty() { &reading.ports } else { &instance.options.ports };
    let named = ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port.number))).next();
    let plain = listens.iter().find(|listen| listen.is_plain).map(|listen| {
        let address = listen.address.filter(|address| !address.is_unspecified());
        SocketAddr::from((address.unwrap_or(Ipv4Addr::LOCALHOST.into()), listen.port))
    });
    let Some(endpoint) = instance.options.control.clone().or_else(|| plain.or(named).map(Endpoint::Tcp)) else {
        reading.gaps.push("where to ask its cache manager is not known: set `control`".to_owned());
        return reading;
    };
    match ask(&endpoint, budget).await {
        Ok(found) => {
            reading.control = Some(true);
            reading.traffic = Some(Traffic {
                receive_bytes: found.client_receive_bytes,
                transmit_bytes: found.client_transmit_bytes,
            });
            // Our own questions count among a client's bytes; what comes from the servers is real work.
            reading.work = Some(found.server_bytes.saturating_add(found.hits));
            reading.details = Details::Squid(found);
        }
        Err(error) => {
            reading.control = (!error.is_permission()).then_some(false);
            reading.problem = Some(error);
        }
    }
    reading
}

/// Both questions share the budget; the second only adds.
async fn ask(endpoint: &Endpoint, budget: Duration) -> Result<Squid, SampleError> {
    let half = budget / 2;
    let counters = ask::http_get(endpoint, "/squid-internal-mgr/counters", half).await?;
    let mut found = parse_counters(&counters).map_err(|reason| SampleError::parse(endpoint, reason))?;
    if let Ok(info) = ask::http_get(endpoint, "/squid-internal-mgr/info", half).await {
        (found.open_fds, found.max_fds) = parse_info(&info);
    }
    Ok(found)
}

fn config_file(instance: &Instance) -> PathBuf {
    let by_argument = || {
        let processes = instance.processes.iter().flatten().filter(|process| process.is("squid*"));
        processes
            .flat_map(|process| process.arguments.windows(2))
            .find(|pair| pair[0] == "-f")
            .map(|pair| pair[1].clone())
    };
    let named = instance.options.config.clone().or_else(|| by_argument().map(PathBuf::from));
    named.unwrap_or_else(|| DEFAULT_CONFIG.into())
}

/// Follows `include` with a wildcard in the file's name, as Debian's configuration has it.
fn collect_listens(root: &Root, text: &str, listens: &mut Vec<Listen>, included: &mut usize) {
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(option @ ("http_port" | "https_port")), Some(place)) => {
                let is_diverted = words.any(|mode| matches!(mode, "intercept" | "tproxy" | "accel"));
                listens.extend(parse_listen(place, option == "http_port" && !is_diverted));
            }
            (Some("include"), Some(pattern)) => {
                for file in expand(root, Path::new(pattern)) {
                    *included += 1;
                    if *included > MAX_INCLUDES {
                        return;
                    }
                    if let Ok(text) = root.text(file) {
                        collect_listens(root, &text, listens, included);
                    }
                }
            }
            _ => {}
        }
    }
}

fn expand(root: &Root, pattern: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let listed = std::fs::read_dir(root.path(directory)).into_iter().flatten().flatten();
    let names = listed.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<PathBuf> =
        names.filter(|file| glob_matches(name, file)).map(|file| directory.join(file)).collect();
    files.sort_unstable();
    files
}

/// `3128`, `192.0.2.1:3128`, `[::1]:3128` or `name:3128`.
fn parse_listen(place: &str, is_plain: bool) -> Option<Listen> {
    let (host, port) = place.rsplit_once(':').map_or((None, place), |(host, port)| (Some(host), port));
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let address = host.and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    Some(Listen { address, port, is_plain })
}

fn parse_counters(text: &str) -> Result<Squid, &'static str> {
    let mut squid = Squid::default();
    let mut seen = false;
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        let bytes = value.saturating_mul(KILOBYTE);
        match key.trim() {
            "client_http.requests" => (squid.requests, seen) = (value, true),
            "client_http.hits" => squid.hits = value,
            "client_http.errors" => squid.errors = value,
            "client_http.kbytes_in" => squid.client_receive_bytes = bytes,
            "client_http.kbytes_out" => squid.client_transmit_bytes = bytes,
            "server.all.kbytes_in" => squid.server_bytes = bytes,
            _ => {}
        }
    }
    if seen { Ok(squid) } else { Err("the answer holds no counters of Squid") }
}

/// Descriptors in use and allowed.
fn parse_info(text: &str) -> (Option<u64>, Option<u64>) {
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        line.trim().parse().ok()
    };
    (value("Number of file desc currently in use:"), value("Maximum number of file descriptors:"))
}

/// Writes the families of all instances.
pub fn render(instances: &[(&str, &Squid)], page: &mut Page) {
    type Column = (&'static str, Kind, &'static str, fn(&Squid) -> Option<u64>);
    const COLUMNS: [Column; 4] = [
        ("vpn_squid_client_requests_total", Kind::Counter, "Requests of clients.", |squid| Some(squid.requests)),
        ("vpn_squid_client_errors_total", Kind::Counter, "Requests that failed.", |squid| Some(squid.errors)),
        ("vpn_squid_open_fds", Kind::Gauge, "File descriptors in use.", |squid| squid.open_fds),
        ("vpn_squid_max_fds", Kind::Gauge, "File descriptors that Squid may use.", |squid| squid.max_fds),
    ];
    for (name, kind, help, column) in COLUMNS {
        let mut family = page.family(name, kind, help);
        for (instance, squid) in instances {
            if let Some(value) = column(squid) {
                family.sample(&[("instance", instance)], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listens(text: &str) -> Vec<Listen> {
        let mut listens = Vec::new();
        collect_listens(&Root::new("/nonexistent"), text, &mut listens, &mut 0);
        listens
    }

    #[test]
    fn ports_come_from_the_configuration() {
        let text = "# http_port 1\nhttp_port 3128\nhttp_port 3129 intercept\n  http_port [::1]:3130 name=x\nhttps_port 192.0.2.1:443 cert=/x\n\
            http_access allow all\nhttp_port proxy.example:8080 # here\n";
        let found = listens(text);
        assert_eq!(found.iter().map(|listen| listen.port).collect::<Vec<_>>(), [3128, 3129, 3130, 443, 8080]);
        assert_eq!(found.iter().map(|listen| listen.is_plain).collect::<Vec<_>>(), [true, false, true, false, true]);
        assert_eq!(found[2].address, Some("::1".parse().unwrap()));
        assert!(listens("http_port\nhttp_port x\nhttp_port 99999\nhttp_port 0\ninclude\n").is_empty());
    }

    #[test]
    fn included_files_count_and_a_circle_ends() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir_all(dir.path().join("etc/squid/conf.d")).unwrap();
        std::fs::write(dir.path().join("etc/squid/conf.d/a.conf"), "http_port 1\ninclude /etc/squid/conf.d/*.conf\n")
            .unwrap();
        std::fs::write(dir.path().join("etc/squid/conf.d/b.txt"), "http_port 2\n").unwrap();
        let mut found = Vec::new();
        collect_listens(&root, "include /etc/squid/conf.d/*.conf\nhttp_port 3\n", &mut found, &mut 0);
        assert!(found.iter().all(|listen| listen.port != 2));
        assert!(found.len() <= MAX_INCLUDES + 1 && found.iter().any(|listen| listen.port == 1));
    }

    #[test]
    fn counters_are_in_base_units() {
        let text = "sample_time = 1795400011.123 (Mon, 23 Nov 2026)\nclient_http.requests = 12\nclient_http.hits = 3\n\
            client_http.errors = 1\nclient_http.kbytes_in = 7\nclient_http.kbytes_out = 9\nserver.all.kbytes_in = 5\n";
        let squid = parse_counters(text).unwrap();
        assert_eq!((squid.requests, squid.hits, squid.errors), (12, 3, 1));
        assert_eq!((squid.client_receive_bytes, squid.client_transmit_bytes, squid.server_bytes), (7168, 9216, 5120));
        assert!(parse_counters("<html>Access Denied</html>").is_err());
        let info = "File descriptor usage for squid:\n\tMaximum number of file descriptors:   1024\n\tNumber of file desc currently in use:   11\n";
        assert_eq!(parse_info(info), (Some(11), Some(1024)));
        assert_eq!(parse_info("x"), (None, None));
    }
}
