//! A receiver of our own, on hyper, which keeps what it is sent and answers as the test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::scene::address;

/// What it answers.
#[derive(Clone)]
pub(crate) enum Reply {
    /// This.
    Say { status: u16, headers: Vec<(&'static str, String)>, body: &'static str },
    /// 400 to a request that holds a series of this name, 204 to others.
    Refuse(&'static str),
    /// Nothing at all.
    Hang,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Say { status, headers: Vec::new(), body: "" }
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Say { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Say { status, headers, body }
            }
            other => other,
        }
    }
}

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Got {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Unpacked.
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
}

impl Got {
    /// The value of a header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct State {
    reply: Mutex<Reply>,
    got: Mutex<Vec<Got>>,
}

/// The receiver; gone when it is dropped.
pub(crate) struct Receiver {
    state: Arc<State>,
    pub(crate) address: String,
    _runtime: Runtime,
}

impl Receiver {
    pub(crate) fn start(reply: Reply) -> Self {
        let (address, runtime) =
            (address(), tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
        let at: SocketAddr = address.parse().unwrap();
        let listener = runtime.block_on(TcpListener::bind(at)).unwrap();
        let state = Arc::new(State { reply: Mutex::new(reply), got: Mutex::default() });
        let serving = Arc::clone(&state);
        runtime.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(state.answer(request).await) }
                    });
                    // Whoever hangs up is what the tests are about.
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Self { state, address, _runtime: runtime }
    }

    /// From now on it answers this.
    pub(crate) fn reply(&self, reply: Reply) {
        *self.state.reply.lock().unwrap() = reply;
    }

    /// All that it got so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.got.lock().unwrap().clone()
    }
}

impl State {
    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let packed = body.collect().await.unwrap().to_bytes();
        let body = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
        let reply = match self.reply.lock().unwrap().clone() {
            Reply::Refuse(name) => {
                let holds = body.windows(name.len()).any(|part| part == name.as_bytes());
                Reply::Say { status: if holds { 400 } else { 204 }, headers: Vec::new(), body: "out of order sample" }
            }
            reply => reply,
        };
        let status = if let Reply::Say { status, .. } = reply { status } else { 0 };
        let (method, path) = (head.method.to_string(), head.uri.to_string());
        self.got.lock().unwrap().push(Got { method, path, headers: head.headers, body, status });
        let Reply::Say { status, headers, body } = reply else { return std::future::pending().await };
        let response = http::Response::builder().status(status);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        response.body(Full::from(body)).unwrap()
    }
}
