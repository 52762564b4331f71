//! What an answer to a request means: taken, refused, or not now.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};
use mect_fleet::Timestamp;

use crate::config::Protocol;
use crate::scrape::Answer;

/// In version 2.0 the receiver says how many samples it wrote.
const WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
/// Characters of what a receiver says that a line in the log may have.
const MAX_TEXT: usize = 200;
/// A receiver that wants to be left alone for longer is asked again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it was taken.
    Taken,
    /// Only so many samples were taken; the others will not be, however often they are sent.
    Refused {
        /// Samples that were taken.
        taken: u64,
        /// Why, for a person.
        why: String,
    },
    /// None of it was taken, since something in it will not be, however often it is sent. What that is, it does not say for
    /// sure: what stands beside it may be taken alone.
    Spoiled {
        /// Why, for a person.
        why: String,
    },
    /// It is to be sent again, after this time if the receiver says so.
    Later {
        /// After this.
        after: Option<Duration>,
        /// Why, for a person.
        why: String,
    },
}

/// What `answer` means for a request of so many samples, which was sent at `now`.
pub(super) fn of(answer: &Answer, protocol: Protocol, samples: u64, now: Timestamp) -> Verdict {
    let status = answer.status;
    match status {
        status if status.is_success() && protocol == Protocol::Two => written(&answer.headers, samples),
        status if status.is_success() => Verdict::Taken,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if answer.is_withheld => {
            let hint = "credentials are not shown over plain http, see `insecure_credentials`";
            Verdict::Later { after: None, why: format!("HTTP {}: {hint}", status.as_u16()) }
        }
        status if status.is_redirection() => {
            let hint = "redirects are not followed; name the URL where it leads";
            Verdict::Later { after: None, why: format!("HTTP {}: {hint}", status.as_u16()) }
        }
        StatusCode::TOO_MANY_REQUESTS => Verdict::Later { after: retry_after(&answer.headers, now), why: said(answer) },
        // In version 2.0 it took the good ones, and says so.
        StatusCode::BAD_REQUEST => match written_samples(&answer.headers).filter(|_| protocol == Protocol::Two) {
            Some(written) if written > 0 => Verdict::Refused { taken: written.min(samples), why: said(answer) },
            _ => Verdict::Spoiled { why: said(answer) },
        },
        status if status.is_client_error() => Verdict::Refused { taken: 0, why: said(answer) },
        _ => Verdict::Later { after: retry_after(&answer.headers, now), why: said(answer) },
    }
}

/// Who does not say that it wrote anything does not know this version, and threw all of it away.
fn written(headers: &HeaderMap, samples: u64) -> Verdict {
    match written_samples(headers) {
        Some(written) if written >= samples => Verdict::Taken,
        Some(written) => Verdict::Refused { taken: written, why: format!("it wrote {written} of {samples} samples") },
        None => {
            let why = "it does not say what it wrote: it may not know version 2.0, choose `protocol = \"1.0\"`";
            Verdict::Refused { taken: 0, why: why.to_owned() }
        }
    }
}

fn written_samples(headers: &HeaderMap) -> Option<u64> {
    headers.get(WRITTEN)?.to_str().ok()?.trim().parse().ok()
}

/// Status and first line of what a receiver says.
fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let line: String = line.chars().take(MAX_TEXT).flat_map(char::escape_debug).collect();
    let colon = if line.is_empty() { "" } else { ": " };
    format!("HTTP {}{colon}{line}", answer.status.as_u16())
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = Duration::from_millis(u64::try_from(now.as_millis()).ok()?);
            let at = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            at.saturating_sub(now)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(784_111_777);

    fn verdict(status: u16, headers: &[(HeaderName, &str)], body: &str, protocol: Protocol) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: headers.collect(), body: body.into(), is_withheld: false };
        of(&answer, protocol, 10, NOW)
    }

    #[test]
    fn what_can_pass_is_sent_again_and_what_cannot_is_not() {
        for status in [200, 204] {
            assert_eq!(verdict(status, &[], "", Protocol::One), Verdict::Taken);
        }
        for status in [401, 404, 413, 415] {
            let refused = Verdict::Refused { taken: 0, why: format!("HTTP {status}: out of order") };
            assert_eq!(verdict(status, &[], "\nout of order\nmore\n", Protocol::One), refused);
        }
        let spoiled = Verdict::Spoiled { why: "HTTP 400: out of order".to_owned() };
        assert_eq!(verdict(400, &[], "out of order", Protocol::One), spoiled);
        for status in [429, 500, 503, 599] {
            assert!(matches!(verdict(status, &[], "", Protocol::One), Verdict::Later { after: None, .. }), "{status}");
        }
        assert!(
            matches!(verdict(302, &[], "", Protocol::One), Verdict::Later { why, .. } if why.contains("redirects"))
        );
    }

    #[test]
    fn a_receiver_says_when_to_come_again() {
        for (text, seconds) in [
            ("7", Some(7)),
            ("100000", Some(300)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let Verdict::Later { after, .. } = verdict(503, &[(RETRY_AFTER, text)], "", Protocol::One) else {
                panic!()
            };
            assert_eq!(after, seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn version_two_is_believed_by_its_numbers() {
        let written = |number: &str| verdict(204, &[(WRITTEN, number)], "", Protocol::Two);
        assert_eq!(written("10"), Verdict::Taken);
        assert!(matches!(written("4"), Verdict::Refused { taken: 4, .. }));
        let partly = |number: &str| verdict(400, &[(WRITTEN, number)], "x", Protocol::Two);
        assert!(matches!(partly("4"), Verdict::Refused { taken: 4, .. }));
        assert!(matches!(partly("0"), Verdict::Spoiled { .. }));
        let old = verdict(204, &[], "", Protocol::Two);
        assert!(matches!(old, Verdict::Refused { taken: 0, why } if why.contains("protocol = \"1.0\"")));
    }

    #[test]
    fn what_it_says_is_short_and_on_one_line() {
        let Verdict::Spoiled { why } = verdict(400, &[], &"\u{1b}x".repeat(1000), Protocol::One) else { panic!() };
        assert!(why.len() < 2000 && !why.contains('\u{1b}'), "{why}");
    }
}
