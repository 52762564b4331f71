//! A network of its own, with a name server of its own, and one collector in it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::Value;

use crate::name_server::{self, Answer};
use crate::support::collector::{Collector, Home};
use crate::support::host::Host;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 231, 229, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 231, 229, 2);
/// Packets to this network leave, and nobody takes them.
const SILENT: &str = "198.51.100.0/24";
/// A router says of this network that it cannot be reached.
const UNREACHABLE: &str = "192.0.2.0/24";
/// Nobody may send anything to this network.
const PROHIBITED: &str = "203.0.113.128/25";

/// The network, as seen from inside.
pub(crate) struct World {
    pub(crate) home: Home,
}

/// Runs `work` inside of a network of its own.
pub(crate) fn inside(work: impl FnOnce(World) + Send + 'static) {
    let network = Host::new(HERE, THERE);
    // No way out but to the networks below.
    network.ip_inside(&["route", "del", "default"]);
    network.ip_inside(&["neigh", "add", &HERE.to_string(), "lladdr", "02:00:5e:00:53:01", "dev", "eth0"]);
    network.ip_inside(&["route", "add", SILENT, "via", &HERE.to_string()]);
    network.ip_inside(&["route", "add", "unreachable", UNREACHABLE]);
    network.ip_inside(&["route", "add", "prohibit", PROHIBITED]);
    // Whatever is started there is there, too.
    network
        .spawn(|| work(World { home: Home::new("") }))
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

impl World {
    /// Lets `answer` say where names lead.
    pub(crate) fn set_names(&self, answer: impl Fn(&str, u32) -> Answer + Send + 'static) {
        name_server::start(answer);
    }

    /// Starts the collector, with our name server alone to ask.
    pub(crate) fn start(&self) -> Collector {
        let write = |name: &str, text: &str| {
            let path = self.home.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let server = name_server::ADDRESS;
        // Less than the share of a scrape that waits for a name.
        let resolv = write("resolv.conf", &format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
        let nsswitch = write("nsswitch.conf", "hosts: files dns\n");
        let hosts = write("hosts", "127.0.0.1 localhost\n");
        let serve = self.home.command("serve");
        let mut command = Command::new("unshare");
        let mounts = "mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/nsswitch.conf && \
                      mount --bind \"$3\" /etc/hosts && shift 3 && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "sh", "-c", mounts, "sh"]);
        command.args([resolv, nsswitch, hosts]).arg(serve.get_program()).args(serve.get_args());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.home.start_by(command)
    }
}

/// How one server is, as REST shows it.
pub(crate) struct Seen {
    pub(crate) server: Value,
    /// Start of its latest scrape.
    pub(crate) scraped_at: String,
    /// How long that took, in seconds.
    pub(crate) seconds: f64,
}

impl Seen {
    /// Why the latest scrape failed.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.server["failure"]["reason"].as_str()
    }

    /// What exactly was seen then.
    pub(crate) fn detail(&self) -> &str {
        self.server["failure"]["detail"].as_str().unwrap_or_default()
    }

    /// All that a heartbeat may change.
    pub(crate) fn heartbeat(&self) -> Value {
        ["first_heartbeat", "last_heartbeat", "load", "sessions", "services"]
            .iter()
            .map(|key| self.server[*key].clone())
            .collect()
    }
}

/// Every server, by address or name.
pub(crate) fn look(collector: &Collector) -> HashMap<String, Seen> {
    let targets = collector.get("/api/v1/targets?limit=500").json();
    let targets = targets["data"]["activeTargets"].as_array().unwrap().iter();
    let scrapes: HashMap<_, _> =
        targets.map(|target| (target["labels"]["server_id"].clone(), target.clone())).collect();
    let servers = collector.get("/api/v1/servers?limit=500").json();
    let seen = servers["items"].as_array().unwrap().iter().filter_map(|server| {
        let target = scrapes.get(&server["id"])?;
        let scraped_at = target["lastScrape"].as_str()?.to_owned();
        let seconds = target["lastScrapeDuration"].as_f64()?;
        Some((server["ip"].as_str()?.to_owned(), Seen { server: server.clone(), scraped_at, seconds }))
    });
    seen.collect()
}

/// What the kernel says of the collector's process.
pub(crate) struct Footprint {
    process: u32,
}

impl Footprint {
    pub(crate) fn of(collector: &Collector) -> Self {
        Self { process: collector.program.child.id() }
    }

    /// Resident memory at its highest since [`forget_peak`](Self::forget_peak), in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Measures the highest from now on.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process), "5").unwrap();
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process)).unwrap().count()
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}
