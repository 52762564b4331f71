//! Real programs for the tests: started on free ports in a temporary directory, stopped by their handles.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this module")]

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub mod collector;
pub mod federation;
pub mod foreign;
pub mod host;
pub mod http;
pub mod list_server;
pub mod page_server;
pub mod pki;
pub mod proc;
pub mod prometheus;
pub mod promql;
pub mod victoria;

/// Nothing that a test waits for takes this long on a working system.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs until it is dropped.
pub struct Program {
    pub child: Child,
    pub name: &'static str,
}

impl Program {
    /// Starts `command`; fails with one line that says what to install when the program is not there.
    pub fn start(name: &'static str, install: &str, command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started ({error}); install it: {install}"));
        Self { child, name }
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        signal(self.child.id(), "TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{} does not stop", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts that many healthy simulated exporters, and writes the target file that names them.
pub fn simulate(servers: usize, targets: &Path) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-collector"));
    command.args(["simulate", "--port", "0", "--profile", "load", "--servers", &servers.to_string(), "--targets"]);
    command.arg(targets).stdout(Stdio::piped());
    let mut simulation = Program::start("mect-collector", "cargo build", &mut command);
    read_until(&mut BufReader::new(simulation.child.stdout.take().unwrap()), "simulating exporters");
    simulation
}

/// `command` with a limit of open files.
pub fn with_open_files(files: u32, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Sends a signal by name.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {process}");
}

/// Reads lines until one starts with `prefix`; returns the rest of that line and all lines before it.
pub fn read_until(output: &mut BufReader<ChildStdout>, prefix: &str) -> (String, Vec<String>) {
    let mut before = Vec::new();
    loop {
        let mut line = String::new();
        let bytes = output.read_line(&mut line).unwrap();
        assert!(bytes > 0, "ended before it said {prefix:?}: {before:?}");
        match line.trim_end().strip_prefix(prefix) {
            Some(rest) => return (rest.to_owned(), before),
            None => before.push(line),
        }
    }
}

/// Waits until `ask` gives something; fails with what `describe` says after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port of `ip` that is free now.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

/// A program built by this workspace beside the collector.
pub fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_mect-collector")).with_file_name(name);
    assert!(path.exists(), "{} is missing: build it first with `cargo build --workspace`", path.display());
    path
}

/// Our exporter on `ip`. Its log goes to the test's output.
pub fn exporter(ip: Ipv4Addr, port: u16, configure: impl FnOnce(&mut Command)) -> Program {
    let mut command = Command::new(built("mect-exporter"));
    command.args(["--listen", &format!("{ip}:{port}")]).stdout(Stdio::null()).stderr(Stdio::null());
    configure(&mut command);
    let program = Program::start("mect-exporter", "cargo build --workspace", &mut command);
    eventually("the exporter to listen", || std::net::TcpStream::connect((ip, port)).ok());
    program
}

/// Debian's node_exporter on `ip`.
pub fn node_exporter(ip: Ipv4Addr, port: u16) -> Program {
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={ip}:{port}")).stdout(Stdio::null()).stderr(Stdio::null());
    let install = "apt-get install prometheus-node-exporter";
    let program = Program::start("prometheus-node-exporter", install, &mut command);
    eventually("node_exporter to listen", || std::net::TcpStream::connect((ip, port)).ok());
    program
}

/// What `promtool check metrics` says of a page; empty when it finds nothing.
pub fn promtool_check(page: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool cannot be started ({error}); install it: apt-get install prometheus"));
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The number at `pointer` of a JSON document.
#[track_caller]
pub fn number(document: &Value, pointer: &str) -> f64 {
    let value = document.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {pointer} of {document}"))
}

/// All that a program wrote to a pipe.
pub fn all_of(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}
