//! Reads a response body within its limits and undoes its content encoding.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use mect_fleet::{Failure, FailureReason};

use super::Limits;
use super::budget::Budget;
use super::connection::response_failure;

/// Room reserved ahead for a body whose length is not announced: most pages fit.
const USUAL_PAGE_BYTES: usize = 8 * 1024;

/// A body.
pub(super) struct Fetched {
    /// The page.
    pub(super) bytes: Vec<u8>,
    /// How long it was on the wire.
    pub(super) wire_bytes: usize,
    /// What was on the wire, if that was a gzip stream.
    pub(super) gzip: Option<Vec<u8>>,
}

/// Reads the whole body.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limits: &Limits,
    budget: &Budget,
) -> Result<Fetched, Failure> {
    let is_gzip = is_gzip(headers)?;
    let allowed = if is_gzip { limits.wire_bytes } else { limits.wire_bytes.min(limits.page_bytes) };
    let announced = body.size_hint().exact();
    if let Some(announced) = announced.filter(|bytes| *bytes > allowed as u64) {
        return Err(too_large(announced, allowed));
    }
    let expected = announced.map_or(USUAL_PAGE_BYTES, |bytes| usize::try_from(bytes).unwrap_or(USUAL_PAGE_BYTES));
    let mut wire = Vec::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken_body(&error, headers, wire.len(), budget))?;
        // Trailers say nothing that we need.
        let Some(data) = frame.data_ref() else { continue };
        if wire.len() + data.len() > allowed {
            return Err(too_large(format_args!("over {allowed}"), allowed));
        }
        wire.extend_from_slice(data);
    }
    let wire_bytes = wire.len();
    Ok(if is_gzip {
        Fetched { bytes: gunzip(&wire, limits.page_bytes)?, wire_bytes, gzip: Some(wire) }
    } else {
        Fetched { bytes: wire, wire_bytes, gzip: None }
    })
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Failure> {
    // Several lines are one list (RFC 9110, section 5.3): what is coded twice is not for us, in whichever way it is said.
    let lines: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    let codings = lines.join(&b", "[..]);
    match codings.trim_ascii() {
        b"" => Ok(false),
        coding if coding.eq_ignore_ascii_case(b"identity") => Ok(false),
        coding if coding.eq_ignore_ascii_case(b"gzip") => Ok(true),
        coding => {
            let saw = format!("content encoding {}", String::from_utf8_lossy(coding).escape_debug());
            Err(Failure::new(FailureReason::Encoding, saw))
        }
    }
}

fn gunzip(wire: &[u8], page_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::with_capacity(wire.len().saturating_mul(4).min(page_bytes));
    // One byte more than allowed is enough to know that there is more.
    let mut bounded = MultiGzDecoder::new(wire).take(page_bytes as u64 + 1);
    bounded
        .read_to_end(&mut page)
        .map_err(|error| Failure::new(FailureReason::Encoding, format!("broken gzip stream: {error}")))?;
    if page.len() > page_bytes {
        return Err(too_large(format_args!("over {page_bytes}"), page_bytes));
    }
    Ok(page)
}

fn too_large(saw: impl std::fmt::Display, allowed: usize) -> Failure {
    Failure::new(FailureReason::TooLarge, format!("{saw} bytes, allowed are {allowed}"))
}

fn broken_body(error: &hyper::Error, headers: &HeaderMap, read: usize, budget: &Budget) -> Failure {
    let failure = response_failure(error, budget);
    match failure.reason {
        // The head was fine; what broke is the body's framing or its end.
        FailureReason::Proto => Failure { reason: FailureReason::Framing, ..failure },
        FailureReason::Reset | FailureReason::Truncated => {
            let of = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            let of = of.map_or(String::new(), |length| format!(" of {length}"));
            Failure::new(FailureReason::Truncated, format!("after {read}{of} bytes"))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(page: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_gzip_page_is_unpacked_up_to_its_limit() {
        let page = vec![b'x'; 10_000];
        assert_eq!(gunzip(&gzip(&page), 10_000).unwrap(), page);
        let bomb = gunzip(&gzip(&page), 9_999).unwrap_err();
        assert_eq!(bomb.reason, FailureReason::TooLarge);
    }

    #[test]
    fn a_broken_gzip_stream_is_an_encoding_failure() {
        let mut wire = gzip(b"node_load1 1\n");
        wire.truncate(wire.len() - 4);
        for wire in [&wire[..], b"plain text", b""] {
            assert_eq!(gunzip(wire, 1000).unwrap_err().reason, FailureReason::Encoding);
        }
    }
}
