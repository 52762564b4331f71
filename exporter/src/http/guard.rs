//! A stream that gives up on a peer that is too slow.
//!
//! hyper has one timeout for both an idle connection and an unfinished request head. The first must be
//! longer than the scrape interval, the second short, so that the second is kept here: from the first
//! byte of a request (or from the start of the connection) to the call of the service. A peer that does
//! not take its answer is cut off likewise; hyper has no timeout for that at all.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Tells the stream that a request's head has arrived in full.
#[derive(Debug, Clone)]
pub struct HeadArrived(Arc<AtomicBool>);

impl HeadArrived {
    /// Ends the wait for the present head.
    pub fn notify(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream with deadlines for request heads and for unread answers.
#[derive(Debug)]
pub struct Guard<S> {
    stream: S,
    limit: Duration,
    head_arrived: HeadArrived,
    /// Runs while a head is awaited or read.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the peer takes nothing.
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> Guard<S> {
    /// Guards `stream`: the first head must arrive within `limit` from now.
    pub fn new(stream: S, limit: Duration) -> (Self, HeadArrived) {
        let head_arrived = HeadArrived(Arc::new(AtomicBool::new(false)));
        let guard =
            Self { stream, limit, head_arrived: head_arrived.clone(), head: Some(Box::pin(sleep(limit))), write: None };
        (guard, head_arrived)
    }

    fn check_write<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let timer = self.write.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head_arrived.0.swap(false, Ordering::Relaxed) {
            this.head = None;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() && buffer.filled().len() > before && this.head.is_none() {
            this.head = Some(Box::pin(sleep(this.limit)));
        }
        // Also after a byte has come: a peer that sends one at a time must not get more time for it.
        let Some(timer) = &mut this.head else { return read };
        if timer.deadline() <= Instant::now() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request head takes too long")));
        }
        if read.is_pending() {
            // Only so that the task wakes up at the deadline.
            let _ = timer.as_mut().poll(context);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.check_write(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.check_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_cut_off_at_the_limit() {
        let (_peer, stream) = duplex(64);
        let (mut guard, _) = Guard::new(stream, LIMIT);
        let started = Instant::now();
        let error = guard.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn single_bytes_buy_no_time() {
        let (mut peer, stream) = duplex(64);
        let (mut guard, _) = Guard::new(stream, LIMIT);
        let started = Instant::now();
        let dripping = tokio::spawn(async move {
            while peer.write_u8(b'x').await.is_ok() {
                sleep(Duration::from_secs(3)).await;
            }
        });
        while guard.read_u8().await.is_ok() {}
        assert!((9..=12).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        drop(guard);
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_no_hurry() {
        let (mut peer, stream) = duplex(64);
        let (mut guard, head_arrived) = Guard::new(stream, LIMIT);
        peer.write_u8(b'x').await.unwrap();
        guard.read_u8().await.unwrap();
        head_arrived.notify();
        assert!(timeout(LIMIT * 12, guard.read_u8()).await.is_err(), "still open after two minutes");
        peer.write_u8(b'y').await.unwrap();
        guard.read_u8().await.unwrap();
        assert!(guard.read_u8().await.is_err(), "the next head has begun and does not end");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let (_peer, stream) = duplex(8);
        let (mut guard, _) = Guard::new(stream, LIMIT);
        let error = guard.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
