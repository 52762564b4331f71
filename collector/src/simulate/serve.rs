//! Answers for every simulated server on one socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mect_fleet::Timestamp;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::behaviour::{Action, Behaviour, Odd};
use super::page::Pages;
use super::{Options, host};

/// Out of file descriptors or the like: let others finish first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// A connection may idle this long between two requests: longer than any scrape interval.
const IDLE: Duration = Duration::from_secs(600);
/// "Never" answers after this long all the same, by closing: clients that have no timeout should not pile up.
const SILENCE: Duration = Duration::from_secs(120);
/// hyper's least read buffer.
const BUFFER_BYTES: usize = 8 * 1024;
/// Size of a body that no scraper should take.
const HUGE_BYTES: usize = 10_000_000;
static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];

const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

type AnyBody = Either<Full<Bytes>, Zeros>;

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulated server hangs up")]
struct HangUp;

struct Site {
    options: Options,
    pages: Arc<Pages>,
    /// Pages served by all servers: what a bench divides by.
    served: AtomicU64,
}

pub(super) async fn serve(listener: TcpListener, options: Options, pages: Arc<Pages>, shutdown: CancellationToken) {
    let site = Arc::new(Site { options, pages, served: AtomicU64::new(0) });
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Some(server) = server_of(&stream, &options) {
                    greet(stream, server, &site, &shutdown);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The server that the client connected to.
fn server_of(stream: &TcpStream, options: &Options) -> Option<u32> {
    let Ok(SocketAddr::V4(address)) = stream.local_addr() else { return None };
    host::server_at(*address.ip()).filter(|server| *server < options.servers)
}

fn greet(stream: TcpStream, server: u32, site: &Arc<Site>, shutdown: &CancellationToken) {
    if Behaviour::action(&site.options, server, Timestamp::now()) == Action::Reset {
        // Closing with unsent data discarded is what makes the kernel send a reset.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        return;
    }
    // Without it, the last part of a page larger than a segment waits for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let (site, shutdown) = (site.clone(), shutdown.clone());
    tokio::spawn(async move {
        let service = service_fn(|request| answer(request, server, &site));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // How it ended is the client's business.
            _ = connection => {}
            () = shutdown.cancelled() => {}
        }
    });
}

async fn answer(request: Request<Incoming>, server: u32, site: &Site) -> Result<Response<AnyBody>, HangUp> {
    match request.uri().path() {
        "/metrics" => {}
        "/healthz" => return Ok(full(StatusCode::OK, PLAIN, "ok\n")),
        "/served" => return Ok(full(StatusCode::OK, PLAIN, format!("{}\n", site.served.load(Ordering::Relaxed)))),
        _ => return Ok(full(StatusCode::NOT_FOUND, PLAIN, "not found\n")),
    }
    match Behaviour::action(&site.options, server, Timestamp::now()) {
        Action::Page { delay, is_impaired } => {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let page = site.pages.render(server, Timestamp::now(), is_impaired.then_some(server));
            site.served.fetch_add(1, Ordering::Relaxed);
            Ok(full(StatusCode::OK, METRICS, page))
        }
        // A server that went down on a kept connection.
        Action::Reset => Err(HangUp),
        Action::Odd(odd) => oddity(odd).await,
    }
}

async fn oddity(odd: Odd) -> Result<Response<AnyBody>, HangUp> {
    Ok(match odd {
        Odd::Html => full(
            StatusCode::OK,
            HTML,
            "<!doctype html>\n<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n",
        ),
        Odd::Unauthorized => {
            let mut response = full(StatusCode::UNAUTHORIZED, PLAIN, "a token is needed\n");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Odd::Garbage => full(StatusCode::OK, METRICS, &b"node_load1 \xff\xfe\x00\x01 \x80{{{\n\xc3\x28"[..]),
        Odd::Huge => respond(StatusCode::OK, METRICS, Either::Right(Zeros { left: HUGE_BYTES })),
        Odd::Silent => {
            tokio::time::sleep(SILENCE).await;
            return Err(HangUp);
        }
        Odd::Broken => full(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "internal error\n"),
    })
}

fn full(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<AnyBody> {
    respond(status, content_type, Either::Left(Full::new(body.into())))
}

fn respond(status: StatusCode, content_type: HeaderValue, body: AnyBody) -> Response<AnyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A body of zeros, made on the way.
struct Zeros {
    left: usize,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.left.min(CHUNK.len());
        self.left -= length;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&CHUNK).slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
