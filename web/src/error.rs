//! The one place where a failure becomes an HTTP status and a text for the caller.
//!
//! Every error is an RFC 9457 problem with `detail`, the field that clients of the old API read. For a browser,
//! [`crate::pages::error`] turns the same problem into a page.

use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use mect_fleet::store::StoreError;
use mect_fleet::throttle::Refused;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::password::{NewPasswordError, PasswordError, WeakPassword};
use crate::auth::token::IssueError;
use crate::auth::username::BadUsername;

/// Seconds after which a request that met an outage is worth another try: a database that lost its primary has another
/// one by then.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Not authenticated")]
    NotAuthenticated,
    #[error("Invalid API key")]
    WrongAgentKey,
    #[error("Could not validate credentials")]
    InvalidCredentials,
    #[error("Incorrect username or password")]
    WrongLogin,
    #[error("One-time code required")]
    CodeRequired,
    #[error("Incorrect one-time code")]
    WrongCode,
    #[error("This sign-in took too long, begin again")]
    SignInExpired,
    #[error("Too many sign-ins at the moment, try again")]
    Busy,
    #[error("Too many attempts, try again in {} seconds", whole_seconds(.0))]
    TooManyAttempts(Refused),
    #[error("Password must be changed first")]
    MustChangePassword,
    #[error("One-time codes must be set up first")]
    MustSetUpCodes,
    #[error("Not enough permissions")]
    Forbidden,
    #[error("The API token lacks the scope {0}")]
    MissingScope(mect_fleet::Scope),
    #[error("An API token cannot do this, sign in instead")]
    NeedsSignIn,
    #[error("Cross-site request refused")]
    CrossSite,
    #[error("This form is out of date: load its page again and send it once more")]
    FormToken,
    #[error("Not found")]
    NotFound,
    #[error("Server not found")]
    NoSuchServer,
    #[error("There is no page: the latest scrape failed, {0}")]
    NotScraped(String),
    #[error(
        "No page of that server is kept here: it was not scraped yet, its page is too large, or another collector scrapes it"
    )]
    NoPage,
    #[error("User not found")]
    NoSuchUser,
    #[error("Token not found")]
    NoSuchToken,
    #[error("Username already registered")]
    UsernameTaken,
    #[error("The user admin cannot be deleted")]
    CannotDeleteAdmin,
    #[error("{0} is the last superadmin who can sign in; make another one first")]
    LastSuperadmin(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    BadUsername(#[from] BadUsername),
    #[error("The list is not signed")]
    NotSigned,
    #[error("The server was changed meanwhile: it has revision {found}, not {expected}")]
    Outdated { expected: u64, found: u64 },
    #[error("Too many streams are open; close one, or come again later")]
    TooManyStreams,
    #[error("Too many answers of this kind are under way; come again later")]
    TooManyAnswers,
    #[error("Method not allowed")]
    MethodNotAllowed { allow: String },
    #[error("No fields to update")]
    NothingToUpdate,
    #[error("Current password is incorrect")]
    WrongCurrentPassword,
    #[error("{0}")]
    WeakPassword(#[from] WeakPassword),
    #[error("Request body is larger than 64 KiB, of an import 512 KiB")]
    BodyTooLarge,
    #[error("The query is longer than {most} bytes")]
    QueryTooLong { most: usize },
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
    #[error("The store does not answer in time, try again")]
    StoreSilent,
    #[error("The database does not answer: nothing can be changed until it is back")]
    StoreLost,
    #[error("Internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Internal error")]
    Panicked,
}

impl Error {
    /// True when the store did not answer: what is remembered may serve instead.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Store(StoreError::Backend(_)) | Self::StoreSilent | Self::StoreLost)
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAuthenticated
            | Self::InvalidCredentials
            | Self::WrongAgentKey
            | Self::WrongLogin
            | Self::CodeRequired
            | Self::WrongCode
            | Self::SignInExpired => StatusCode::UNAUTHORIZED,
            Self::MustChangePassword
            | Self::MustSetUpCodes
            | Self::Forbidden
            | Self::MissingScope(_)
            | Self::NeedsSignIn
            | Self::CrossSite
            | Self::FormToken => StatusCode::FORBIDDEN,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound
            | Self::NoSuchServer
            | Self::NoPage
            | Self::NotScraped(_)
            | Self::NoSuchUser
            | Self::NoSuchToken
            | Self::NotSigned => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NothingToUpdate
            | Self::WrongCurrentPassword
            | Self::UsernameTaken
            | Self::CannotDeleteAdmin
            | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::WeakPassword(_) | Self::BadUsername(_) | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::QueryTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::AccountChanged | Self::LastSuperadmin(_) | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Outdated { .. } => StatusCode::PRECONDITION_FAILED,
            Self::TooManyStreams
            | Self::TooManyAnswers
            | Self::Busy
            | Self::Timeout
            | Self::NotReady(_)
            | Self::Store(_)
            | Self::StoreSilent
            | Self::StoreLost => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::StoreSilent => tracing::warn!("the store did not answer a request in time"),
            _ => {}
        }
    }
}

/// An RFC 9457 problem. Rides along in the response's extensions, for the page that browsers get instead.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16, example = 404)]
    pub(crate) status: StatusCode,
    /// What is wrong, for a person.
    #[schema(example = "Server not found")]
    pub(crate) detail: String,
    /// The page on which a browser can solve it.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) solved_at: Option<&'static str>,
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
            solved_at: match self {
                Self::MustChangePassword => Some("/password"),
                Self::MustSetUpCodes => Some("/account/codes"),
                _ => None,
            },
        };
        let mut response = (status, axum::Json(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooManyAttempts(refused) = &self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(refused)));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
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

/// Rounded up: who comes back then is let in.
fn whole_seconds(refused: &Refused) -> u64 {
    refused.retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::TooManyAttempts(refused)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            // The only conflict a request can cause: two password changes at once.
            StoreError::Conflict(_) => Self::AccountChanged,
            StoreError::LastSuperadmin(username) => Self::LastSuperadmin(username),
            StoreError::Outdated { expected, found } => Self::Outdated { expected, found },
            error => Self::Store(error),
        }
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            error => Self::Internal(Box::new(error)),
        }
    }
}

impl From<NewPasswordError> for Error {
    fn from(error: NewPasswordError) -> Self {
        match error {
            NewPasswordError::Weak(weak) => weak.into(),
            NewPasswordError::Failed(error) => error.into(),
        }
    }
}

impl From<IssueError> for Error {
    fn from(error: IssueError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
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
