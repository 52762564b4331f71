//! What the latest scrape of each server found: its pages, packed, or why there are none.
//!
//! | module | holds |
//! |---|---|
//! | `packed` | one page |
//!
//! Written by the engine, read by the web side. A page of [`SHARE_BYTES`] always has room; what larger ones take beyond
//! that comes out of [`SLACK_BYTES`] for all together, and one that finds no room there is not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mect_fleet::collecting::{LatestScrape, Pages as Told, SeriesLabel, SeriesVisitor, ServerPage};
use mect_fleet::{Failure, Outcome, Report, ServerId, Timestamp};

use crate::parse::{self, Format};

mod packed;
#[cfg(test)]
mod tests;

pub use packed::{Packed, PackedPages};

/// Of what a target may cost in all, 16 KiB, so much is for its page: three times what an exporter's takes.
pub const SHARE_BYTES: usize = 12 * 1024;
/// Of what large pages take beyond their share.
pub const SLACK_BYTES: usize = 8 * 1024 * 1024;
/// Where only pages are kept that somebody asked for, so many.
const ASKED_FOR: usize = 32;

/// The pages.
pub struct Pages {
    keeps_all: bool,
    limits: parse::Limits,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_server: HashMap<ServerId, Arc<Latest>>,
    /// What all pages take beyond their shares.
    slack: usize,
    /// It was told that a page is not kept. Told anew once half of the slack was free again.
    told: bool,
}

struct Latest {
    at: Timestamp,
    duration_ms: u32,
    samples: u32,
    outcome: Result<PackedPages, Failure>,
}

impl Latest {
    fn bytes(&self) -> usize {
        self.outcome.as_ref().map_or(0, PackedPages::len)
    }

    fn beyond_share(&self) -> usize {
        self.bytes().saturating_sub(SHARE_BYTES)
    }
}

impl Pages {
    /// No pages yet. Keeps those of all servers, or of the few that somebody asked for last. They were read within
    /// `limits`.
    pub fn new(keeps_all: bool, limits: parse::Limits) -> Arc<Self> {
        Arc::new(Self { keeps_all, limits, kept: Mutex::default() })
    }

    /// True when the pages of all servers are kept.
    pub fn keeps_all(&self) -> bool {
        self.keeps_all
    }

    /// Puts what a scrape found in the place of what the one before it found.
    pub fn put(&self, report: &Report, pages: Option<PackedPages>) {
        let mut kept = self.kept();
        kept.remove(report.server);
        let outcome = match (&report.outcome, pages) {
            (Outcome::Failed(failure), _) => Err(failure.clone()),
            (Outcome::Up(_), Some(pages)) => Ok(pages),
            (Outcome::Up(_), None) => return,
        };
        let latest = Latest { at: report.at, duration_ms: report.duration_ms, samples: report.samples, outcome };
        if !self.keeps_all && kept.by_server.len() >= ASKED_FOR {
            let oldest = kept.by_server.iter().min_by_key(|(_, latest)| latest.at).map(|(server, _)| *server);
            oldest.into_iter().for_each(|server| kept.remove(server));
        }
        if kept.slack + latest.beyond_share() > SLACK_BYTES {
            if !std::mem::replace(&mut kept.told, true) {
                let (server, bytes) = (report.server, latest.bytes());
                tracing::warn!(%server, bytes, "pages are larger than reckoned with: some are not kept for /federate");
            }
            return;
        }
        kept.slack += latest.beyond_share();
        kept.told &= kept.slack > SLACK_BYTES / 2;
        kept.by_server.insert(report.server, Arc::new(latest));
    }

    /// The target of a server went, or was changed.
    pub fn forget(&self, server: ServerId) {
        self.kept().remove(server);
    }

    /// The page of a server's latest scrape, to be held beyond the next one; `None` when there is none, or when only the
    /// pages that somebody asked for are kept.
    pub fn hold(&self, server: ServerId) -> Option<Held> {
        let latest = self.find(server).filter(|latest| self.keeps_all && latest.outcome.is_ok())?;
        Some(Held { latest, limits: self.limits })
    }

    fn find(&self, server: ServerId) -> Option<Arc<Latest>> {
        self.kept().by_server.get(&server).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing under the lock panics half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, server: ServerId) {
        if let Some(latest) = self.by_server.remove(&server) {
            self.slack -= latest.beyond_share();
        }
    }
}

/// A page that stays as it is when a newer one comes.
#[derive(Clone)]
pub struct Held {
    latest: Arc<Latest>,
    limits: parse::Limits,
}

impl Held {
    /// Start of its scrape.
    pub fn at(&self) -> Timestamp {
        self.latest.at
    }

    /// Goes through the series of a further endpoint, in page order.
    pub fn visit_further(&self, url: &str, visitor: &mut dyn SeriesVisitor) {
        if let Some((_, page)) = self.further().find(|(known, _)| *known == url) {
            self.go_through(page, visitor);
        }
    }

    /// Goes through the series of its main endpoint, in page order.
    pub fn visit(&self, visitor: &mut dyn SeriesVisitor) {
        if let Ok(pages) = &self.latest.outcome {
            self.go_through(&pages.main, visitor);
        }
    }

    fn further(&self) -> impl Iterator<Item = (&str, &Packed)> {
        let pages = self.latest.outcome.iter().flat_map(|pages| &pages.further);
        pages.map(|(url, page)| (&**url, page))
    }

    fn go_through(&self, packed: &Packed, visitor: &mut dyn SeriesVisitor) {
        if !visitor.begins(self.latest.at) {
            return;
        }
        let bytes = packed.unpack();
        // It was read once before, or would not be here.
        let Ok(page) = parse::page(&bytes, packed.format, &self.limits) else { return };
        let mut labels: Vec<SeriesLabel<'_>> = Vec::new();
        for sample in page.samples() {
            if !visitor.wants(&sample.name) {
                continue;
            }
            labels.clear();
            labels.extend(sample.labels.iter().map(|label| (label.name, label.value)));
            let at = sample.timestamp.map(|at| Timestamp::from_millis(at.milliseconds()));
            visitor.sample(&sample.name, &labels, sample.value, at);
        }
    }
}

impl Told for Pages {
    fn visit(&self, server: ServerId, visitor: &mut dyn SeriesVisitor) {
        if let Some(held) = self.hold(server) {
            held.visit(visitor);
        }
    }

    fn further(&self, server: ServerId) -> Vec<String> {
        let held = self.hold(server);
        held.iter().flat_map(Held::further).map(|(url, _)| url.to_owned()).collect()
    }

    fn visit_further(&self, server: ServerId, url: &str, visitor: &mut dyn SeriesVisitor) {
        if let Some(held) = self.hold(server) {
            held.visit_further(url, visitor);
        }
    }

    fn latest(&self, server: ServerId) -> Option<LatestScrape> {
        let latest = self.find(server)?;
        let page = |packed: &Packed| ServerPage {
            samples: latest.samples,
            is_openmetrics: packed.format == Format::OpenMetrics,
            // It was read, so it is UTF-8.
            text: String::from_utf8(packed.unpack()).unwrap_or_default(),
        };
        let outcome = latest.outcome.as_ref().map(|pages| page(&pages.main)).map_err(Failure::clone);
        Some(LatestScrape { at: latest.at, duration_ms: latest.duration_ms, outcome })
    }

    fn samples(&self, server: ServerId) -> Option<(Timestamp, u32)> {
        self.find(server).filter(|latest| latest.outcome.is_ok()).map(|latest| (latest.at, latest.samples))
    }
}
