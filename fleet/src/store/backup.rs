//! The backup role: gives all of a store, as it is at one moment, while it goes on.

use std::io::Write;

use async_trait::async_trait;

use super::Result;
use crate::archive::Tally;

/// A small file that belongs to a store without being part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Companion {
    /// Its name in the data directory.
    pub name: String,
    /// All of it. May be a secret.
    pub bytes: Vec<u8>,
}

/// Gives all of a store.
#[async_trait]
pub trait Backup: Send + Sync {
    /// Writes an [archive](crate::archive) of the store as it is now, with `companions`, to `to`. Whatever was
    /// acknowledged before the call is in it. Recording goes on meanwhile; what is recorded is not in it.
    ///
    /// A slow `to` costs disk: what is deleted or replaced meanwhile keeps its place until the end.
    async fn back_up(&self, companions: Vec<Companion>, to: Box<dyn Write + Send>) -> Result<Tally>;
}
