//! The changes role: what other collectors recorded and operators changed through them.

use std::collections::HashSet;

use async_trait::async_trait;

use super::Result;
use crate::server::{Server, ServerId};
use crate::time::Timestamp;
use crate::view::Standing;

/// What changed since a cursor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changed {
    /// The servers as they are now. One may come twice over successive calls; taking it twice does no harm.
    pub servers: Vec<(Server, Standing)>,
    /// Where the next call goes on: an instant of the store's clock.
    pub next: Timestamp,
}

/// Lets a collector follow what others do. Only a store that several collectors share plays it.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Servers changed since `cursor`; every server for the default cursor. What was committed before the call is in
    /// this answer or was in an earlier one; what took unusually long to commit comes some seconds later.
    async fn changed(&self, cursor: Timestamp) -> Result<Changed>;

    /// Every server's identity: whoever is missing was deleted.
    async fn identities(&self) -> Result<HashSet<ServerId>>;
}
