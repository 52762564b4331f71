//! Requests that only want what they do not have yet (RFC 9110, section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use mect_fleet::Timestamp;

/// True when the client has it: `If-None-Match` names the tag, weakly or not, or says `*`; without one,
/// `If-Modified-Since` is not before the last change.
pub(crate) fn is_known(request: &HeaderMap, etag: Option<&HeaderValue>, modified_at: Timestamp) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let values = request.get_all(header::IF_NONE_MATCH);
        return values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || etag.is_some_and(|etag| one.strip_prefix("W/").unwrap_or(one).as_bytes() == etag.as_bytes())
        });
    }
    let since = request.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|date| httpdate::parse_http_date(date).ok());
    since.is_some_and(|since| since >= whole_second(modified_at))
}

/// The date as HTTP writes it.
pub(crate) fn http_date(at: Timestamp) -> HeaderValue {
    HeaderValue::from_str(&httpdate::fmt_http_date(whole_second(at))).expect("dates are ASCII")
}

fn whole_second(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at.as_secs().try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_counts_before_a_date() {
        let (etag, changed) = (HeaderValue::from_static("\"a\""), Timestamp::from_millis(784_111_777_250));
        let knows = |headers: &[(header::HeaderName, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            is_known(&headers, Some(&etag), changed)
        };
        let tag = header::IF_NONE_MATCH;
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(knows(&[(tag.clone(), known)]), "{known}");
        }
        let (since, at, before) =
            (header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(http_date(changed), at);
        assert!(knows(&[(since.clone(), at)]) && knows(&[(since.clone(), "Sunday, 06-Nov-94 08:49:38 GMT")]));
        assert!(!knows(&[(since.clone(), before)]) && !knows(&[(since.clone(), "yesterday")]));
        assert!(!knows(&[(tag, "\"b\""), (since, at)]) && !knows(&[]));
    }
}
