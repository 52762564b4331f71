//! Runs the real program and talks HTTP to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running exporter; it ends with the value.
pub(crate) struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
    /// Where it listens, as its start message says.
    pub(crate) address: String,
    /// What it said until then.
    pub(crate) said: String,
}

/// The program with an environment that holds nothing of the tester's.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mect-exporter"));
    command.env_clear();
    command
}

impl Program {
    /// Starts it on a free loopback port, with these arguments and variables besides.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command()
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "it has ended: {said}");
            if let Some((_, address)) = said[start..].split_once("listening on http") {
                break address.trim_start_matches("s://").trim_start_matches("://").trim().to_owned();
            }
        };
        Self { child, log, address, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, head: &str) -> Response {
        exchange(&mut self.connect(), head)
    }

    pub(crate) fn metrics(&self) -> String {
        let response = self.request("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap().success());
    }

    /// Waits for its end; gives what it still logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The head in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request and reads one answer, as long as its `Content-Length` says.
pub(crate) fn exchange(stream: &mut (impl Read + Write), head: &str) -> Response {
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head_text = String::from_utf8(bytes).unwrap().to_lowercase();
    let status = head_text[9..12].parse().unwrap();
    let mut response = Response { status, head: head_text, body: String::new() };
    if !head.starts_with("HEAD") {
        let length = response.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        if response.header("content-encoding") == Some("gzip") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            body = plain;
        }
        response.body = String::from_utf8(body).unwrap();
    }
    response
}
