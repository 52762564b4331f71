//! The bodies of `GET /servers`, rendered once per published view and shared by all readers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mect_fleet::{FleetView, ServerView};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::rest::gzip;
use crate::rest::server_json::ServerJson;

/// Both lists, each in its newest rendering.
#[derive(Default)]
pub(crate) struct Lists {
    clients: List,
    all: List,
}

impl Lists {
    /// The servers for clients, best first.
    pub(crate) async fn clients(&self, view: &Arc<FleetView>) -> Result<Arc<Body>, Error> {
        self.clients.body(view, FleetView::ranked).await
    }

    /// Every server, by host name.
    pub(crate) async fn all(&self, view: &Arc<FleetView>) -> Result<Arc<Body>, Error> {
        self.all.body(view, FleetView::servers).await
    }
}

#[derive(Default)]
struct List {
    newest: Mutex<Option<Arc<Body>>>,
    /// Held while rendering: the first request of a version works, the others wait for its result.
    rendering: tokio::sync::Mutex<()>,
}

impl List {
    async fn body(
        &self,
        view: &Arc<FleetView>,
        pick: fn(&FleetView) -> &[Arc<ServerView>],
    ) -> Result<Arc<Body>, Error> {
        if let Some(body) = self.newest(view.version()) {
            return Ok(body);
        }
        let _rendering = self.rendering.lock().await;
        if let Some(body) = self.newest(view.version()) {
            return Ok(body);
        }
        let rendered = Arc::clone(view);
        // 50,000 servers take some 100 ms: not on a thread that serves others.
        let body = spawn_blocking(move || Body::render(rendered.version(), pick(&rendered)))
            .await
            .map_err(|error| Error::Internal(Box::new(error)))?
            .map_err(|error| Error::Internal(Box::new(error)))?;
        let body = Arc::new(body);
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&body));
        Ok(body)
    }

    /// A reader that still holds an older view gets the newer list.
    fn newest(&self, version: u64) -> Option<Arc<Body>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|body| body.version >= version).cloned()
    }
}

/// A rendered list.
pub(crate) struct Body {
    version: u64,
    plain: Bytes,
    /// Made when the first client asks for it.
    gzip: OnceLock<Option<Bytes>>,
    /// Strong: from the content, so that it holds across restarts and instances.
    etag: HeaderValue,
    etag_gzip: HeaderValue,
}

impl Body {
    fn render(version: u64, servers: &[Arc<ServerView>]) -> Result<Self, serde_json::Error> {
        let mut plain = Vec::with_capacity(servers.len() * 512 + 2);
        let mut serializer = serde_json::Serializer::new(&mut plain);
        serde::Serializer::collect_seq(&mut serializer, servers.iter().map(|view| ServerJson::of(view)))?;
        let hash: String = Sha256::digest(&plain)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = |suffix| HeaderValue::from_str(&format!("\"{hash}{suffix}\"")).expect("hex digits are ASCII");
        Ok(Self {
            version,
            etag: etag(""),
            // Another representation needs another strong validator (RFC 9110, section 8.8.3.3).
            etag_gzip: etag("-gzip"),
            plain: plain.into(),
            gzip: OnceLock::new(),
        })
    }

    /// The answer to a request with these headers: 304 when the client has it already, gzip when it takes that.
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let gzipped =
            gzip::accepted(request).then(|| self.gzip.get_or_init(|| gzip::compress(&self.plain)).clone()).flatten();
        let etag = if gzipped.is_some() { &self.etag_gzip } else { &self.etag };
        let mut response = if is_known(request, etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let encoding = gzipped.is_some().then_some([(header::CONTENT_ENCODING, "gzip")]);
            let body = gzipped.unwrap_or_else(|| self.plain.clone());
            let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
            response.headers_mut().extend(
                encoding.into_iter().flatten().map(|(name, value)| (Some(name), HeaderValue::from_static(value))),
            );
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie, accept-encoding"));
        response
    }
}

/// `If-None-Match` names the tag, weakly or not (RFC 9110, section 13.1.2), or says `*`.
fn is_known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|candidate| {
        let candidate = candidate.trim();
        candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate).as_bytes() == etag.as_bytes()
    })
}
