//! Reading the configuration again while everything runs.

use async_trait::async_trait;

/// Reads configuration and target files again.
#[async_trait]
pub trait Reload: Send + Sync {
    /// Takes over what can be changed while the program runs.
    ///
    /// # Errors
    /// What is wrong with the configuration, for a person: nothing was changed then. Or the store does not take the
    /// targets, which is tried again.
    async fn reload(&self) -> Result<Reloaded, NotReloaded>;
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Targets in use now.
    pub targets: usize,
    /// Keys of the configuration that changed and hold from now on.
    pub taken: Vec<String>,
    /// Keys that changed and hold only after a restart.
    pub needs_restart: Vec<String>,
    /// Files that cannot be used as they are; what they said before stays in force.
    pub problems: Vec<String>,
}

/// Why nothing was read again, with place and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReloaded(pub String);
