//! Brings the queue of one receiver to it: one request at a time, in order, again and again until it is taken or refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use mect_fleet::Timestamp;
use mect_fleet::spool::Outgoing;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use super::request;
use super::verdict::{self, Verdict};
use crate::config::{Protocol, RemoteWrite};
use crate::scrape::{Accesses, Destination, Poster};

/// Pause after a failed attempt, doubled up to the limit.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// See [`RETRY_AFTER`].
const RETRY_AT_MOST: Duration = Duration::from_secs(10);
/// Share of a pause by which it may be longer: many collectors must not come all at once.
const JITTER: f64 = 0.2;
/// At the end, an answer that is under way is waited for this long; else the request is sent again by the next start.
const LAST_ANSWER: Duration = Duration::from_secs(2);
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// The loop that empties one queue.
pub struct Sender {
    receiver: Arc<Receiver>,
    poster: Poster,
    pause: Duration,
    /// What is wrong with the receiver, as it was told in the log.
    problem: Option<String>,
}

impl Sender {
    /// Sends what is in the queue of `receiver` where `settings` says.
    ///
    /// # Errors
    /// Its URL cannot be used.
    pub(super) fn new(
        settings: &RemoteWrite,
        receiver: Arc<Receiver>,
        accesses: &Arc<Accesses>,
    ) -> anyhow::Result<Self> {
        let to = Destination {
            endpoint: settings.endpoint()?,
            access: settings.access.clone(),
            insecure_credentials: settings.insecure_credentials,
            timeout: settings.timeout(),
            headers: settings.headers().collect(),
        };
        let poster = Poster::new(to, Arc::clone(accesses));
        Ok(Self { receiver, poster, pause: RETRY_AFTER, problem: None })
    }

    /// Sends until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let receiver = Arc::clone(&self.receiver);
            let wait = match spawn_blocking(move || receiver.oldest()).await {
                Ok(Ok(Some(request))) => self.send(&request, &stop).await,
                Ok(Ok(None)) => {
                    stop.run_until_cancelled(self.receiver.news.notified()).await;
                    None
                }
                Ok(Err(error)) => Some(self.fail(None, &format!("its queue cannot be read: {error}"))),
                Err(error) => Some(self.fail(None, &error.to_string())),
            };
            if let Some(wait) = wait {
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
        }
    }

    /// Sends a request once; tells how long to wait before the next attempt if it is to be sent again.
    async fn send(&mut self, request: &Outgoing, stop: &CancellationToken) -> Option<Duration> {
        let samples = u64::from(request.records);
        let Some((protocol, body)) = request::of_entry(&request.bytes) else {
            self.refuse(request, 0, "an entry of its queue is of a newer program").await;
            return None;
        };
        let (headers, body) = (headers(protocol), Bytes::copy_from_slice(body));
        let answer = tokio::select! {
            answer = self.poster.post(&headers, body) => answer,
            () = async { stop.cancelled().await; tokio::time::sleep(LAST_ANSWER).await } => return None,
        };
        let verdict = match answer {
            Ok(answer) => verdict::of(&answer, protocol, samples, Timestamp::now()),
            Err(failure) => {
                let (sentence, detail) = (failure.reason.sentence(), failure.detail);
                let why = if detail.is_empty() { sentence.to_owned() } else { format!("{sentence} ({detail})") };
                Verdict::Later { after: None, why }
            }
        };
        match verdict {
            Verdict::Taken => {
                self.finish(request, samples).await;
                self.pause = RETRY_AFTER;
                if self.problem.take().is_some() {
                    tracing::info!(receiver = self.receiver.name(), "remote write goes on");
                }
                None
            }
            Verdict::Refused { taken, why } => {
                self.pause = RETRY_AFTER;
                self.refuse(request, taken, &why).await;
                None
            }
            Verdict::Later { after, why } => Some(self.fail(after, &why)),
        }
    }

    /// Some of a request will never be taken.
    async fn refuse(&mut self, request: &Outgoing, taken: u64, why: &str) {
        self.finish(request, taken).await;
        if self.is_news(why) {
            let (receiver, lost) = (self.receiver.name(), u64::from(request.records).saturating_sub(taken));
            tracing::error!(receiver, why, lost, "samples were refused and are lost; further ones are only counted");
        }
    }

    /// Notes a failed attempt; tells how long to wait before the next one.
    fn fail(&mut self, after: Option<Duration>, why: &str) -> Duration {
        self.receiver.failed();
        if self.is_news(why) {
            tracing::warn!(
                receiver = self.receiver.name(),
                why,
                "samples were not taken; they wait and are sent again"
            );
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY_AT_MOST);
        after.unwrap_or_default().max(pause.mul_f64(1.0 + JITTER * random()))
    }

    /// True when that problem is not in the log yet.
    fn is_news(&mut self, why: &str) -> bool {
        let is_news = self.problem.as_deref() != Some(why);
        self.problem = Some(why.to_owned());
        is_news
    }

    async fn finish(&self, request: &Outgoing, taken: u64) {
        let (receiver, request) = (Arc::clone(&self.receiver), request.clone());
        if let Err(error) = spawn_blocking(move || receiver.done(&request, taken)).await {
            tracing::error!(receiver = self.receiver.name(), %error, "a queue failed");
        }
    }
}

fn headers(protocol: Protocol) -> HeaderMap {
    let (kind, version) = match protocol {
        Protocol::One => ("application/x-protobuf", "0.1.0"),
        Protocol::Two => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
        (VERSION, HeaderValue::from_static(version)),
    ])
}

/// A number in 0–1; 0 where the system has none to give.
fn random() -> f64 {
    let mut byte = [0u8];
    // No jitter is no harm.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / f64::from(u8::MAX)
}
