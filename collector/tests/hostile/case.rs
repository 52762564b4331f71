//! A case: how one host behaves, and what must come of it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mect_fleet::FailureReason;

/// A scrape may take so long.
pub(crate) const TIMEOUT_SECONDS: f64 = 4.0;
/// Said of one that took longer.
pub(crate) const LATE: &str = "after 4 s";

/// What must come of a host's behaviour.
pub(crate) enum Expected {
    /// Every scrape fails with that reason, and its detail holds these words.
    Fails(FailureReason, &'static str),
    /// Every scrape works, and tells nothing impossible.
    Reads,
}

/// Where the host is.
pub(crate) enum Place {
    /// At an address of its own, where it listens.
    Listens,
    /// The same, behind TLS. Never was a good one.
    Secured,
    /// The same, known by this name.
    Named(&'static str),
    /// At this URL, where nobody listens. Never was a good one.
    At(&'static str),
    /// Behind a socket that takes no more connections. Never was a good one.
    Full,
}

/// What a host does with one connection, from the moment when it turned.
pub(crate) type Behaviour = Arc<dyn Fn(&mut Peer) -> io::Result<()> + Send + Sync>;

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// More settings of the target.
    pub(crate) settings: &'static str,
    pub(crate) expected: Expected,
    pub(crate) behave: Behaviour,
    /// Behaves before it has read a request.
    pub(crate) greets: bool,
}

/// What hosts know of the world.
#[derive(Default)]
pub(crate) struct Around {
    /// Where the collector serves its own pages.
    pub(crate) collector: OnceLock<SocketAddr>,
    /// A good page for whoever comes; nobody should.
    pub(crate) trap: OnceLock<SocketAddr>,
}

/// The collector, as a host sees it on one connection.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    /// What it asked; empty for a host that greets.
    pub(crate) request: String,
    /// How many connections came before, since the host turned.
    pub(crate) turn: u64,
    pub(crate) own_address: Ipv4Addr,
    pub(crate) around: Arc<Around>,
}

impl Case {
    fn new(
        name: &'static str,
        expected: Expected,
        behave: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { name, place: Place::Listens, settings: "", expected, behave: Arc::new(behave), greets: false }
    }

    /// At another place than an address where it listens.
    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// With more settings of its target.
    pub(crate) fn with(self, settings: &'static str) -> Self {
        Self { settings, ..self }
    }

    /// Behaves so as soon as somebody connects.
    pub(crate) fn greets(self) -> Self {
        Self { greets: true, ..self }
    }

    /// The host was a good one before it turned.
    pub(crate) fn was_good(&self) -> bool {
        matches!(self.place, Place::Listens | Place::Named(_))
    }
}

/// A host whose scrapes fail.
pub(crate) fn fails(
    name: &'static str,
    reason: FailureReason,
    detail: &'static str,
    behave: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case::new(name, Expected::Fails(reason, detail), behave)
}

/// A host that behaves oddly, and no scrape of it fails.
pub(crate) fn reads(name: &'static str, behave: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Case {
    Case::new(name, Expected::Reads, behave)
}

/// Answers always the same, byte by byte as given.
pub(crate) fn answer(bytes: impl Into<Vec<u8>>) -> impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static {
    let bytes = bytes.into();
    move |peer| peer.socket.write_all(&bytes)
}

/// Pause between two pieces of what comes slowly: far below the collector's patience, which must end all the same.
const DRIP: Duration = Duration::from_millis(50);

impl Peer {
    /// Says nothing, until the collector hangs up.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        self.socket.read_to_end(&mut Vec::new()).map(drop)
    }

    /// Says `piece` again and again, as fast as it is taken, until the collector hangs up.
    pub(crate) fn flood(&mut self, piece: &[u8]) -> io::Result<()> {
        let much = piece.repeat((16 * 1024 / piece.len()).max(1));
        loop {
            self.socket.write_all(&much)?;
        }
    }

    /// Says the bytes of `text` one by one and slowly, then `rest` again and again, until the collector hangs up.
    pub(crate) fn drip(&mut self, text: &str, rest: &str) -> io::Result<()> {
        for byte in text.bytes().chain(rest.bytes().cycle()) {
            self.socket.write_all(&[byte])?;
            std::thread::sleep(DRIP);
        }
        Ok(())
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }
}
