//! Errors of the file, in the words of the store.

use crate::store::StoreError;

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(detail) => Self::Damaged { what: "data file".into(), detail },
            error => Self::Backend(Box::new(error)),
        }
    }
}

macro_rules! through_redb_error {
    ($($source:ty),+) => {$(
        impl From<$source> for StoreError {
            fn from(error: $source) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

through_redb_error!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

impl StoreError {
    pub(super) fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Backend(Box::new(error))
    }

    pub(super) fn damaged(what: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { what: what.into(), detail: detail.to_string() }
    }
}
