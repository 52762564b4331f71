//! Brings the queue of one receiver to it: one request at a time, in order, again and again until it is taken or refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use mect_fleet::Timestamp;
use mect_fleet::spool::Outgoing;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::part::Part;
use super::receiver::Receiver;
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

/// A request that was refused as a whole is divided, and its parts again, into so many parts at most: a few bad samples are
/// found among thousands, and a receiver that takes nothing is not asked about each.
const MAX_PARTS: usize = 256;
/// As long as dividing saves nothing, into so many.
const FEW_PARTS: usize = 2;
/// The same refusal is told in the log again after this: requests that are taken in between do not end it.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// The loop that empties one queue.
pub struct Sender {
    receiver: Arc<Receiver>,
    poster: Poster,
    pause: Duration,
    /// Why the receiver takes nothing now, as it was told in the log.
    problem: Option<String>,
    /// Why it refused something, and when that was told.
    refusal: Option<(String, Instant)>,
    /// The request that is sent just now, if parts of it were sent already.
    begun: Option<Sending>,
    /// Of the latest request that was divided nothing was taken.
    is_in_vain: bool,
}

/// A request on its way.
struct Sending {
    request: Outgoing,
    /// What is left of it. The last is sent next.
    parts: Vec<Part>,
    is_divided: bool,
    /// So many parts it may still be divided into.
    divisible: usize,
    /// Samples that were taken.
    taken: u64,
    /// Why the first of those was refused that will never be taken.
    why: Option<String>,
}

/// What comes after an attempt.
enum After {
    /// The next part, or the end of the request.
    GoOn,
    /// The same once more, after a pause.
    Again(Duration),
    /// Nothing: this is the end.
    Stop,
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
        Ok(Self { receiver, poster, pause: RETRY_AFTER, problem: None, refusal: None, begun: None, is_in_vain: false })
    }

    /// Sends until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.begun.take() {
                Some(sending) => self.send(sending, &stop).await,
                None => self.send_oldest(&stop).await,
            };
            if let Some(wait) = wait {
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            }
        }
    }

    /// Sends the oldest request; tells how long to wait if it is to be sent again.
    async fn send_oldest(&mut self, stop: &CancellationToken) -> Option<Duration> {
        let receiver = Arc::clone(&self.receiver);
        let request = match spawn_blocking(move || receiver.oldest()).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) => {
                stop.run_until_cancelled(self.receiver.news.notified()).await;
                return None;
            }
            Ok(Err(error)) => return Some(self.fail(None, &format!("its queue cannot be read: {error}"))),
            Err(error) => return Some(self.fail(None, &error.to_string())),
        };
        let divisible = if self.is_in_vain { FEW_PARTS } else { MAX_PARTS };
        let whole = Part::whole(&request);
        let why = whole.is_none().then(|| "an entry of its queue is of a newer program".to_owned());
        self.send(Sending { request, parts: Vec::from_iter(whole), is_divided: false, divisible, taken: 0, why }, stop)
            .await
    }

    /// Sends a request, or what is left of it; tells how long to wait before it is gone on with.
    async fn send(&mut self, mut sending: Sending, stop: &CancellationToken) -> Option<Duration> {
        while let Some(part) = sending.parts.pop() {
            let again = match self.send_part(&part, &mut sending, stop).await {
                After::GoOn => continue,
                After::Again(wait) => Some(wait),
                After::Stop => None,
            };
            sending.parts.push(part);
            // One that is whole still may be dropped for want of room meanwhile.
            self.begun = sending.is_divided.then_some(sending);
            return again;
        }
        self.finish(sending).await;
        None
    }

    async fn send_part(&mut self, part: &Part, sending: &mut Sending, stop: &CancellationToken) -> After {
        let headers = headers(part.protocol);
        let answer = tokio::select! {
            answer = self.poster.post(&headers, part.body.clone()) => answer,
            () = async { stop.cancelled().await; tokio::time::sleep(LAST_ANSWER).await } => return After::Stop,
        };
        let verdict = match answer {
            Ok(answer) => verdict::of(&answer, part.protocol, part.samples, Timestamp::now()),
            Err(failure) => {
                let (sentence, detail) = (failure.reason.sentence(), failure.detail);
                let why = if detail.is_empty() { sentence.to_owned() } else { format!("{sentence} ({detail})") };
                Verdict::Later { after: None, why }
            }
        };
        match verdict {
            Verdict::Taken => sending.taken += part.samples,
            Verdict::Refused { taken, why } => {
                sending.taken += taken;
                sending.why.get_or_insert(why);
            }
            Verdict::Spoiled { why } => match self.halves(part, sending).await {
                Some([first, second]) => {
                    sending.is_divided = true;
                    sending.parts.extend([second, first]);
                }
                None => drop(sending.why.get_or_insert(why)),
            },
            Verdict::Later { after, why } => return After::Again(self.fail(after, &why)),
        }
        self.pause = RETRY_AFTER;
        After::GoOn
    }

    /// The halves of a part that was refused, if it may be divided.
    async fn halves(&self, part: &Part, sending: &mut Sending) -> Option<[Part; 2]> {
        sending.divisible = sending.divisible.checked_sub(2)?;
        let part = part.clone();
        spawn_blocking(move || part.halves()).await.ok()?
    }

    /// Nothing of a request is left.
    async fn finish(&mut self, sending: Sending) {
        let Sending { request, taken, why, is_divided, .. } = sending;
        let lost = u64::from(request.records).saturating_sub(taken);
        self.is_in_vain = taken == 0 && (is_divided || self.is_in_vain);
        let receiver = Arc::clone(&self.receiver);
        if let Err(error) = spawn_blocking(move || receiver.done(&request, taken)).await {
            tracing::error!(receiver = self.receiver.name(), %error, "a queue failed");
        }
        if taken > 0 && self.problem.take().is_some() {
            tracing::info!(receiver = self.receiver.name(), "remote write goes on");
        }
        let is_told =
            |why: &str| self.refusal.as_ref().is_some_and(|(told, at)| told == why && at.elapsed() < TELL_AGAIN);
        if let Some(why) = why.filter(|why| !is_told(why)) {
            let receiver = self.receiver.name();
            tracing::error!(receiver, why, lost, "samples were refused and are lost; further ones are only counted");
            self.refusal = Some((why, Instant::now()));
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
