//! A real Redis on a free port of the loopback device.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::Process;
use crate::{PATIENCE, eventually, free_port};

/// Another program may take a free port before the server does; then another one is tried.
const PORTS_TRIED: u32 = 10;

/// A Redis that runs until it is dropped.
pub struct Redis {
    directory: TempDir,
    port: u16,
    cluster_port: Option<u16>,
    password: Option<String>,
    process: Option<Process>,
}

impl Redis {
    /// Starts one that asks for no password, and waits until it answers.
    pub fn start() -> Self {
        Self::launch(None, false)
    }

    /// Starts one that asks for a password.
    pub fn start_with_password(password: &str) -> Self {
        Self::launch(Some(password.to_owned()), false)
    }

    /// Starts one that speaks the cluster protocol and holds every slot.
    pub fn start_cluster() -> Self {
        let redis = Self::launch(None, true);
        assert_eq!(redis.say(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
        let is_whole = || redis.say(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(());
        eventually("the cluster to be whole", is_whole);
        redis
    }

    fn launch(password: Option<String>, cluster: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for _ in 0..PORTS_TRIED {
            let (port, cluster_port) = (free_port(), cluster.then(free_port));
            if let Some(process) = serve(&directory, port, cluster_port, password.as_deref()) {
                return Self { directory, port, cluster_port, password, process: Some(process) };
            }
        }
        panic!("redis-server found no free port in {PORTS_TRIED} attempts");
    }

    /// `redis://127.0.0.1:port/`, with the password if there is one.
    pub fn url(&self) -> String {
        let user = self.password.as_ref().map_or(String::new(), |password| format!(":{password}@"));
        format!("redis://{user}127.0.0.1:{}/", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Ends it as `kill -9` does. Its data is gone with it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.kill();
        // A connection of the killed one may hold the port for a moment.
        let start = || serve(&self.directory, self.port, self.cluster_port, self.password.as_deref());
        self.process = Some(eventually("the port to be free again", start));
    }

    /// Stops it in its tracks: connections stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Deletes every key.
    pub fn flush_all(&self) {
        assert_eq!(self.say(&["FLUSHALL"]), "OK");
    }

    /// Sends a command on a connection of its own. An answer of several parts comes as lines; nil is an empty text.
    pub fn say(&self, command: &[&str]) -> String {
        let parts: Vec<_> = command.iter().map(|part| part.as_bytes()).collect();
        self.say_bytes(&parts)
    }

    /// As [`say`](Self::say), for parts that are not text.
    pub fn say_bytes(&self, command: &[&[u8]]) -> String {
        say(self.port, self.password.as_deref(), command).expect("redis-server answers")
    }

    fn signal(&self, name: &str) {
        self.process.as_ref().expect("the server runs").signal(name);
    }
}

/// Starts a server and waits until it answers; `None` when it ended instead, because the port is taken.
fn serve(directory: &TempDir, port: u16, cluster_port: Option<u16>, password: Option<&str>) -> Option<Process> {
    let path = directory.path().display();
    let mut config = format!("bind 127.0.0.1\nport {port}\ndir {path}\nunixsocket {path}/socket\nsave \"\"\n");
    if let Some(password) = password {
        config += &format!("requirepass {password}\n");
    }
    if let Some(cluster_port) = cluster_port {
        config += &format!("cluster-enabled yes\ncluster-port {cluster_port}\n");
    }
    // In a file: a password in the arguments could be read by everyone.
    let file = directory.path().join("redis.conf");
    std::fs::write(&file, config).expect("a configuration file");
    let mut command = Command::new("redis-server");
    command.arg(file).current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::start(&mut command).unwrap_or_else(|error| {
        panic!("redis-server cannot be started ({error}); install it: apt-get install redis-server")
    });
    let mine = format!("process_id:{}\r\n", process.id());
    eventually("redis-server to answer", || {
        let answer = say(port, password, &[b"INFO", b"server"]).unwrap_or_default();
        // Another server may have been quicker to take the port.
        if answer.contains(&mine) { Some(true) } else { (!process.is_running()).then_some(false) }
    })
    .then_some(process)
}

fn say(port: u16, password: Option<&str>, command: &[&[u8]]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    if let Some(password) = password {
        stream.write_all(&encode(&[b"AUTH", password.as_bytes()]))?;
        read_answer(&mut answers)?;
    }
    stream.write_all(&encode(command))?;
    read_answer(&mut answers)
}

/// A command in the Redis protocol: an array of bulk strings.
fn encode(command: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn read_answer(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).unwrap_or_default();
    match (kind, rest.parse::<usize>()) {
        ("$", Ok(length)) => {
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        ("*", Ok(count)) => (0..count).map(|_| read_answer(from)).collect::<Result<Vec<_>, _>>().map(|p| p.join("\n")),
        ("$" | "*", Err(_)) => Ok(String::new()),
        _ => Ok(rest.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::Redis;

    #[test]
    fn it_answers_is_killed_and_starts_again_empty() {
        let mut redis = Redis::start_with_password("hunter2");
        assert_eq!(redis.say(&["SET", "key", "value"]), "OK");
        assert_eq!(redis.say(&["GET", "key"]), "value");
        redis.restart();
        assert_eq!(redis.say(&["GET", "key"]), "");
        assert_eq!(redis.say(&["CONFIG", "GET", "requirepass"]), "requirepass\nhunter2");
    }

    #[test]
    fn a_cluster_holds_every_slot() {
        let redis = Redis::start_cluster();
        assert_eq!(redis.say(&["SET", "key", "value"]), "OK");
    }
}
