//! Scrapes on demand: what the web side asks of the engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mect_fleet::ServerId;
use mect_fleet::collecting::{NotScraped, Scrapes};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::engine::{Asked, Want};

/// Wishes on their way to the engine.
const QUEUE: usize = 16;
/// Who asks waits this long at most: less than a request may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// The web side's way to the engine.
pub struct OnDemand {
    engine: mpsc::Sender<Want>,
}

impl OnDemand {
    /// The way, and its end in the engine.
    pub fn new() -> (Arc<Self>, Asked) {
        let (engine, wants) = mpsc::channel(QUEUE);
        (Arc::new(Self { engine }), Asked::new(wants))
    }

    async fn ask(&self, server: ServerId) -> Result<(), NotScraped> {
        let (answer, told) = oneshot::channel();
        self.engine.send(Want { server, answer }).await.map_err(|_| NotScraped::Gone)?;
        told.await.unwrap_or(Err(NotScraped::Gone))
    }
}

#[async_trait]
impl Scrapes for OnDemand {
    async fn scrape_now(&self, server: ServerId) -> Result<(), NotScraped> {
        timeout(PATIENCE, self.ask(server)).await.map_err(|_| NotScraped::TooLong)?
    }
}
