//! A rendered answer that many readers get: its packed forms, its validators, and what a request gets of it.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use mect_fleet::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::rest::coding::Coding;
use crate::rest::list::conditions;
use crate::signature::ListKey;

/// Seconds since the newest heartbeat in the answer.
const DATA_AGE: HeaderName = HeaderName::from_static("x-data-age-seconds");
/// Ed25519 signature of the body before it is packed, in base64.
const SIGNATURE: HeaderName = HeaderName::from_static("x-list-signature");

/// A JSON body.
pub(crate) struct Body {
    /// What a 304 says, by coding.
    known: [HeaderMap; 3],
    plain: Form,
    gzip: OnceCell<Form>,
    brotli: OnceCell<Form>,
    /// Start of the content's SHA-256.
    hash: String,
    /// When the content became what it is.
    modified_at: Timestamp,
    last_modified: HeaderValue,
    signature: Option<[u8; 64]>,
}

/// A body as it is sent, with the headers that go with it.
struct Form {
    bytes: Bytes,
    headers: HeaderMap,
}

/// What a body is rendered under.
pub(crate) struct Terms<'a> {
    /// When the view was published.
    pub(crate) at: Timestamp,
    /// `Cache-Control`.
    pub(crate) caching: &'static str,
    /// Signs it.
    pub(crate) key: Option<&'a ListKey>,
}

impl Body {
    /// A body of these bytes. The one before it is kept, packed forms included, if it says the same.
    pub(crate) fn new(plain: Vec<u8>, terms: &Terms<'_>, before: Option<Arc<Self>>) -> Arc<Self> {
        let hash: String = Sha256::digest(&plain)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(before) = before.filter(|before| before.hash == hash) {
            return before;
        }
        let signature = terms.key.map(|key| key.sign(&plain));
        let known = Coding::ALL.map(|coding| described(&hash, coding, terms.caching, signature.as_ref()));
        Arc::new(Self {
            plain: Form::new(plain.into(), &known, Coding::Identity),
            known,
            gzip: OnceCell::new(),
            brotli: OnceCell::new(),
            hash,
            modified_at: terms.at,
            last_modified: conditions::http_date(terms.at),
            signature,
        })
    }

    /// Size before packing.
    pub(crate) fn bytes(&self) -> usize {
        self.plain.bytes.len()
    }

    /// Its signature, if the list is signed.
    pub(crate) fn signature(&self) -> Option<&[u8; 64]> {
        self.signature.as_ref()
    }

    /// `ETag` of the plain form.
    pub(crate) fn etag(&self) -> Option<&HeaderValue> {
        self.plain.headers.get(header::ETAG)
    }

    /// The answer to a request with these headers: 304 when the client has it already, packed as it likes best.
    pub(crate) async fn respond(
        self: &Arc<Self>,
        request: &HeaderMap,
        data_at: Option<Timestamp>,
    ) -> Result<Response, Error> {
        let now = Timestamp::now();
        let coding = Coding::accepted(request);
        let known = &self.known[coding as usize];
        let mut response = Response::default();
        if conditions::is_known(request, known.get(header::ETAG), self.modified_at) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().clone_from(known);
        } else {
            let form = self.packed(coding).await?;
            response.headers_mut().clone_from(&form.headers);
            *response.body_mut() = form.bytes.clone().into();
        }
        let headers = response.headers_mut();
        // Within the second in which the content came it may change again, and the date would not tell (RFC 9110,
        // section 8.8.2.2).
        if now.as_secs() > self.modified_at.as_secs() {
            headers.insert(header::LAST_MODIFIED, self.last_modified.clone());
        }
        if let Some(data_at) = data_at {
            headers.insert(DATA_AGE, HeaderValue::from(now.since(data_at).as_secs()));
        }
        Ok(response)
    }

    /// The body in that form. Packed when the first client asks for it, not on a thread that serves others.
    async fn packed(self: &Arc<Self>, coding: Coding) -> Result<&Form, Error> {
        let form = match coding {
            Coding::Identity => return Ok(&self.plain),
            Coding::Gzip => &self.gzip,
            Coding::Brotli => &self.brotli,
        };
        form.get_or_try_init(async || {
            let body = Arc::clone(self);
            let pack = move || Ok::<_, std::io::Error>(Form::new(coding.pack(&body.plain.bytes)?, &body.known, coding));
            let packed = spawn_blocking(pack).await.map_err(|error| Error::Internal(Box::new(error)))?;
            packed.map_err(|error| Error::Internal(Box::new(error)))
        })
        .await
    }
}

impl Form {
    fn new(bytes: Bytes, known: &[HeaderMap; 3], coding: Coding) -> Self {
        let mut headers = known[coding as usize].clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(name) = coding.name() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        Self { bytes, headers }
    }
}

/// The headers that a 304 carries too. The tag is strong and from the content, so that it holds across restarts and
/// instances; another form needs another one (RFC 9110, section 8.8.3.3).
fn described(hash: &str, coding: Coding, caching: &'static str, signature: Option<&[u8; 64]>) -> HeaderMap {
    let suffix = match coding {
        Coding::Identity => "",
        Coding::Gzip => "-gzip",
        Coding::Brotli => "-br",
    };
    let tag = HeaderValue::from_str(&format!("\"{hash}{suffix}\"")).expect("hex digits are ASCII");
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie, accept-encoding"));
    if let Some(signature) = signature {
        headers.insert(SIGNATURE, crate::signature::header(signature));
    }
    headers
}
