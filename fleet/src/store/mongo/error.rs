//! Errors of the driver in the words of the store.

use std::fmt;
use std::time::Duration;

use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR, WriteFailure};

use crate::store::StoreError;

/// Code of a write that breaks a unique index.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
/// Codes of the server that say nothing of what it was given: it goes away, is not the primary, waits for others, has no
/// time or no room; or does not know us, which a person has to mend.
const NOT_NOW: &[i32] = &[
    6, 7, 13, 18, 24, 43, 50, 64, 79, 89, 91, 100, 112, 133, 134, 146, 189, 202, 211, 237, 246, 262, 8000, 9001,
    10_107, 11_600, 11_601, 11_602, 13_435, 13_436, 14_031,
];
/// Longest text that is kept: a refused write quotes documents.
const TEXT_BYTES: usize = 600;

/// What went wrong at the database. Its text never holds the URL, nor whole documents.
#[derive(Debug)]
pub(super) struct MongoError {
    text: String,
    /// Code of the server, 0 where it did not answer.
    code: i32,
    /// The same write may well work in a moment: the primary changed, or a connection broke.
    pub(super) is_transient: bool,
    /// The driver did not even send it.
    is_unfit: bool,
}

impl MongoError {
    /// A node took the request and says nothing.
    pub(super) fn slow(within: Duration) -> Self {
        Self { text: format!("no answer within {} s", within.as_secs()), code: 0, is_transient: false, is_unfit: false }
    }

    /// What the server said of a write.
    pub(super) fn write(code: i32, text: &str) -> Self {
        Self { text: cut(text), code, is_transient: false, is_unfit: false }
    }

    /// True when a unique index refused the write.
    pub(super) fn is_duplicate(&self) -> bool {
        self.code == DUPLICATE_KEY
    }

    /// True when it lies in what was given: a validator, a document that cannot take the change, one that is too large.
    fn is_rejection(&self) -> bool {
        self.is_unfit || self.code != 0 && !self.is_transient && !NOT_NOW.contains(&self.code)
    }

    /// The server's code; 0 where it did not answer.
    pub(super) fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for MongoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoDB: {}", self.text)
    }
}

impl std::error::Error for MongoError {}

impl From<Error> for MongoError {
    fn from(error: Error) -> Self {
        let is_transient = error.contains_label(RETRYABLE_WRITE_ERROR)
            || super::superadmins::is_transient(&error)
            || matches!(*error.kind, ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. });
        // Never the whole error: it carries the server's answer, documents included.
        let (code, text) = match &*error.kind {
            ErrorKind::Command(refused) => (refused.code, format!("{} ({})", refused.message, refused.code_name)),
            ErrorKind::Write(WriteFailure::WriteError(refused)) => (refused.code, refused.message.clone()),
            ErrorKind::Write(WriteFailure::WriteConcernError(unsure)) => (unsure.code, unsure.message.clone()),
            ErrorKind::InsertMany(refused) => match (&refused.write_errors, &refused.write_concern_error) {
                (Some(errors), _) if !errors.is_empty() => {
                    // One that is no duplicate decides what it is.
                    let worst = errors.iter().find(|error| error.code != DUPLICATE_KEY).unwrap_or(&errors[0]);
                    (worst.code, worst.message.clone())
                }
                (_, Some(unsure)) => (unsure.code, unsure.message.clone()),
                _ => (0, "documents were refused".into()),
            },
            kind => (0, kind.to_string()),
        };
        let is_unfit = matches!(*error.kind, ErrorKind::InvalidArgument { .. } | ErrorKind::BsonSerialization(_));
        Self { text: cut(&text), code, is_transient, is_unfit }
    }
}

impl From<MongoError> for StoreError {
    fn from(error: MongoError) -> Self {
        if error.is_rejection() { Self::Rejected(Box::new(error)) } else { Self::Backend(Box::new(error)) }
    }
}

fn cut(text: &str) -> String {
    let end = (0..=TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
