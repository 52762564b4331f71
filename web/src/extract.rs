//! Request bodies, with our own errors.

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::Error;

/// A JSON body. 400 when it is not JSON, 415 when it does not say that it is, 422 when it says something else than
/// expected; the problem names the field.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Error::MediaType("application/json"));
        }
        let body = Bytes::from_request(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| match error.classify() {
            Category::Data => Error::Invalid(error.to_string()),
            Category::Io | Category::Syntax | Category::Eof => Error::Malformed(format!("Not JSON: {error}")),
        })
    }
}

/// A form body.
pub(crate) struct FormBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for FormBody<T> {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let Form(form) = Form::from_request(request, state).await?;
        Ok(Self(form))
    }
}
