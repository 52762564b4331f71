//! `GET /api/v1/stream`: changes of the fleet as server-sent events.
//!
//! | module | holds |
//! |---|---|
//! | `change` | two views told apart, as events |
//! | `ring` | the latest events, shared by all readers |
//! | `feed` | follows the fleet and fills the ring, once for everybody |
//!
//! A reader holds no queue: it has a place in the ring and takes from there what it has not seen, when its connection
//! has room. Who is too slow falls out of the ring, is told so and cut off; nobody else waits, and no memory grows.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::app::Shared;
use crate::auth::identity::Identity;
use crate::error::Error;
use crate::serve::Closing;

mod change;
pub(crate) mod feed;
mod ring;

use feed::Seat;
use ring::Next;

/// Proxies and browsers give a connection up that is silent for longer than a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Who may no longer read is cut off within this time, and the two seconds for which an account is believed.
const RECHECK: Duration = Duration::from_secs(2);
/// How long a browser waits before it comes back.
const RETRY: &str = "retry: 2000\n\n";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Changes of the fleet as server-sent events, without an end.
///
/// | event | data |
/// |---|---|
/// | `server` | a server that is new or has changed, as `GET /api/v1/servers/{id}` shows it |
/// | `removed` | `{id, ip}` of a server that is gone |
/// | `event` | what happened, as in `GET /api/v1/events` |
/// | `view` | `{version, published_at, servers, store_lost_since}`: the view that the events before it lead to |
/// | `reset` | `{reason, detail}`: events are missing; read the servers anew, and go on from here |
///
/// Every event has an `id`. A client that was cut off sends the latest one as `Last-Event-ID` and gets exactly what it
/// missed, or a `reset` if that is no longer known. A comment comes every 15 s. The stream ends when the token or
/// session does.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "events", operation_id = "stream",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the latest event that was read")),
    responses((status = 200, description = "Events, as they happen", body = String, content_type = "text/event-stream")),
    extensions(("x-endless" = json!(true)))
)]
pub(crate) async fn stream(
    State(app): State<Shared>,
    identity: Identity,
    path: MatchedPath,
    request: Request,
) -> Result<Response, Error> {
    let seat = app.feed.sit_down(&identity.user().username).ok_or(Error::TooManyStreams)?;
    app.feed.start(&app.fleet, &app.journal);
    let headers = request.headers().clone();
    let closing = request.extensions().get::<Closing>().map(|closing| closing.0.clone()).unwrap_or_default();
    let (place, opening) = match headers.get(LAST_EVENT_ID) {
        None => app.feed.here(&change::view(&app.fleet.view(), feed::store_lost_since(&app.fleet))),
        Some(id) => app.feed.resume(id.to_str().unwrap_or_default()),
    };
    let reader = Reader {
        heads: app.feed.heads(),
        app,
        path,
        headers,
        closing,
        place,
        opening: Some([RETRY.as_bytes(), &opening].concat().into()),
        checked: Instant::now(),
        is_over: false,
        _seat: seat,
    };
    let body = Body::from_stream(stream::unfold(reader, Reader::next));
    let mut response = ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    let response_headers = response.headers_mut();
    response_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect the events before it passes them on.
    response_headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// One client.
struct Reader {
    app: Shared,
    path: MatchedPath,
    headers: HeaderMap,
    closing: CancellationToken,
    heads: watch::Receiver<u64>,
    /// The latest event that was handed out.
    place: u64,
    opening: Option<Bytes>,
    checked: Instant,
    is_over: bool,
    _seat: Seat,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let chunk = self.chunk().await?;
        Some((Ok(chunk), self))
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        let silent_until = Instant::now() + KEEP_ALIVE;
        loop {
            if self.is_over || self.closing.is_cancelled() {
                return None;
            }
            if self.checked.elapsed() >= RECHECK {
                if !access::still_admits(&self.app, self.path.as_str(), &self.headers).await {
                    return None;
                }
                self.checked = Instant::now();
            }
            if let Some(opening) = self.opening.take() {
                return Some(opening);
            }
            self.heads.mark_unchanged();
            match self.app.feed.after(self.place) {
                Next::Events { bytes, last } => {
                    self.place = last;
                    return Some(bytes);
                }
                Next::Lost(notice) => {
                    self.is_over = true;
                    return Some(notice);
                }
                Next::Nothing => {}
            }
            tokio::select! {
                () = self.closing.cancelled() => return None,
                changed = self.heads.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.checked + RECHECK) => {}
                () = tokio::time::sleep_until(silent_until) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
    }
}
