//! A target that counts who comes: connections, and requests on them.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGE: &str = "node_load1 0.5\nnode_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 50\n";

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// Serves a good page on a free port, over connections that stay open, until the test ends.
pub struct PageServer {
    at: SocketAddr,
    counts: Arc<Counts>,
}

impl PageServer {
    pub fn start(ip: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let (at, counts) = (listener.local_addr().unwrap(), Arc::new(Counts::default()));
        let counting = Arc::clone(&counts);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, counts) = (socket.unwrap(), Arc::clone(&counting));
                counts.connections.fetch_add(1, Ordering::Relaxed);
                // Ends when the collector hangs up.
                std::thread::spawn(move || serve(socket, &counts));
            }
        });
        Self { at, counts }
    }

    pub fn address(&self) -> Ipv4Addr {
        match self.at {
            SocketAddr::V4(at) => *at.ip(),
            SocketAddr::V6(_) => unreachable!("it listens on IPv4"),
        }
    }

    pub fn ip(&self) -> String {
        self.at.ip().to_string()
    }

    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// As a target names it.
    pub fn authority(&self) -> String {
        self.at.to_string()
    }

    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }
}

fn serve(socket: TcpStream, counts: &Counts) -> Option<()> {
    let mut requests = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if requests.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: ";
        socket.write_all(format!("{head}{}\r\n\r\n{PAGE}", PAGE.len()).as_bytes()).ok()?;
    }
}
