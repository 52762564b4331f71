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

    /// Replaces the configuration file.
    pub fn configure(&self, config: &str) {
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

    fn log_path(&self) -> PathBuf {
        self.path().join("collector.log")
    }

    /// The collector's command line, on a free port unless the test says otherwise.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
        command.arg(subcommand).arg("--config").arg(self.config_path());
        command.env("MECT_LISTEN", "127.0.0.1:0").env("MECT_DATA_DIR", self.data_dir());
        for name in ["MONGO_URL", "REDIS_URL", "SECRET_KEY", "AGENT_API_KEY", "MECT_CONFIG", "MECT_ADMIN_PASSWORD_FILE"]
        {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a collector and waits until it serves. The first one's admin gets [`PASSWORD`].
    pub fn start(&self) -> Collector {
        let mut command = self.command("serve");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.stdout(Stdio::piped()).stderr(log);
        let mut program = Program::start("mect-collector", "cargo build", &mut command);
        let mut output = BufReader::new(program.child.stdout.take().unwrap());
        let (url, _) = read_until(&mut output, "Mect VPN Monitor is ready at ");
        let token = self.sign_in(&url, &mut output);
        Collector { program, url, token, output }
    }

    fn sign_in(&self, url: &str, output: &mut BufReader<std::process::ChildStdout>) -> String {
        let known = self.path().join("signed-in");
        if !known.exists() {
            let (first, _) = read_until(output, "First sign-in: user admin, password ");
            let first = first.split(' ').next().unwrap();
            let token = token(url, first);
            let change = json!({"current_password": first, "new_password": PASSWORD});
            let bearer = format!("Bearer {token}");
            let url = format!("{url}/users/change-password");
            let changed = http::post_json(&url, &change, &[("authorization", &bearer)]).unwrap();
            assert_eq!(changed.status, 200, "{changed:?}");
            std::fs::write(known, "").unwrap();
        }
        token(url, PASSWORD)
    }
}

impl Drop for Home {
    /// A failed test shows what the collectors logged.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string(self.log_path()).unwrap_or_default());
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
