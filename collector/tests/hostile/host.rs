//! Hosts: each listens on an address of its own, serves a good page first, and then does what its case says.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use socket2::{Domain, Socket, Type};

use crate::case::{Around, Behaviour, Peer};
use crate::page;

/// Longest request that is read.
const MAX_REQUEST: usize = 64 * 1024;

/// A host, shared by its connections.
pub(crate) struct Host {
    pub(crate) address: Ipv4Addr,
    pub(crate) behave: Behaviour,
    pub(crate) greets: bool,
    pub(crate) was_good: bool,
    /// All hosts turn at once.
    pub(crate) turned: Arc<AtomicBool>,
    pub(crate) around: Arc<Around>,
    /// Good pages served.
    pub(crate) served: AtomicU64,
    /// Connections since it turned.
    pub(crate) behaved: AtomicU64,
}

impl Host {
    /// Listens until the test ends, each connection on a thread; returns the port.
    pub(crate) fn start(self) -> (u16, Arc<Self>) {
        let listener = TcpListener::bind((self.address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = Arc::new(self);
        let started = Arc::clone(&host);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let host = Arc::clone(&host);
                // The collector hangs up on what it does not like: that is what these tests are about.
                std::thread::spawn(move || host.serve(socket));
            }
        });
        (port, started)
    }

    fn serve(&self, socket: TcpStream) -> io::Result<()> {
        let (own_address, around) = (self.address, Arc::clone(&self.around));
        let mut peer = Peer { socket, request: String::new(), turn: 0, own_address, around };
        while self.is_good() {
            if read_request(&mut peer.socket)?.is_empty() {
                return Ok(());
            }
            // Turned while it waited: what a kept connection asks is not answered, a fresh one will be.
            if !self.is_good() {
                return Ok(());
            }
            let turn = self.served.fetch_add(1, Ordering::Relaxed);
            peer.socket.write_all(page::of(&page::good(turn)).as_bytes())?;
        }
        peer.turn = self.behaved.fetch_add(1, Ordering::Relaxed);
        if !self.greets {
            peer.request = read_request(&mut peer.socket)?;
        }
        (self.behave)(&mut peer)
    }

    fn is_good(&self) -> bool {
        self.was_good && !self.turned.load(Ordering::Relaxed)
    }
}

/// The head of a request; empty when the connection ended before.
fn read_request(socket: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") && request.len() < MAX_REQUEST {
        match socket.read(&mut piece)? {
            0 => return Ok(String::new()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&request).to_ascii_lowercase())
}

/// A socket that lets nobody in: its queue is full. It stays so while what is returned lives.
pub(crate) fn full(address: Ipv4Addr) -> (u16, Vec<Socket>) {
    /// More than a queue of length 0 holds.
    const WAITING: usize = 4;
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let there = listener.local_addr().unwrap();
    let waiting = (0..WAITING).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        // It is under way, and stays so once the queue is full.
        let _ = socket.connect(&there);
        socket
    });
    let waiting: Vec<_> = waiting.collect();
    let port = there.as_socket().unwrap().port();
    (port, waiting.into_iter().chain([listener]).collect())
}
