//! Asks a running exporter whether it lives, for containers that have no other program to ask with.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer is as good as no answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the exporter that listens on `listen` for `/healthz`, which needs no token. One that speaks TLS refuses
/// the question, which is a sign of life as well; to ask it properly, a certificate of a client may be needed.
///
/// # Errors
/// It does not answer, or does not say that it lives.
pub fn ask(listen: SocketAddr, tls: bool) -> io::Result<()> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: one that speaks TLS hangs up at the first.
    let question = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut head = [0; 12];
    if tls {
        return match stream.read(&mut head) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(()),
        };
    }
    stream.read_exact(&mut head)?;
    if &head == b"HTTP/1.1 200" { Ok(()) } else { Err(io::Error::other(format!("{address} is not well"))) }
}
