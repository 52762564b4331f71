//! Whether a head says one thing of where its body ends. What can be read in two ways, two readers read differently: a
//! proxy on the way and we (RFC 9112, section 11.2).
//!
//! hyper decodes the body, and refuses lengths that are none or differ. It takes a head with both a length and chunks for
//! chunks, and one with an unknown transfer coding for a body until the end: both are refused here.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use mect_fleet::{Failure, FailureReason};

/// The only transfer coding that every HTTP/1.1 client knows; we ask for no other.
const CHUNKED: &[u8] = b"chunked";

/// Judges a head that hyper took.
///
/// # Errors
/// It contradicts itself, or the body is coded in a way that nobody asked for.
pub(super) fn judge(headers: &HeaderMap) -> Result<(), Failure> {
    let refuse = |saw: String| Err(Failure::new(FailureReason::Framing, saw));
    let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    match *codings {
        [] => Ok(()),
        _ if headers.contains_key(CONTENT_LENGTH) => refuse("both a content length and a transfer encoding".into()),
        [coding] if coding.trim_ascii().eq_ignore_ascii_case(CHUNKED) => Ok(()),
        _ => {
            let said = codings.join(&b", "[..]);
            refuse(format!("transfer encoding {}", String::from_utf8_lossy(&said).escape_debug()))
        }
    }
}

/// True for what hyper says of a head whose lengths or transfer encoding it refuses. It has no other way to tell them from
/// a head that is no HTTP; the tests would notice other words.
pub(super) fn is_refused(said: &str) -> bool {
    said.contains("content-length") || said.contains("transfer-encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[(&'static str, &'static str)]) -> Result<(), FailureReason> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        judge(&headers).map_err(|failure| failure.reason)
    }

    #[test]
    fn one_way_to_end_is_enough() {
        for lines in [&[][..], &[("content-length", "5")], &[("transfer-encoding", "Chunked")]] {
            assert_eq!(judged(lines), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn two_ways_or_an_unknown_one_are_refused() {
        for lines in [
            &[("content-length", "5"), ("transfer-encoding", "chunked")][..],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "")],
        ] {
            assert_eq!(judged(lines), Err(FailureReason::Framing), "{lines:?}");
        }
    }
}
