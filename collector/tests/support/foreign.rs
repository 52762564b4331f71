//! An exporter of somebody else: serves a page as that one prints it, from the moment at which it was written.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// When the pages in `tests/foreign` were made.
const DATE: &str = "Tue, 24 Nov 2026 12:00:00 GMT";

/// Serves a page on a free port until the test ends.
pub struct Foreign {
    at: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    path: &'static str,
    head: &'static str,
    page: Mutex<String>,
    is_dead: AtomicBool,
}

impl Foreign {
    /// Serves `page` at `path`.
    pub fn start(ip: Ipv4Addr, path: &'static str, page: &str) -> Self {
        Self::start_with(ip, path, "content-type: text/plain; version=0.0.4; charset=utf-8\r\n", page)
    }

    /// The same, with these lines of a head.
    pub fn start_with(ip: Ipv4Addr, path: &'static str, head: &'static str, page: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { path, head, page: Mutex::new(page.to_owned()), is_dead: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, shared) = (socket.unwrap(), Arc::clone(&serving));
                // Ends when the collector hangs up.
                std::thread::spawn(move || serve(socket, &shared));
            }
        });
        Self { at, shared }
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.at, self.shared.path)
    }

    /// As a target names it.
    pub fn authority(&self) -> String {
        self.at.to_string()
    }

    /// From now on answers nothing; or does again.
    pub fn die(&self, is_dead: bool) {
        self.shared.is_dead.store(is_dead, Ordering::Relaxed);
    }

    /// From now on serves another page.
    pub fn say(&self, page: &str) {
        page.clone_into(&mut self.shared.page.lock().unwrap());
    }
}

fn serve(socket: TcpStream, shared: &Shared) -> Option<()> {
    let mut requests = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let (mut line, mut request) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if requests.read_line(&mut line).ok()? == 0 || shared.is_dead.load(Ordering::Relaxed) {
                return None;
            }
            if request.is_empty() {
                request.clone_from(&line);
            }
        }
        let is_there = request.split(' ').nth(1) == Some(shared.path);
        let (status, page) =
            if is_there { ("200 OK", shared.page.lock().unwrap().clone()) } else { ("404 Not Found", String::new()) };
        let head =
            format!("HTTP/1.1 {status}\r\n{}date: {DATE}\r\ncontent-length: {}\r\n\r\n", shared.head, page.len());
        socket.write_all(format!("{head}{page}").as_bytes()).ok()?;
    }
}
