//! A real VictoriaMetrics.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::promql::Promql;
use super::{Program, eventually, http};

/// A VictoriaMetrics that runs. A failed test shows what it warned of.
pub struct VictoriaMetrics {
    program: Program,
    pub promql: Promql,
    log: PathBuf,
}

impl VictoriaMetrics {
    /// With its data in `directory`, at `address`; scrapes what `config` says, in Prometheus' own words.
    pub fn start(directory: &Path, address: &str, config: Option<&str>) -> Self {
        let victoria = Self::start_with(directory, address, config, &[], "http");
        let health = format!("{}/health", victoria.promql.0);
        eventually("VictoriaMetrics to answer", || http::get(&health, &[]).filter(|answer| answer.status == 200));
        victoria
    }

    /// One that is reached by TLS, with `name.pem` and `name.key` of `directory`.
    pub fn start_tls(directory: &Path, address: &str, name: &str) -> Self {
        let file = |kind: &str| directory.join(format!("{name}.{kind}")).display().to_string();
        let tls = ["-tls".to_owned(), format!("-tlsCertFile={}", file("pem")), format!("-tlsKeyFile={}", file("key"))];
        Self::start_with(directory, address, None, &tls, "https")
    }

    fn start_with(directory: &Path, address: &str, config: Option<&str>, more: &[String], scheme: &str) -> Self {
        let log = directory.join("victoria-metrics.log");
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", directory.join("victoria-metrics").display()))
            .arg(format!("-httpListenAddr={address}"))
            // What was stored last is found at once, and little memory is taken for caches.
            .args(["-search.latencyOffset=0s", "-search.disableCache", "-memory.allowedBytes=64MB"])
            .args(more);
        if let Some(config) = config {
            let path = directory.join("victoria-metrics.yml");
            std::fs::write(&path, config).unwrap();
            command.arg(format!("-promscrape.config={}", path.display()));
            // It has a flag of its own for the time between two looks at a list, and refuses Prometheus' key for that.
            command.args(["-promscrape.config.strictParse=false", "-promscrape.httpSDCheckInterval=1s"]);
        }
        let append = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command.stdout(Stdio::null()).stderr(append);
        let program = Program::start("victoria-metrics", "apt-get install victoria-metrics", &mut command);
        Self { program, promql: Promql(format!("{scheme}://{address}")), log }
    }

    /// Ends it in good order: what it was given is on its disk.
    pub fn stop(mut self) {
        assert!(self.program.stop().success());
    }

    /// What it complained of so far.
    pub fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let is_bad =
            |line: &&str| line.contains("\terror\t") || line.contains("\twarn\t") || line.contains("\tpanic\t");
        log.lines().filter(is_bad).map(str::to_owned).collect()
    }
}

impl Drop for VictoriaMetrics {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.complaints().iter().for_each(|line| println!("{line}"));
        }
    }
}
