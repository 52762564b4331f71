//! A socket to an exporter, in the clear or under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use mect_fleet::{Failure, FailureReason};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::access::Access;

/// The socket.
pub(super) enum Socket {
    /// As it is.
    Clear(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Speaks TLS over `socket`, to the exporter on `host`.
    ///
    /// # Errors
    /// The two cannot agree, or the exporter is not who it should be.
    pub(super) async fn secure(socket: TcpStream, access: &Access, host: &str) -> Result<Self, Failure> {
        let (connector, name) = access.tls(host)?;
        match connector.connect(name, socket).await {
            Ok(stream) => Ok(Self::Tls(Box::new(stream))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Failure::new(FailureReason::Tls, "the peer hung up"))
            }
            Err(error) => Err(Failure::new(FailureReason::Tls, error.to_string())),
        }
    }

    /// What it runs over.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// True while the peer has neither closed it nor said anything unasked.
    pub(super) fn is_alive(&self) -> bool {
        self.tcp().try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
