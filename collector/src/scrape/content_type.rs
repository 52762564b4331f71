//! Which format a page is in, by its `Content-Type`, judged as Prometheus judges it.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use mect_fleet::{Failure, FailureReason};

use crate::parse::Format;

/// The charset's name, and how it is often misspelt.
const UTF_8: [&[u8]; 2] = [b"utf-8", b"utf8"];

/// The format that the head declares. Where it is missing, is none, or names something else, the operator's `fallback`
/// stands in; without one nothing is guessed.
///
/// # Errors
/// No format, or another charset than UTF-8.
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
    let Some(MediaType { essence, charset }) = MediaType::read(value) else {
        return fallback.ok_or_else(|| refuse(format!("{}, which cannot be read", saw())));
    };
    let declared = match &*essence {
        b"text/plain" => Some(Format::Text),
        b"application/openmetrics-text" => Some(Format::OpenMetrics),
        _ => None,
    };
    let format = declared.or(fallback).ok_or_else(|| refuse(saw()))?;
    match charset {
        Some(charset) if !UTF_8.iter().any(|name| charset.eq_ignore_ascii_case(name)) => Err(refuse(saw())),
        _ => Ok(format),
    }
}

/// A media type (RFC 9110, section 8.3.1).
struct MediaType {
    /// Type and subtype in lower case.
    essence: Vec<u8>,
    charset: Option<Vec<u8>>,
}

impl MediaType {
    fn read(value: &[u8]) -> Option<Self> {
        let (essence, mut rest) = until(value, b';');
        let (kind, subtype) = until(essence.trim_ascii(), b'/');
        if !is_token(kind) || !subtype.is_some_and(is_token) {
            return None;
        }
        let mut media_type = Self { essence: essence.trim_ascii().to_ascii_lowercase(), charset: None };
        while let Some(parameters) = rest {
            let parameters = parameters.trim_ascii_start();
            if parameters.is_empty() {
                break;
            }
            let (name, behind) = until(parameters, b'=');
            let behind = behind.filter(|_| is_token(name))?;
            let (text, behind) = match behind.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let (token, _) = until(behind, b';');
                    let token = token.trim_ascii_end();
                    (is_token(token).then(|| token.to_vec())?, behind.get(token.len()..)?)
                }
            };
            if name.eq_ignore_ascii_case(b"charset") && media_type.charset.replace(text).is_some() {
                return None;
            }
            rest = match behind.trim_ascii_start() {
                [] => None,
                [b';', rest @ ..] => Some(rest),
                _ => return None,
            };
        }
        Some(media_type)
    }
}

/// What stands before the first `sign`, and what behind it if there is one.
fn until(text: &[u8], sign: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(sign, text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// The text of a quoted string, read from behind its first quote, and what stands behind its last.
fn unquote(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut rest = quoted;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some((text, behind)),
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                text.push(*byte);
                behind
            }
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
    fn no_fallback_helps_against_another_charset() {
        for content_type in ["text/plain; charset=iso-8859-1", "text/html;charset=\"latin1\""] {
            for fallback in [None, Some(Format::Text)] {
                let refusal = judged(&[content_type], fallback).unwrap_err();
                assert!(refusal.starts_with("content type text/"), "{refusal}");
            }
        }
    }
}
