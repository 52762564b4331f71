//! What the latest scrape of each server found: its pages, packed, or why there are none.
//!
//! | module | holds |
//! |---|---|
//! | `packed` | one page |
//!
//! Written by the engine, read by the web side. A page of [`SHARE_BYTES`] always has room. A larger one takes what the others
//! leave of theirs, and [`SLACK_BYTES`] for all together; one that finds no room there is not kept.

use std::collections::{HashMap, HashSet};
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
/// What large pages may take beyond the shares of all.
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
    /// Servers whose page found no room. Their shares are for the others.
    without: HashSet<ServerId>,
    /// What all pages take.
    bytes: usize,
    /// It was told that a page is not kept. Told anew once there was room for half of the slack again.
    told: bool,
}

#[derive(Clone)]
struct Latest {
    at: Timestamp,
    duration_ms: u32,
    samples: u32,
    outcome: Result<Arc<PackedPages>, Failure>,
    /// A later scrape failed by a fault of our own, which says nothing of the server: what it said then it says now.
    missed: Option<Missed>,
}

#[derive(Clone)]
struct Missed {
    at: Timestamp,
    duration_ms: u32,
    failure: Failure,
}

impl Latest {
    fn bytes(&self) -> usize {
        self.outcome.as_ref().map_or(0, |pages| pages.len())
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
        let Report { server, at, duration_ms, samples, ref outcome } = *report;
        if let Outcome::Failed(failure) = outcome
            && failure.reason.is_local()
            && let Some(latest) = kept.by_server.get_mut(&server).filter(|latest| latest.outcome.is_ok())
        {
            Arc::make_mut(latest).missed = Some(Missed { at, duration_ms, failure: failure.clone() });
            return;
        }
        kept.remove(server);
        let outcome = match (outcome, pages) {
            (Outcome::Failed(failure), _) => Err(failure.clone()),
            (Outcome::Up(_), Some(pages)) => Ok(Arc::new(pages)),
            (Outcome::Up(_), None) => return,
        };
        let latest = Latest { at, duration_ms, samples, outcome, missed: None };
        if !self.keeps_all && kept.by_server.len() >= ASKED_FOR {
            let oldest = kept.by_server.iter().min_by_key(|(_, latest)| latest.at).map(|(server, _)| *server);
            oldest.into_iter().for_each(|server| kept.remove(server));
        }
        if !kept.has_room(latest.bytes()) {
            kept.without.insert(server);
            if !std::mem::replace(&mut kept.told, true) {
                let bytes = latest.bytes();
                tracing::warn!(%server, bytes, "pages are larger than reckoned with: some are not kept for /federate");
            }
            return;
        }
        kept.bytes += latest.bytes();
        kept.by_server.insert(server, Arc::new(latest));
        kept.told &= kept.bytes + SLACK_BYTES / 2 > kept.capacity();
    }

    /// Servers whose latest page is not kept, because it is large and there is no room.
    pub fn not_kept(&self) -> usize {
        self.kept().without.len()
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
        self.without.remove(&server);
        if let Some(latest) = self.by_server.remove(&server) {
            self.bytes -= latest.bytes();
        }
    }

    /// Whether a page of so many bytes is kept, of a server that was removed. A large one gives way at its next scrape when
    /// small ones have taken their shares meanwhile.
    fn has_room(&self, bytes: usize) -> bool {
        bytes <= SHARE_BYTES || self.bytes + bytes <= self.capacity() + SHARE_BYTES
    }

    /// What the pages of all servers may take.
    fn capacity(&self) -> usize {
        (self.by_server.len() + self.without.len()) * SHARE_BYTES + SLACK_BYTES
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

    fn further_page(&self, server: ServerId, url: &str) -> Option<(Timestamp, ServerPage)> {
        let latest = self.find(server)?;
        let pages = latest.outcome.as_ref().ok()?;
        let (_, packed) = pages.further.iter().find(|(known, _)| **known == *url)?;
        let bytes = packed.unpack();
        let samples = parse::page(&bytes, packed.format, &self.limits).map_or(0, |page| page.samples().len());
        let is_openmetrics = packed.format == Format::OpenMetrics;
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        Some((latest.at, ServerPage { samples, is_openmetrics, text: String::from_utf8(bytes).unwrap_or_default() }))
    }

    fn latest(&self, server: ServerId) -> Option<LatestScrape> {
        let latest = self.find(server)?;
        if let Some(Missed { at, duration_ms, failure }) = latest.missed.clone() {
            return Some(LatestScrape { at, duration_ms, outcome: Err(failure) });
        }
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
