//! What the latest scrape of each server found: its pages, packed, or why there are none.
//!
//! | module | holds |
//! |---|---|
//! | `packed` | one page |
//!
//! Written by the engine, read by the web side. All pages together take at most [`MEAN_BYTES`] for each server and
//! [`SLACK_BYTES`] beside; a page that would go beyond is not kept.

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
pub const MEAN_BYTES: usize = 12 * 1024;
/// A small fleet of large pages has this beside.
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
    /// Of all pages.
    bytes: usize,
    /// It was told that a page is not kept.
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
        if kept.bytes + latest.bytes() > SLACK_BYTES + MEAN_BYTES * (kept.by_server.len() + 1) {
            if !std::mem::replace(&mut kept.told, true) {
                let (server, bytes) = (report.server, latest.bytes());
                tracing::warn!(%server, bytes, "pages are larger than reckoned with: some are not kept for /federate");
            }
            return;
        }
        kept.bytes += latest.bytes();
        kept.by_server.insert(report.server, Arc::new(latest));
    }

    /// The target of a server went, or was changed.
    pub fn forget(&self, server: ServerId) {
        self.kept().remove(server);
    }

    /// Shows a page, of a scrape that started at `at`, to a visitor.
    fn go_through(&self, at: Timestamp, packed: &Packed, visitor: &mut dyn SeriesVisitor) {
        if !visitor.begins(at) {
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
            self.bytes -= latest.bytes();
        }
    }
}

impl Told for Pages {
    fn visit(&self, server: ServerId, visitor: &mut dyn SeriesVisitor) {
        let Some(latest) = self.find(server).filter(|_| self.keeps_all) else { return };
        if let Ok(pages) = &latest.outcome {
            self.go_through(latest.at, &pages.main, visitor);
        }
    }

    fn further(&self, server: ServerId) -> Vec<String> {
        let Some(latest) = self.find(server).filter(|_| self.keeps_all) else { return Vec::new() };
        let pages = latest.outcome.iter().flat_map(|pages| &pages.further);
        pages.map(|(url, _)| url.to_string()).collect()
    }

    fn visit_further(&self, server: ServerId, url: &str, visitor: &mut dyn SeriesVisitor) {
        let Some(latest) = self.find(server).filter(|_| self.keeps_all) else { return };
        let mut pages = latest.outcome.iter().flat_map(|pages| &pages.further);
        if let Some((_, page)) = pages.find(|(known, _)| **known == *url) {
            self.go_through(latest.at, page, visitor);
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
