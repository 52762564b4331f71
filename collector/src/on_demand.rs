//! Scrapes on demand: what the web side asks of the engine, and the few pages that came of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mect_fleet::ServerId;
use mect_fleet::collecting::{NotScraped, ScrapedPage, Scrapes};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::engine::{Asked, Want};

/// Wishes on their way to the engine.
const QUEUE: usize = 16;
/// Who asks waits this long at most: less than a request may take.
const PATIENCE: Duration = Duration::from_secs(12);
/// Pages that are kept, the latest: 8 MiB at most.
const KEPT: usize = 32;

/// The web side's way to the engine.
pub struct OnDemand {
    engine: mpsc::Sender<Want>,
    kept: Mutex<VecDeque<Arc<ScrapedPage>>>,
}

impl OnDemand {
    /// The way, and its end in the engine.
    pub fn new() -> (Arc<Self>, Asked) {
        let (engine, wants) = mpsc::channel(QUEUE);
        (Arc::new(Self { engine, kept: Mutex::default() }), Asked::new(wants))
    }

    async fn ask(&self, server: ServerId) -> Result<Arc<ScrapedPage>, NotScraped> {
        let (answer, told) = oneshot::channel();
        self.engine.send(Want { server, answer }).await.map_err(|_| NotScraped::Gone)?;
        told.await.unwrap_or(Err(NotScraped::Gone))
    }

    fn keep(&self, page: &Arc<ScrapedPage>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| known.server != page.server);
        kept.truncate(KEPT - 1);
        kept.push_front(Arc::clone(page));
    }
}

#[async_trait]
impl Scrapes for OnDemand {
    async fn scrape_now(&self, server: ServerId) -> Result<Arc<ScrapedPage>, NotScraped> {
        let page = timeout(PATIENCE, self.ask(server)).await.map_err(|_| NotScraped::TooLong)??;
        self.keep(&page);
        Ok(page)
    }

    fn last_page(&self, server: ServerId) -> Option<Arc<ScrapedPage>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|page| page.server == server).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use mect_fleet::Timestamp;

    use super::*;

    #[test]
    fn the_latest_pages_are_kept() {
        let (on_demand, _asked) = OnDemand::new();
        let id = |n: usize| format!("srv-{n:08}").parse::<ServerId>().unwrap();
        let page = |server, seconds| {
            Arc::new(ScrapedPage {
                server,
                at: Timestamp::from_secs(seconds),
                duration_ms: 1,
                failure: None,
                samples: 0,
                bytes: 0,
                text: String::new(),
            })
        };
        (0..=KEPT).for_each(|n| on_demand.keep(&page(id(n), 1)));
        assert_eq!(on_demand.last_page(id(0)), None);
        on_demand.keep(&page(id(1), 2));
        assert_eq!(on_demand.last_page(id(1)).unwrap().at, Timestamp::from_secs(2));
        assert!((1..=KEPT).all(|n| on_demand.last_page(id(n)).is_some()));
    }
}
