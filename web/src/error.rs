//! The one place where a failure becomes an HTTP status and a text for the caller.
//!
//! Every error is an RFC 9457 problem with `detail`, the field that clients of the old API read. For a browser,
//! [`crate::pages::error`] turns the same problem into a page.

use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use mect_fleet::store::StoreError;
use serde::Serialize;

use crate::auth::password::{PasswordError, WeakPassword};

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Not authenticated")]
    NotAuthenticated,
    #[error("Could not validate credentials")]
    InvalidCredentials,
    #[error("Incorrect username or password")]
    WrongLogin,
    #[error("Password must be changed first")]
    MustChangePassword,
    #[error("Not enough permissions")]
    Forbidden,
    #[error("Cross-site request refused")]
    CrossSite,
    #[error("Not found")]
    NotFound,
    #[error("Server not found")]
    NoSuchServer,
    #[error("Method not allowed")]
    MethodNotAllowed { allow: String },
    #[error("No fields to update")]
    NothingToUpdate,
    #[error("Current password is incorrect")]
    WrongCurrentPassword,
    #[error("{0}")]
    WeakPassword(#[from] WeakPassword),
    #[error("Request body is larger than 64 KiB")]
    BodyTooLarge,
    #[error("Expected a body of type {0}")]
    MediaType(&'static str),
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Invalid(String),
    #[error("The request took too long")]
    Timeout,
    #[error("{0}")]
    NotReady(&'static str),
    #[error("The account was changed by another request, try again")]
    AccountChanged,
    #[error("The store does not answer, try again")]
    Store(#[source] StoreError),
    #[error("Internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Internal error")]
    Panicked,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotAuthenticated | Self::InvalidCredentials | Self::WrongLogin => StatusCode::UNAUTHORIZED,
            Self::MustChangePassword | Self::Forbidden | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchServer => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NothingToUpdate | Self::WrongCurrentPassword | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::WeakPassword(_) | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::AccountChanged => StatusCode::CONFLICT,
            Self::Timeout | Self::NotReady(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logged here and nowhere else; what a caller did wrong is no news.
    fn log(&self) {
        match self {
            Self::Store(source) => tracing::error!(error = %source, "store failed"),
            Self::Internal(source) => tracing::error!(error = %source, "request failed"),
            Self::Panicked => tracing::error!("a request handler panicked"),
            Self::Timeout => tracing::warn!("a request took too long"),
            _ => {}
        }
    }
}

/// An RFC 9457 problem. Rides along in the response's extensions, for the page that browsers get instead.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    #[serde(skip)]
    pub(crate) must_change_password: bool,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: self.to_string(),
            must_change_password: matches!(self, Self::MustChangePassword),
        };
        let mut response = (status, axum::Json(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::MethodNotAllowed { allow } = &self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            // The only conflict a request can cause: two password changes at once.
            StoreError::Conflict(_) => Self::AccountChanged,
            error => Self::Store(error),
        }
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        from_status(rejection.status(), rejection.body_text(), "")
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        from_status(rejection.status(), rejection.body_text(), "application/x-www-form-urlencoded")
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::Malformed(rejection.body_text())
    }
}

fn from_status(status: StatusCode, text: String, expected: &'static str) -> Error {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Error::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::MediaType(expected),
        StatusCode::UNPROCESSABLE_ENTITY => Error::Invalid(text),
        _ => Error::Malformed(text),
    }
}
