//! Records that are few or change rarely, as JSON behind a version byte: fields can be added without a migration.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Result, StoreError};

/// Raised when the JSON of a kind of record changes its meaning.
const VERSION: u8 = 1;

pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(StoreError::backend)?;
    Ok(bytes)
}

/// `what` names the kind of record in the error.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| StoreError::damaged(what, error)),
        Some((version, _)) => Err(StoreError::damaged(what, format_args!("unknown version {version}"))),
        None => Err(StoreError::damaged(what, "it is empty")),
    }
}
