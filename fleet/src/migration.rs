//! Moves a fleet from one store to another, whatever they are: servers with identity, flags and standing, users, API
//! tokens, flips, events, the audit, and every scrape that retention keeps. Sessions stay behind: people sign in again.
//!
//! Begun anew after whatever ended it, it comes to the same result: everything that is put falls on itself. At the end
//! the target is read back and compared. Never holds more of the history than some servers' day.
//!
//! | module | holds |
//! |---|---|
//! | `judge` | which targets are refused |
//! | `copy` | stage by stage from one to the other |
//! | `digest` | what two stores can be compared by |

use std::fmt;

use crate::store::{Mark, Store, StoreError};
use crate::time::Timestamp;

mod copy;
mod digest;
mod judge;

use copy::{Copied, Copy};
pub use judge::Refusal;

/// What is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What is older is about to be deleted by retention, and stays behind.
    pub oldest: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Servers with their standings.
    Servers,
    /// Users.
    Users,
    /// API tokens.
    Tokens,
    /// Flips of health.
    Transitions,
    /// Events.
    Events,
    /// The audit.
    Audit,
    /// Scrapes.
    Scrapes,
    /// Reading back what is in the target.
    Check,
}

impl Stage {
    /// What is counted in it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Users => "users",
            Self::Tokens => "API tokens",
            Self::Transitions => "transitions",
            Self::Events => "events",
            Self::Audit => "audit entries",
            Self::Scrapes => "scrapes",
            Self::Check => "scrapes read back",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The part at work.
    pub stage: Stage,
    /// What is done of it.
    pub done: u64,
    /// The day at work, where it goes by days.
    pub day: Option<Timestamp>,
    /// This part has ended.
    pub is_end: bool,
}

/// Is told how far it is, often.
pub trait Watch: Send {
    /// Called after every step.
    fn told(&mut self, progress: Progress);
}

impl<F: FnMut(Progress) + Send> Watch for F {
    fn told(&mut self, progress: Progress) {
        self(progress);
    }
}

/// What is now in both stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Servers.
    pub servers: u64,
    /// Users.
    pub users: u64,
    /// API tokens.
    pub tokens: u64,
    /// Flips.
    pub transitions: u64,
    /// Events.
    pub events: u64,
    /// Entries of the audit.
    pub audit: u64,
    /// Scrapes.
    pub scrapes: u64,
}

/// Why a fleet is not moved, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A store failed.
    #[error("the {side} failed: {error}; run it again to go on")]
    Store {
        /// `source` or `target`.
        side: &'static str,
        /// How.
        error: StoreError,
    },
    /// These two stores do not go together.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No number for the fleet could be drawn.
    #[error("no random number: {0}")]
    Random(getrandom::Error),
    /// What was read back is not what was put.
    #[error(
        "the {stage} of the target differ from the source{on}: {of_source} there, {of_target} here; something else wrote \
         to one of them meanwhile. Stop it and run this again; if that does not help, begin with an empty target"
    )]
    Differs {
        /// Of what.
        stage: Stage,
        /// Of which day, if of one; begins with a blank.
        on: String,
        /// Number in the source.
        of_source: u64,
        /// Number in the target.
        of_target: u64,
    },
}

/// Moves what `from` holds to `to`. Until it ends the target is marked as unfinished.
///
/// # Errors
/// A collector runs on one of them, the target holds something else, a store fails, or the two differ at the end.
pub async fn migrate(from: &Store, to: &Store, span: Span, watch: &mut dyn Watch) -> Result<Moved, MigrationError> {
    judge::check(from, to).await?;
    let of_source = from.transfer.mark().await.map_err(source)?;
    let fleet = match of_source {
        Some(mark) => mark.fleet,
        None => drawn()?,
    };
    if of_source.is_none() {
        from.transfer.set_mark(Mark { fleet, unfinished: false }).await.map_err(source)?;
    }
    to.transfer.set_mark(Mark { fleet, unfinished: true }).await.map_err(target)?;
    let mut copy = Copy { from, to, span, watch };
    let copied: Copied = copy.everything().await?;
    to.transfer.finish(span.now).await.map_err(target)?;
    copy.compare(&copied).await?;
    judge::refuse_running(from, to).await?;
    to.transfer.set_mark(Mark { fleet, unfinished: false }).await.map_err(target)?;
    Ok(copied.moved())
}

fn drawn() -> Result<u32, MigrationError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(MigrationError::Random)?;
    Ok(u32::from_le_bytes(bytes))
}

fn source(error: StoreError) -> MigrationError {
    MigrationError::Store { side: "source", error }
}

fn target(error: StoreError) -> MigrationError {
    MigrationError::Store { side: "target", error }
}
