//! Tells the web side which targets there are.

use std::time::Duration;

use mect_fleet::collecting::{ActiveTarget, DroppedTarget, Targets, TargetsSnapshot};
use tokio::sync::watch;

use crate::config::Config;
use crate::discovery::TargetSet;

/// What discovery found last.
pub(super) struct ToldTargets {
    active: watch::Receiver<TargetSet>,
    dropped: watch::Receiver<Vec<DroppedTarget>>,
    interval: Duration,
    timeout: Duration,
}

impl ToldTargets {
    pub(super) fn new(
        config: &Config,
        active: watch::Receiver<TargetSet>,
        dropped: watch::Receiver<Vec<DroppedTarget>>,
    ) -> Self {
        Self { active, dropped, interval: config.scrape.interval(), timeout: config.scrape.timeout() }
    }
}

impl Targets for ToldTargets {
    fn snapshot(&self) -> TargetsSnapshot {
        let active = self.active.borrow().clone();
        let active = active.iter().map(|target| ActiveTarget {
            server: target.server,
            url: target.page.as_ref().map(|page| page.endpoint.to_string()),
            further: target.page.iter().flat_map(|page| &page.further).map(|page| page.endpoint.to_string()).collect(),
        });
        TargetsSnapshot {
            active: active.collect(),
            dropped: self.dropped.borrow().clone(),
            interval: self.interval,
            timeout: self.timeout,
        }
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}
