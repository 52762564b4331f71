//! What the web side may ask of the part that collects, without knowing it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::installation::Installation;
use crate::reading::Reading;
use crate::server::ServerId;
use crate::store::{Registration, Result};
use crate::time::Timestamp;

mod pages;
mod reload;

pub use pages::{LatestScrape, Pages, SeriesLabel, SeriesVisitor, ServerPage};
pub use reload::{NotReloaded, Reload, Reloaded};

/// The collecting part, as far as there is one.
#[derive(Clone, Default)]
pub struct Collecting {
    /// Which targets there are.
    pub targets: Option<Arc<dyn Targets>>,
    /// Takes what agents of the old system report; `None` when they may not.
    pub heartbeats: Option<Arc<dyn Heartbeats>>,
    /// How this installation is put together.
    pub installation: Option<Arc<dyn Installation>>,
    /// Scrapes out of turn.
    pub scrapes: Option<Arc<dyn Scrapes>>,
    /// The latest pages of the servers that this collector scrapes.
    pub pages: Option<Arc<dyn Pages>>,
    /// Reads the configuration again.
    pub reload: Option<Arc<dyn Reload>>,
}

/// Knows which targets there are.
pub trait Targets: Send + Sync {
    /// The targets as they are now.
    fn snapshot(&self) -> TargetsSnapshot;

    /// Time between two scrapes of one target.
    fn interval(&self) -> Duration;
}

/// Targets at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetsSnapshot {
    /// Those that are scraped, by one collector or another, and those that agents report.
    pub active: Vec<ActiveTarget>,
    /// Those that are not.
    pub dropped: Vec<DroppedTarget>,
    /// Time between two scrapes.
    pub interval: Duration,
    /// Bound of one scrape.
    pub timeout: Duration,
}

/// A target in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveTarget {
    /// The server behind it.
    pub server: ServerId,
    /// URL of its page, of the main endpoint where there are several; `None` when an agent reports it.
    pub url: Option<String>,
    /// URLs of further endpoints.
    pub further: Vec<String>,
}

impl ActiveTarget {
    /// URLs of all its pages, the main one first.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.iter().chain(&self.further).map(String::as_str)
    }
}

/// A target that is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTarget {
    /// Where its page would be.
    pub address: String,
    /// Why not, for a person.
    pub reason: String,
}

/// What an agent of the old system told, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The server that it runs on.
    pub server: ServerId,
    /// When it arrived.
    pub at: Timestamp,
    /// What it said.
    pub reading: Reading,
}

/// Takes what agents of the old system report.
#[async_trait]
pub trait Heartbeats: Send + Sync {
    /// Makes the server known and its heartbeat durable, and says which server it is. A server with a target of its own
    /// is scraped: what an agent says of it beside is left aside.
    async fn take(&self, registration: Registration, reading: Reading, at: Timestamp) -> Result<ServerId>;
}

/// Scrapes servers out of turn, because somebody looks at them.
#[async_trait]
pub trait Scrapes: Send + Sync {
    /// Has the server scraped at once, as a regular scrape: it is judged and recorded like any other. Whoever asks while
    /// one is under way gets what that one finds. It stands among the [`Pages`] then.
    ///
    /// # Errors
    /// Nothing was scraped, or it took too long.
    async fn scrape_now(&self, server: ServerId) -> Result<(), NotScraped>;
}

/// Why a server was not scraped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotScraped {
    /// Another collector holds it, or none does.
    #[error("This collector does not scrape that server: another one does, or none")]
    NotHere,
    /// An agent reports it.
    #[error("An agent reports that server: there is no page to scrape")]
    Pushed,
    /// It was taken away while its scrape was due.
    #[error("The target was changed or taken away meanwhile")]
    Gone,
    /// The scrape goes on; what it finds is recorded.
    #[error("The scrape has not ended yet; what it finds will be shown")]
    TooLong,
    /// Too many others wait.
    #[error("Too many scrapes are waited for at the moment, try again")]
    Busy,
}
