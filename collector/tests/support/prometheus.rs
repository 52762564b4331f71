//! A real Prometheus.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Program, free_port, http};

/// A Prometheus that runs. A failed test shows what it warned of.
pub struct Prometheus {
    _program: Program,
    url: String,
    log: PathBuf,
}

impl Prometheus {
    /// With its data and `config` in `directory`.
    pub fn start(directory: &Path, config: &str) -> Self {
        let path = directory.join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        let address = format!("127.0.0.1:{}", free_port(Ipv4Addr::LOCALHOST));
        let log = directory.join("prometheus.log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        let program = Program::start("prometheus", "apt-get install prometheus", &mut command);
        Self { _program: program, url: format!("http://{address}"), log }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its own metrics.
    pub fn metrics(&self) -> Option<String> {
        http::get(&format!("{}/metrics", self.url), &[]).map(|answer| answer.body)
    }

    /// The series that a query finds; `None` for none, and before it answers.
    pub fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let answer = http::post_form(&format!("{}/api/v1/query", self.url), &[("query", query)], &[])?;
        // Until it has read its own log it answers 503.
        if answer.status != 200 {
            return None;
        }
        let result = answer.json()["data"]["result"].as_array()?.clone();
        (!result.is_empty()).then_some(result)
    }

    /// What one of its endpoints says, below `data` of the answer; else why not.
    ///
    /// # Errors
    /// It does not answer, or answers with an error.
    pub fn api(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = if form.is_empty() { http::get(&url, &[]) } else { http::post_form(&url, form, &[]) };
        let answer = answer.ok_or_else(|| "no answer".to_owned())?;
        if answer.status == 200 { Ok(answer.json()["data"].take()) } else { Err(answer.body) }
    }

    /// The number that a query comes to.
    pub fn number(&self, query: &str) -> Option<f64> {
        self.ask(query)?[0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.log().lines().filter(|line| !line.contains("level=info")).for_each(|line| println!("{line}"));
        }
    }
}
