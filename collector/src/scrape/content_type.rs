//! Which format a page is in, by its `Content-Type`, judged as Prometheus judges it.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use mect_fleet::{Failure, FailureReason};

use crate::parse::Format;

/// The format that the head declares. Where it is missing, is none, or names something else, the operator's `fallback`
/// stands in; without one nothing is guessed. What it says of a charset is passed over: both formats are UTF-8, and a page is
/// held to that.
///
/// # Errors
/// No format.
pub(super) fn judge(headers: &HeaderMap, fallback: Option<Format>) -> Result<Format, Failure> {
    let refuse = |saw: String| Failure::new(FailureReason::ContentType, saw);
    let mut values = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let Some(value) = values.next().map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) else {
        return fallback.ok_or_else(|| refuse("no content type".into()));
    };
    let saw = || format!("content type {}", String::from_utf8_lossy(value).escape_debug());
    if values.any(|other| other.trim_ascii() != value) {
        return fallback.ok_or_else(|| refuse("several content types".into()));
    }
    let Some(essence) = essence(value) else {
        return fallback.ok_or_else(|| refuse(format!("{}, which cannot be read", saw())));
    };
    let declared = match &*essence {
        b"text/plain" => Some(Format::Text),
        b"application/openmetrics-text" => Some(Format::OpenMetrics),
        _ => None,
    };
    declared.or(fallback).ok_or_else(|| refuse(saw()))
}

/// Type and subtype of a media type in lower case; `None` for a text that is none (RFC 9110, section 8.3.1).
fn essence(value: &[u8]) -> Option<Vec<u8>> {
    let (essence, mut rest) = until(value, b';');
    let (kind, subtype) = until(essence.trim_ascii(), b'/');
    if !is_token(kind) || !subtype.is_some_and(is_token) {
        return None;
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    while let Some(parameters) = rest {
        let parameters = parameters.trim_ascii_start();
        if parameters.is_empty() {
            break;
        }
        let (name, behind) = until(parameters, b'=');
        let behind = behind.filter(|_| is_token(name))?;
        let name = name.to_ascii_lowercase();
        if names.contains(&name) {
            return None;
        }
        names.push(name);
        let behind = match behind.strip_prefix(b"\"") {
            Some(quoted) => behind_quotes(quoted)?,
            None => {
                let token = until(behind, b';').0.trim_ascii_end();
                behind.get(token.len()..).filter(|_| is_token(token))?
            }
        };
        rest = match behind.trim_ascii_start() {
            [] => None,
            [b';', rest @ ..] => Some(rest),
            _ => return None,
        };
    }
    Some(essence.trim_ascii().to_ascii_lowercase())
}

/// What stands before the first `sign`, and what behind it if there is one.
fn until(text: &[u8], sign: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(sign, text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// What stands behind a quoted string, of which the first quote was read.
fn behind_quotes(quoted: &[u8]) -> Option<&[u8]> {
    let mut rest = quoted;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', _, behind @ ..] | [_, behind @ ..] => behind,
            [] => return None,
        };
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(content_types: &[&'static str], fallback: Option<Format>) -> Result<Format, String> {
        let mut headers = HeaderMap::new();
        for value in content_types {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        judge(&headers, fallback).map_err(|failure| {
            assert_eq!(failure.reason, FailureReason::ContentType);
            failure.detail.to_string()
        })
    }

    #[test]
    fn the_content_type_says_the_format() {
        for (content_type, format) in [
            ("text/plain", Format::Text),
            ("text/plain; version=0.0.4", Format::Text),
            ("text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8", Format::Text),
            ("Text/Plain;charset=UTF-8;", Format::Text),
            ("text/plain ; charset=\"utf-8\" ; x=\"a;b\\\"c\"", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::OpenMetrics),
            ("application/openmetrics-text;charset=utf8", Format::OpenMetrics),
        ] {
            for fallback in [None, Some(Format::Text), Some(Format::OpenMetrics)] {
                assert_eq!(judged(&[content_type, content_type], fallback), Ok(format), "{content_type}");
            }
        }
    }

    #[test]
    fn what_says_no_format_fails_without_a_fallback() {
        for (content_types, saw) in [
            (&[][..], "no content type"),
            (&[" "][..], "no content type"),
            (&["text/html"], "content type text/html"),
            (&["text/html; charset=utf-8"], "content type text/html; charset=utf-8"),
            (&["application/json"], "content type application/json"),
            (&["application/openmetrics-protobuf; version=1.0.0"], "content type application/openmetrics-protobuf"),
            (&["text"], "content type text, which cannot be read"),
            (&["text/"], "which cannot be read"),
            (&["text/plain; charset"], "which cannot be read"),
            (&["text/plain; charset="], "which cannot be read"),
            (&["text/plain; charset=\"utf-8"], "which cannot be read"),
            (&["text/plain; charset=utf-8; charset=utf-8"], "which cannot be read"),
            (&["text/plain, text/html"], "which cannot be read"),
            (&["text/plain", "text/html"], "several content types"),
        ] {
            let refusal = judged(content_types, None).unwrap_err();
            assert!(refusal.contains(saw), "{content_types:?}: {refusal}");
            assert_eq!(judged(content_types, Some(Format::OpenMetrics)), Ok(Format::OpenMetrics), "{content_types:?}");
        }
    }

    #[test]
    fn a_charset_says_nothing() {
        for charset in ["iso-8859-1", "\"latin1\"", "x"] {
            let content_type = format!("text/plain; charset={charset}");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::try_from(content_type).unwrap())]);
            assert_eq!(judge(&headers, None).unwrap(), Format::Text, "{charset}");
        }
    }
}
