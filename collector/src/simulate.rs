//! Many simulated exporters in one process, for demonstrations and load tests.
//!
//! Each simulated server has an address of its own in 127.0.0.0/8, and all share one port: one socket listens on
//! every address of the loopback device, and the address that a client connected to says which server it wants.
//! A server is no more than its number: everything it shows is computed from seed, number and time, so that 50,000
//! of them cost as much memory as one, and the same command shows the same fleet every time.

mod behaviour;
mod city;
mod draw;
mod host;
mod numbers;
mod page;
mod serve;
mod template;
mod wave;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::{fs, process};

use mect_fleet::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use behaviour::{Behaviour, Odd};
pub use host::Target;
use page::Pages;

/// The device whose addresses nobody else can reach.
const LOOPBACK_DEVICE: &str = "lo";
/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Number of servers, from 1 to [`Options::MAX_SERVERS`].
    pub servers: u32,
    /// The port of every server; 0 takes a free one.
    pub port: u16,
    /// Pads each page to about this many samples; `None` leaves it at what a host of its
    /// size shows, about 90 to 170.
    pub samples: Option<usize>,
    /// How the servers behave.
    pub profile: Profile,
    /// Another seed gives another fleet.
    pub seed: u64,
}

impl Options {
    /// As many servers as have an address.
    pub const MAX_SERVERS: u32 = host::MAX_SERVERS;
}

/// How the servers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A fleet with every trouble there is, in the shares that [`Behaviour`] names.
    Demo,
    /// All healthy and quick, to measure who scrapes them.
    Load,
    /// The same, but one in ten is odd: see [`Odd`].
    Hostile,
}

/// A simulated fleet that listens.
#[derive(Debug)]
pub struct Simulation {
    listener: TcpListener,
    port: u16,
    options: Options,
    pages: Arc<Pages>,
}

impl Simulation {
    /// Listens. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// The port is in use, the kernel refuses to bind to the loopback device (Linux before 5.7 wants privileges),
    /// or the number of servers is out of range.
    pub fn bind(options: Options) -> io::Result<Self> {
        if !(1..=Options::MAX_SERVERS).contains(&options.servers) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the number of servers is out of range"));
        }
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // First of all: from here on no packet of another device can reach the socket.
        socket.bind_device(Some(LOOPBACK_DEVICE.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.port)).into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, options, pages: Arc::new(Pages::new(&options)) })
    }

    /// The port of every server.
    pub const fn local_port(&self) -> u16 {
        self.port
    }

    /// Every server, by number from 0.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let (seed, port) = (self.options.seed, self.port);
        (0..self.options.servers).map(move |server| Target::new(seed, server, port))
    }

    /// How the server with that number behaves.
    pub fn behaviour(&self, server: u32) -> Behaviour {
        Behaviour::of(&self.options, server)
    }

    /// The page that a healthy server shows at that moment.
    pub fn page(&self, server: u32, at: Timestamp) -> Vec<u8> {
        self.pages.render(server, at, None)
    }

    /// Writes the targets as a file for Prometheus' `file_sd` (JSON, which is YAML, too): one group per server with the
    /// labels hostname, country_code, country, region, city, gaming, streaming and paid. Who watches the file never
    /// sees half of it.
    ///
    /// # Errors
    /// The file cannot be written or put in place.
    pub fn write_targets(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_added_extension(format!("{}.tmp", process::id()));
        let written = self.write_draft(&draft).and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    fn write_draft(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(path)?);
        for (number, target) in self.targets().enumerate() {
            file.write_all(if number == 0 { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut file, &target.file_sd_group())?;
        }
        file.write_all(b"\n]\n")?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    /// Serves until `shutdown`; then every connection ends.
    pub async fn serve(self, shutdown: CancellationToken) {
        serve::serve(self.listener, self.options, self.pages, shutdown).await;
    }
}
