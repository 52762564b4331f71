//! The token check.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::config::Token;

/// The header that the agents of the replaced system send their key in.
const API_KEY: &str = "x-api-key";

/// Whether the request may see metrics: always without a token, else when `Authorization: Bearer …` or
/// `X-API-Key` carries it. Each header counts only when it is given once.
pub fn is_allowed(headers: &HeaderMap, token: Option<&Token>) -> bool {
    let Some(token) = token else { return true };
    let bearer = single(headers, AUTHORIZATION.as_str()).and_then(bearer);
    let api_key = single(headers, API_KEY);
    // Both are compared, whatever the first says: a short cut would tell one from the other.
    let by_bearer = bearer.is_some_and(|presented| token.matches(presented));
    let by_key = api_key.is_some_and(|presented| token.matches(presented));
    by_bearer | by_key
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() { None } else { Some(first.as_bytes()) }
}

/// The credentials of the Bearer scheme, RFC 6750; the scheme's name ignores case, RFC 9110.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("Bearer".len())?;
    let credentials = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"Bearer") && credentials.len() < rest.len()).then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn allowed(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_allowed(&map, Some(&Token::new("s3cret").unwrap()))
    }

    #[test]
    fn either_header_opens() {
        for good in [
            &[("authorization", "Bearer s3cret")][..],
            &[("authorization", "bearer   s3cret")],
            &[("x-api-key", "s3cret")],
            &[("authorization", "Bearer wrong"), ("x-api-key", "s3cret")],
        ] {
            assert!(allowed(good), "{good:?}");
        }
    }

    #[test]
    fn nothing_else_does() {
        for bad in [
            &[][..],
            &[("authorization", "s3cret")],
            &[("authorization", "Bearers3cret")],
            &[("authorization", "Basic s3cret")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer s3cretx")],
            &[("x-api-key", "")],
            &[("x-api-key", "wrong"), ("x-api-key", "s3cret")],
        ] {
            assert!(!allowed(bad), "{bad:?}");
        }
    }

    #[test]
    fn without_a_token_everybody_may_ask() {
        assert!(is_allowed(&HeaderMap::new(), None));
    }
}
