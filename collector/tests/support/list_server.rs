//! A server of target lists, on hyper, whose answer the test changes.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What it answers.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub location: Option<String>,
    pub body: String,
}

impl Reply {
    pub fn text(body: &str) -> Self {
        Self { status: 200, content_type: "application/json", location: None, body: body.to_owned() }
    }

    pub fn json(body: &Value) -> Self {
        Self::text(&body.to_string())
    }
}

struct State {
    reply: Mutex<Reply>,
    credentials: Mutex<Option<&'static str>>,
    requests: AtomicUsize,
}

/// The server; gone when it is dropped.
pub struct ListServer {
    state: Arc<State>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl ListServer {
    /// On that port of loopback, 0 for a free one; over TLS with that certificate and key. Says `[]`.
    pub fn start_at(port: u16, tls: Option<(&Path, &Path)>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).unwrap();
        let (reply, credentials) = (Mutex::new(Reply::text("[]")), Mutex::new(None));
        let state = Arc::new(State { reply, credentials, requests: AtomicUsize::new(0) });
        let address = listener.local_addr().unwrap();
        let (serving, acceptor) = (Arc::clone(&state), tls.map(|(certificate, key)| acceptor(certificate, key)));
        runtime.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (state, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let response = state.answer(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    // Whoever hangs up, or believes nobody, is what the tests are about.
                    match acceptor {
                        Some(acceptor) => {
                            let Ok(socket) = acceptor.accept(socket).await else { return };
                            let _ = http.serve_connection(TokioIo::new(socket), service).await;
                        }
                        None => drop(http.serve_connection(TokioIo::new(socket), service).await),
                    }
                });
            }
        });
        Self { state, address, _runtime: runtime }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it answers this.
    pub fn reply(&self, reply: Reply) {
        *self.state.reply.lock().unwrap() = reply;
    }

    /// From now on it refuses who does not show this as `Authorization`.
    pub fn ask_for(&self, credentials: &'static str) {
        *self.state.credentials.lock().unwrap() = Some(credentials);
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }
}

impl State {
    fn answer(&self, request: &http::Request<hyper::body::Incoming>) -> http::Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let shown = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let is_known = self.credentials.lock().unwrap().is_none_or(|wanted| shown == Some(wanted));
        let reply = self.reply.lock().unwrap().clone();
        let response = http::Response::builder().status(if is_known { reply.status } else { 401 });
        let response = response.header("content-type", reply.content_type);
        let response = reply.location.iter().fold(response, |response, to| response.header("location", to));
        response.body(Full::from(reply.body)).unwrap()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
