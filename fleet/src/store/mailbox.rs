//! The mailbox role: heartbeats that one collector took for another.

use async_trait::async_trait;

use super::Result;
use crate::collecting::Push;

/// Keeps the latest heartbeat of each server for a while. Only a store that several collectors share plays it.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// Keeps a heartbeat, unless a later one of the same server is there.
    async fn leave(&self, push: &Push) -> Result<()>;

    /// The heartbeats that were left during the last half minute, of any server.
    async fn recent(&self) -> Result<Vec<Push>>;
}
