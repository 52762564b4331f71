//! Form tokens: what the forms of our pages carry, and what no other site can know. They are drawn from the session, so
//! that nothing has to be kept. Beside them stand the check of `Origin` and `Sec-Fetch-Site` and `SameSite` of the cookie,
//! which old browsers do not all know.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::{Method, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::hex;
use crate::error::Error;
use crate::secret::Secret;

/// Name of the field.
pub(crate) const FIELD: &str = "form_token";
/// Tells form tokens from digests of anything else.
const DOMAIN: &[u8] = b"mect form token";

/// The token of a session's forms.
#[derive(Debug, Clone)]
pub(crate) struct FormToken(Secret);

impl FormToken {
    /// Of the session with that digest, which only the cookie's secret leads to.
    pub(crate) fn of(session: &[u8; 32]) -> Self {
        Self(Secret::new(hex::encode(&Sha256::new().chain_update(DOMAIN).chain_update(session).finalize())))
    }

    /// For the form itself.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// True when a form's body carries it.
    pub(crate) fn is_in(&self, form: &[u8]) -> bool {
        // Hex digits are never escaped.
        let fields = form.split(|byte| *byte == b'&');
        let mut found = fields.filter_map(|field| field.strip_prefix(FIELD.as_bytes())?.strip_prefix(b"="));
        found.next().is_some_and(|value| value.ct_eq(self.expose().as_bytes()).into())
    }

    /// The request again, once its form was seen to carry the token. What another site's page cannot send without being
    /// asked for leave goes through as it is.
    ///
    /// # Errors
    /// It carries none, or another one; or the body is too large.
    pub(crate) async fn checked(&self, request: Request) -> Result<Request, Error> {
        if !could_be_sent_from_elsewhere(&request) {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let form = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await?;
        if self.is_in(&form) { Ok(Request::from_parts(parts, Body::from(form))) } else { Err(Error::FormToken) }
    }
}

/// Other methods and JSON are sent from another site only after our leave (Fetch, "CORS-preflight request").
fn could_be_sent_from_elsewhere(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json =
        content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/json"));
    request.method() == Method::POST && !is_json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_needs_the_token_of_its_session() {
        let (token, other) = (FormToken::of(&[1; 32]), FormToken::of(&[2; 32]));
        let form = |body: String| {
            let request = Request::post("/logout").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body(Body::from(body)).unwrap()
        };
        let good = format!("a=1&{FIELD}={}", token.expose());
        let passed = token.checked(form(good.clone())).await.unwrap();
        assert_eq!(Bytes::from_request(passed, &()).await.unwrap(), good, "its handler gets the form whole");
        let foreign = format!("{FIELD}={}", other.expose());
        // The first one counts: whoever adds a field behind it gains nothing.
        for bad in [String::new(), format!("{FIELD}="), foreign.clone(), format!("{foreign}&{good}")] {
            assert!(matches!(token.checked(form(bad.clone())).await, Err(Error::FormToken)), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_asks_for_leave_first_needs_none() {
        let token = FormToken::of(&[1; 32]);
        let json = Request::post("/").header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
        assert!(token.checked(json).await.is_ok());
        assert!(token.checked(Request::delete("/").body(Body::empty()).unwrap()).await.is_ok());
        let plain = Request::post("/").header(header::CONTENT_TYPE, "text/plain").body(Body::from("{}")).unwrap();
        assert!(token.checked(plain).await.is_err());
        assert!(token.checked(Request::post("/").body(Body::empty()).unwrap()).await.is_err());
    }
}
