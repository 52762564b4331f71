//! A real Prometheus.

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::promql::Promql;
use super::{Program, free_port, http};

/// A Prometheus that runs. A failed test shows what it warned of.
pub struct Prometheus {
    program: Program,
    pub promql: Promql,
    log: PathBuf,
}

impl Prometheus {
    /// With its data and `config` in `directory`.
    pub fn start(directory: &Path, config: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port(Ipv4Addr::LOCALHOST));
        Self::start_with(directory, config, &address, &[])
    }

    /// One that takes samples by remote write at `address`.
    pub fn receiver(directory: &Path, address: &str) -> Self {
        Self::start_with(directory, "", address, &["--web.enable-remote-write-receiver"])
    }

    fn start_with(directory: &Path, config: &str, address: &str, more: &[&str]) -> Self {
        let path = directory.join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        let log = directory.join("prometheus.log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(OpenOptions::new().create(true).append(true).open(&log).unwrap());
        let program = Program::start("prometheus", "apt-get install prometheus", &mut command);
        Self { program, promql: Promql(format!("http://{address}")), log }
    }

    /// Ends it in good order.
    pub fn stop(mut self) {
        assert!(self.program.stop().success());
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Lines of its log that tell of samples which it could not take.
    pub fn faults(&self) -> Vec<String> {
        let words = ["out-of-order", "out of order", "out of bounds", "duplicate", "same timestamp", "too old"];
        let is_fault = |line: &&str| words.iter().any(|word| line.to_lowercase().contains(word));
        self.log().lines().filter(is_fault).map(str::to_owned).collect()
    }

    /// Its own metrics.
    pub fn metrics(&self) -> Option<String> {
        http::get(&format!("{}/metrics", self.promql.0), &[]).map(|answer| answer.body)
    }

    /// The series that a query finds; `None` for none, and before it answers.
    pub fn ask(&self, query: &str) -> Option<Vec<Value>> {
        self.promql.ask(query)
    }

    /// What one of its endpoints says, below `data` of the answer; else why not.
    ///
    /// # Errors
    /// It does not answer, or answers with an error.
    pub fn api(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        self.promql.api(path, form)
    }

    /// The number that a query comes to.
    pub fn number(&self, query: &str) -> Option<f64> {
        self.promql.number(query)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log().lines().filter(|line| !line.contains("level=info")).for_each(|line| println!("{line}"));
        }
    }
}
