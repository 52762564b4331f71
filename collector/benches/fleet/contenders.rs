//! Who is measured, and on which fleet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mect_fleet::TargetPolicy;

use super::process::Running;
use super::{Plan, floor};

/// The target file's name.
pub const TARGETS: &str = "targets.json";

/// Whether a connection outlives its scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    Kept,
    Fresh,
}

impl Connections {
    /// The setting that makes the collector do so.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Kept => "keep_alive = \"always\"\n",
            Self::Fresh => "keep_alive = \"never\"\n",
        }
    }
}

/// One program that scrapes the fleet.
#[derive(Debug, Clone, Copy)]
pub enum Contender {
    Mect(Connections),
    FetchOnly(Connections),
    VmAgent,
    Prometheus,
}

impl Contender {
    pub const ALL: [Self; 6] = [
        Self::Mect(Connections::Kept),
        Self::FetchOnly(Connections::Kept),
        Self::Mect(Connections::Fresh),
        Self::FetchOnly(Connections::Fresh),
        Self::VmAgent,
        Self::Prometheus,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mect(Connections::Kept) => "mect",
            Self::Mect(Connections::Fresh) => "mect, fresh",
            Self::FetchOnly(Connections::Kept) => "fetch only",
            Self::FetchOnly(Connections::Fresh) => "fetch, fresh",
            Self::VmAgent => "vmagent",
            Self::Prometheus => "prometheus",
        }
    }

    /// Starts it with its data under `directory`.
    pub fn start(self, plan: &Plan, directory: &Path) -> Running {
        let home = directory.join(self.name());
        std::fs::create_dir(&home).unwrap();
        let targets = directory.join(TARGETS);
        match self {
            Self::Mect(connections) => mect(plan, connections, &home, directory),
            Self::FetchOnly(connections) => fetch_only(plan, connections, &targets),
            Self::VmAgent => vmagent(plan, &home, &targets),
            Self::Prometheus => prometheus(plan, &home, &targets),
        }
    }
}

/// Starts the fleet and writes its target file.
pub fn simulate(plan: &Plan, directory: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command
        .args(["simulate", "--profile", plan.profile, "--port", "0"])
        .args(["--servers", &plan.targets.to_string(), "--samples", &plan.samples.to_string()])
        .arg("--targets")
        .arg(directory.join(TARGETS))
        .stdout(Stdio::piped());
    let mut running = Running::start("cargo build", &mut command);
    let mut line = String::new();
    BufReader::new(running.output.as_mut().unwrap()).read_line(&mut line).unwrap();
    running
}

/// Pages that the fleet has served so far.
pub fn pages_served(directory: &Path) -> u64 {
    let targets =
        mect_collector::discovery::file_sd::read(&directory.join(TARGETS), &TargetPolicy::for_operators()).unwrap();
    let url = format!("http://{}/served", targets[0].endpoint.authority());
    let served = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    served.trim().parse().unwrap()
}

/// What the collector is told beside where it listens; `scrape` stands among the settings of scrapes.
pub fn config(plan: &Plan, scrape: &str, directory: &Path) -> String {
    let targets = directory.join(TARGETS);
    format!(
        "[scrape]\ninterval_seconds = {}\ninside_networks = [\"127.0.0.0/8\"]\n{scrape}[[file_sd]]\nfiles = [\"{}\"]\n",
        plan.interval,
        targets.display()
    )
}

fn mect(plan: &Plan, connections: Connections, home: &Path, directory: &Path) -> Running {
    let path = home.join("collector.toml");
    let config = config(plan, connections.setting(), directory);
    std::fs::write(&path, format!("[web]\nlisten = \"127.0.0.1:0\"\n{config}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.arg("serve").arg("--config").arg(path).stdout(Stdio::null());
    Running::start("cargo build", &mut command)
}

fn fetch_only(plan: &Plan, connections: Connections, targets: &Path) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let request = format!("{} {connections:?} {}", plan.interval, targets.display());
    command.env(floor::REQUEST, request).stdout(Stdio::null());
    Running::start("cargo bench", &mut command)
}

/// The scrape configuration that Prometheus and vmagent share.
fn scrape_config(plan: &Plan, home: &Path, targets: &Path) -> std::path::PathBuf {
    let path = home.join("scrape.yml");
    let text = format!(
        "global: {{scrape_interval: {0}s, scrape_timeout: {1}s}}\n\
         scrape_configs: [{{job_name: fleet, file_sd_configs: [{{files: ['{2}']}}]}}]\n",
        plan.interval,
        plan.interval.min(10),
        targets.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn prometheus(plan: &Plan, home: &Path, targets: &Path) -> Running {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", scrape_config(plan, home, targets).display()))
        .arg(format!("--storage.tsdb.path={}", home.join("tsdb").display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stdout(Stdio::null());
    Running::start("apt-get install prometheus", &mut command)
}

fn vmagent(plan: &Plan, home: &Path, targets: &Path) -> Running {
    let mut command = Command::new("vmagent");
    command
        .arg(format!("-promscrape.config={}", scrape_config(plan, home, targets).display()))
        .arg(format!("-remoteWrite.tmpDataPath={}", home.join("queue").display()))
        .arg(format!("-remoteWrite.url=http://127.0.0.1:{}/api/v1/write", sink()))
        .arg("-httpListenAddr=127.0.0.1:0")
        .stdout(Stdio::null());
    Running::start("apt-get install victoria-metrics", &mut command)
}

/// Takes what must be sent somewhere, and throws it away; returns the port.
pub fn sink() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            std::thread::spawn(move || swallow(socket?));
        }
    });
    port
}

/// Answers every request of one connection with 204.
fn swallow(socket: std::net::TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut answers = socket.try_clone()?;
    let mut requests = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().map_err(std::io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut requests.by_ref().take(length), &mut std::io::sink())?;
        answers.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}
