//! The real collector binary on a free port, its data in a temporary directory.

use std::fs::OpenOptions;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{self, Answer};
use super::{Program, all_of, eventually, read_until};

/// The password that tests choose for `admin`.
pub const PASSWORD: &str = "correct horse battery";

/// Variables that a home sets itself.
const OURS: [&str; 2] = ["MECT_LISTEN", "MECT_DATA_DIR"];

/// A place for a collector: its configuration and its data. Outlives the collectors that are started in it.
pub struct Home {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Home {
    /// A home with a configuration file that says `config`.
    pub fn new(config: &str) -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap(), environment: Vec::new() };
        home.configure(config);
        home
    }

    /// Replaces the configuration file. Loopback, where the tests' servers are, may be scraped unless `config` itself says
    /// what may be.
    pub fn configure(&self, config: &str) {
        self.configure_exactly(&with_loopback(config));
    }

    /// Replaces the configuration file by this very text.
    pub fn configure_exactly(&self, config: &str) {
        std::fs::write(self.config_path(), config).unwrap();
    }

    /// Sets a variable for collectors that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.path().join("collector.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// What its collectors logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.path().join("collector.log")
    }

    /// The collector's command line, on a free port unless the test says otherwise.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
        command.arg(subcommand).arg("--config").arg(self.config_path());
        command.env("MECT_LISTEN", "127.0.0.1:0").env("MECT_DATA_DIR", self.data_dir());
        for name in mect_collector::config::KNOWN_VARIABLES.iter().filter(|name| !OURS.contains(name)) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a collector and waits until it serves. The first one's admin gets [`PASSWORD`].
    pub fn start(&self) -> Collector {
        self.start_by(self.command("serve"))
    }

    /// The same, by a command line of the test's own.
    pub fn start_by(&self, mut command: Command) -> Collector {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.stdout(Stdio::piped()).stderr(log);
        let mut program = Program::start("mect-collector", "cargo build", &mut command);
        let mut output = BufReader::new(program.child.stdout.take().unwrap());
        let (url, before) = read_until(&mut output, "Mect VPN Monitor is ready at ");
        if let Some(password) = first_password(&before.concat()) {
            std::fs::write(self.first_password_path(), password).unwrap();
        }
        let token = self.sign_in(&url);
        Collector { program, url, token, output }
    }

    /// Where a first password is kept that was told and not used yet.
    pub fn first_password_path(&self) -> PathBuf {
        self.path().join("first-password")
    }

    fn sign_in(&self, url: &str) -> String {
        if let Ok(first) = std::fs::read_to_string(self.first_password_path()) {
            let token = token(url, &first);
            let change = json!({"current_password": first, "new_password": PASSWORD});
            let bearer = format!("Bearer {token}");
            let url = format!("{url}/users/change-password");
            // Hashing has a low priority: on a busy machine the answer may be that it took too long.
            eventually("the first password to be changed", || {
                let changed = http::post_json(&url, &change, &[("authorization", &bearer)])?;
                assert!([200, 401, 503].contains(&changed.status), "{changed:?}");
                // It may have been changed all the same.
                (changed.status == 200 || changed.status == 401).then_some(())
            });
            std::fs::remove_file(self.first_password_path()).unwrap();
        }
        token(url, PASSWORD)
    }
}

/// The same configuration, which opens loopback too. What stands before the end of its `[scrape]` keeps its line.
fn with_loopback(config: &str) -> String {
    const OPEN: &str = "inside_networks = [\"127.0.0.0/8\", \"::1\", \"10.0.0.0/8\", \"fd00::/8\"]\n";
    if config.contains("inside_networks") {
        return config.to_owned();
    }
    let lines: Vec<&str> = config.split_inclusive('\n').collect();
    let Some(scrape) = lines.iter().position(|line| line.trim() == "[scrape]") else {
        return format!("{config}\n[scrape]\n{OPEN}");
    };
    let after = lines.iter().skip(scrape + 1).position(|line| line.starts_with('['));
    let (before, behind) = lines.split_at(after.map_or(lines.len(), |place| scrape + 1 + place));
    format!("{}\n{OPEN}{}", before.concat(), behind.concat())
}

/// The last first password that a collector's output tells.
pub fn first_password(output: &str) -> Option<&str> {
    let mut told = output.lines().filter_map(|line| line.strip_prefix("First sign-in: user admin, password "));
    told.next_back()?.split(' ').next()
}

impl Drop for Home {
    /// A failed test shows what the collectors logged.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

#[track_caller]
fn token(url: &str, password: &str) -> String {
    let form = [("username", "admin"), ("password", password)];
    let answer = eventually("a token", || http::post_form(&format!("{url}/token"), &form, &[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// A running collector and a token of its admin.
pub struct Collector {
    pub program: Program,
    pub url: String,
    token: String,
    output: BufReader<std::process::ChildStdout>,
}

impl Collector {
    /// The header value that shows the admin's token.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// GET as admin.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let answer = http::get(&format!("{}{path}", self.url), &[("authorization", &bearer)]);
        answer.unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// PATCH as admin.
    #[track_caller]
    pub fn patch(&self, path: &str, document: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let answer = http::patch_json(&format!("{}{path}", self.url), document, &[("authorization", &bearer)]);
        answer.unwrap_or_else(|| panic!("no answer to PATCH {path}"))
    }

    /// POST as admin.
    #[track_caller]
    pub fn post(&self, path: &str, document: &Value) -> Answer {
        let answer = http::post_json(&format!("{}{path}", self.url), document, &[("authorization", &self.bearer())]);
        answer.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// PUT as admin.
    #[track_caller]
    pub fn put(&self, path: &str, document: &Value) -> Answer {
        let answer = http::put_json(&format!("{}{path}", self.url), document, &[("authorization", &self.bearer())]);
        answer.unwrap_or_else(|| panic!("no answer to PUT {path}"))
    }

    /// DELETE as admin.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        let answer = http::delete(&format!("{}{path}", self.url), &[("authorization", &self.bearer())]);
        answer.unwrap_or_else(|| panic!("no answer to DELETE {path}"))
    }

    /// Every server, in the old REST shape.
    #[track_caller]
    pub fn all_servers(&self) -> Vec<Value> {
        let answer = self.get("/servers?all_servers=true");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_value(answer.json()).unwrap()
    }

    /// The server with that address, once `is_so` holds for it.
    #[track_caller]
    pub fn server_when(&self, what: &str, ip: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.all_servers().into_iter().find(|server| server["ip"] == ip && is_so(server)))
    }

    /// Stops it as an operator does; returns what it still said.
    pub fn stop(mut self) -> String {
        let status = self.program.stop();
        assert!(status.success(), "{status}");
        all_of(&mut self.output)
    }
}
