//! A byte budget over everything that a peer may send during one scrape: head, interim responses, chunk framing, body
//! and trailers. Whatever of these a hostile host inflates, it runs into the same wall.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a page's head, and of everything around the body.
const OVERHEAD_BYTES: usize = 16 * 1024;

/// The budget, shared by a connection's user and its socket.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<State>);

#[derive(Debug, Default)]
struct State {
    left: AtomicUsize,
    any_read: AtomicBool,
    exhausted: AtomicBool,
}

impl Budget {
    /// A budget for one exchange with a body of at most `body_bytes`.
    pub(super) fn new(body_bytes: usize) -> Self {
        let left = body_bytes.saturating_add(OVERHEAD_BYTES);
        Self(Arc::new(State { left: left.into(), ..State::default() }))
    }

    /// True when the peer said anything.
    pub(super) fn any_read(&self) -> bool {
        self.0.any_read.load(Ordering::Relaxed)
    }

    /// True when the peer sent more than it may.
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.exhausted.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        if bytes > 0 {
            self.0.any_read.store(true, Ordering::Relaxed);
        }
        let left = self.0.left.load(Ordering::Relaxed);
        if bytes > left {
            self.0.exhausted.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the peer sent more than it may"));
        }
        self.0.left.store(left - bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// A socket that reads within a [`Budget`].
pub(super) struct Metered<S> {
    pub(super) socket: S,
    pub(super) budget: Budget,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let ready = Pin::new(&mut self.socket).poll_read(cx, buf);
        if matches!(ready, Poll::Ready(Ok(()))) {
            self.budget.spend(buf.filled().len() - before)?;
        }
        ready
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
