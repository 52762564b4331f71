//! Request bodies, queries and paths, with our own errors.

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::Error;
use crate::rest::params;

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
        // An array would be taken for the fields in their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(Error::Invalid("Expected a JSON object".to_owned()));
        }
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| refuse(&error))?;
        json.end().map_err(|error| Error::Malformed(format!("Not JSON: {error}")))?;
        Ok(Self(value))
    }
}

/// What is wrong with a body, and with which field of it.
pub(crate) fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let (field, cause) = (error.path().to_string(), error.inner());
    match cause.classify() {
        Category::Data if field == "." || field == "?" => Error::Invalid(cause.to_string()),
        Category::Data => Error::Invalid(format!("{}: {cause}", params::echo(&field))),
        Category::Io | Category::Syntax | Category::Eof => Error::Malformed(format!("Not JSON: {cause}")),
    }
}

/// A JSON body, or none at all, which stands for the default.
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        use axum::body::HttpBody;
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        JsonBody::from_request(request, state).await.map(|JsonBody(body)| Self(body))
    }
}

/// A query.
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// The variable parts of a path.
pub(crate) struct PathOf<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(path) = Path::from_request_parts(parts, state).await?;
        Ok(Self(path))
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
