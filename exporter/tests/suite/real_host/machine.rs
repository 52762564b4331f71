//! Two hosts in namespaces: one with systemd as PID 1 and the real services, one that is their client.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Longest wait for anything that takes a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

pub(super) const SERVER: &str = "10.77.0.1";
pub(super) const CLIENT: &str = "10.77.0.2";

/// A process in namespaces of its own; everything in them ends with the value.
struct Space {
    child: Child,
    /// Its first process, as seen from outside.
    pid: u32,
}

impl Drop for Space {
    fn drop(&mut self) {
        // `--kill-child` takes the first process along, and the kernel all others with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) struct Machine {
    server: Space,
    client: Space,
    /// Programs of the client, and their logs.
    programs: Vec<Child>,
    pub(super) files: tempfile::TempDir,
}

impl Machine {
    /// Boots a host with these files below `etc`, and a client next to it.
    pub(super) fn boot(files: tempfile::TempDir) -> Self {
        let script = files.path().join("boot.sh");
        fs::write(&script, include_str!("boot.sh")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_mect-exporter"), files.path().join("mect-exporter")).unwrap();
        let server =
            space(&["--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--propagation", "private"], |command| {
                command.arg("bash").arg(&script).arg(files.path());
            });
        let client = space(&["--fork", "--net"], |command| {
            command.args(["sleep", "infinity"]);
        });
        let machine = Self { server, client, programs: Vec::new(), files };
        wait_for("systemd", || {
            let state = machine.on_server(&["systemctl", "is-system-running"]);
            matches!(state.trim(), "running" | "degraded").then_some(())
        });
        machine.join_by_cable();
        machine
    }

    fn join_by_cable(&self) {
        let peer = self.client.pid.to_string();
        for command in [
            &["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &peer][..],
            &["ip", "address", "add", &format!("{SERVER}/24"), "dev", "eth0"],
            &["ip", "link", "set", "eth0", "up"],
            &["ip", "route", "add", "default", "via", CLIENT],
        ] {
            // Only the network: the other's process number is one of the machine.
            self.must(enter(&self.server, &["-n"], command));
        }
        for command in [
            &["ip", "link", "set", "lo", "up"][..],
            &["ip", "address", "add", &format!("{CLIENT}/24"), "dev", "eth0"],
            &["ip", "link", "set", "eth0", "up"],
        ] {
            self.must(enter(&self.client, &["-n"], command));
        }
    }

    fn must(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a program on the host; gives all that it says.
    pub(super) fn on_server(&self, command: &[&str]) -> String {
        said(&enter(&self.server, &["-m", "-u", "-i", "-n", "-p"], command).output().unwrap())
    }

    /// As [`Machine::on_server`], and it must succeed.
    pub(super) fn server(&self, command: &[&str]) -> String {
        self.must(enter(&self.server, &["-m", "-u", "-i", "-n", "-p"], command))
    }

    /// Starts a unit, and tells what it said when it does not come up.
    pub(super) fn start(&self, unit: &str) {
        let output = self.on_server(&["systemctl", "start", unit]);
        if self.on_server(&["systemctl", "is-active", unit]).trim() != "active" {
            let log = self.on_server(&["systemctl", "status", "--no-pager", "--full", unit]);
            panic!("{unit} does not start: {output}\n{log}");
        }
    }

    /// Runs a program on the client: whether it succeeds, and all that it says.
    pub(super) fn on_client(&self, command: &[&str]) -> (bool, String) {
        let output = enter(&self.client, &["-n"], command).output().unwrap();
        (output.status.success(), said(&output))
    }

    /// Runs a program on the client, until the end.
    pub(super) fn run_client(&mut self, command: &[&str], log: &str) {
        let log = fs::File::create(self.files.path().join(log)).unwrap();
        let mut command = enter(&self.client, &["-n"], command);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.programs.push(command.spawn().unwrap());
    }

    /// Runs `work` in the network of the host.
    pub(super) fn in_server_net<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        in_net(self.server.pid, work).join().unwrap()
    }

    /// Runs `work` in the network of the client.
    pub(super) fn in_client_net<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        in_net(self.client.pid, work).join().unwrap()
    }

    /// A web server on the client's side of the cable: answers with as many bytes as the path says.
    pub(super) fn serve_web(&self) {
        let listener = self.in_client_net(|| TcpListener::bind((CLIENT, 8080)).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                    }
                    let text = String::from_utf8_lossy(&head).into_owned();
                    let bytes: usize = text.split([' ', '/']).find_map(|word| word.parse().ok()).unwrap_or(0);
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(&vec![b'x'; bytes]);
                });
            }
        });
    }

    /// The exporter's page.
    pub(super) fn page(&self) -> std::io::Result<String> {
        self.page_of("127.0.0.1:9776")
    }

    /// The page of an exporter on the host.
    pub(super) fn page_of(&self, address: &'static str) -> std::io::Result<String> {
        self.in_server_net(move || {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
        })
    }

    /// Fetches pages until each of these lines is on one, doing `meanwhile` between them.
    pub(super) fn wait_for_lines(&self, what: &str, lines: &[&str], mut meanwhile: impl FnMut()) -> String {
        let started = Instant::now();
        loop {
            meanwhile();
            let page = self.page().unwrap_or_default();
            let missing: Vec<&&str> = lines.iter().filter(|line| !page.lines().any(|found| found == **line)).collect();
            if missing.is_empty() {
                return page;
            }
            if started.elapsed() > PATIENCE {
                let mut vpn = String::new();
                for line in page.lines().filter(|line| line.starts_with("vpn_") || line.contains("conntrack")) {
                    let _ = writeln!(vpn, "{line}");
                }
                let check = self.on_server(&["/usr/local/bin/mect-exporter", "check"]);
                panic!("{what}: not on the page: {missing:#?}\n{vpn}\n{check}");
            }
            // No hurry: each page costs the host something.
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// Waits until `look` gives something.
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The value of the one series that begins so.
pub(super) fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
}

fn space(namespaces: &[&str], configure: impl FnOnce(&mut Command)) -> Space {
    let mut command = Command::new("unshare");
    command.args(namespaces).arg("--kill-child").stdin(Stdio::null()).stdout(Stdio::null());
    configure(&mut command);
    let child = command.spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let pid = wait_for("a process in its own namespaces", || fs::read_to_string(&children).ok()?.trim().parse().ok());
    Space { child, pid }
}

fn enter(space: &Space, namespaces: &[&str], command: &[&str]) -> Command {
    let mut entered = Command::new("nsenter");
    entered.arg("-t").arg(space.pid.to_string()).args(namespaces).arg("--").args(command);
    entered
}

fn in_net<T: Send + 'static>(pid: u32, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(move || {
        let space = fs::File::open(Path::new("/proc").join(pid.to_string()).join("ns/net")).unwrap();
        use std::os::fd::AsFd;
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Fetches `bytes` from the client's web server over a proxy that speaks HTTP.
pub(super) fn fetch_by_http_proxy(proxy: SocketAddr, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET http://{CLIENT}:8080/{bytes} HTTP/1.1\r\nHost: {CLIENT}:8080\r\n\r\n").unwrap();
    read_body(&mut stream, bytes);
    stream
}

/// The same over a proxy that speaks SOCKS5.
pub(super) fn fetch_by_socks(proxy: SocketAddr, bytes: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(&[5, 1, 0])?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    stream.write_all(&[&[5, 1, 0, 1, 10, 77, 0, 2][..], &8080u16.to_be_bytes()].concat())?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: {CLIENT}\r\n\r\n")?;
    read_body(&mut stream, bytes);
    Ok(())
}

fn read_body(stream: &mut TcpStream, bytes: usize) {
    let mut received = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let head = received.windows(4).position(|window| window == b"\r\n\r\n");
        if head.is_some_and(|end| received.len() >= end + 4 + bytes) {
            return;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => received.extend_from_slice(&piece[..read]),
        }
    }
}
