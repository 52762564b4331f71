//! One scrape under way: gets the page, reads it, and makes a report of it. Judges nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mect_fleet::store::Record;
use mect_fleet::{Failure, FailureReason, HostId, Outcome, Reading, Report, ScrapeTarget, Timestamp};
use tokio::sync::mpsc::OwnedPermit;

use crate::discovery::Target;
use crate::metrics::{Metrics, ScrapeResult};
use crate::pages::{Packed, Pages};
use crate::parse;
use crate::reading::{self, Counters};
use crate::scrape::{Connection, Page, Scraper};

use super::who::Who;

/// What every scrape needs.
pub(super) struct Shared {
    pub(super) scraper: Scraper,
    pub(super) page_limits: parse::Limits,
    pub(super) metrics: Metrics,
    /// Where pages are kept.
    pub(super) pages: Arc<Pages>,
    /// Somebody waits for a page: scrapes hand theirs on, whatever else is kept.
    pub(super) is_awaited: AtomicBool,
}

/// What one scrape leaves for the next.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) counters: Option<Counters>,
    pub(super) connection: Option<Connection>,
}

/// A scrape that ended.
pub(super) struct Done {
    pub(super) report: Report,
    /// Of the lease under which it began.
    pub(super) epoch: u64,
    pub(super) memory: Memory,
    /// No earlier page to compare with: a second scrape soon gives the rates.
    pub(super) was_first: bool,
    /// The page, where pages are kept or somebody waits for one.
    pub(super) page: Option<Packed>,
    pub(super) place: OwnedPermit<Record>,
}

impl Memory {
    /// Ends the connection; the next scrape opens another one.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }
}

impl Shared {
    /// Scrapes a target once and reads its page.
    pub(super) async fn scrape(
        self: Arc<Self>,
        target: Arc<Target>,
        page: ScrapeTarget,
        at: Timestamp,
        mut memory: Memory,
        known: Option<HostId>,
        place: OwnedPermit<Record>,
    ) -> Done {
        let started = Instant::now();
        let page = self.scraper.scrape(&page, target.fallback_format, &mut memory.connection).await;
        let duration = started.elapsed();
        let was_first = memory.counters.is_none();
        let capacity = target.capacity_bytes_per_second;
        let who = Who { known, accepted: target.accepted_host };
        let read = match &page {
            Ok(page) => self.read(page, capacity, who, &mut memory.counters),
            Err(failure) => Err(failure.clone()),
        };
        if read.as_ref().is_err_and(|failure| failure.reason == FailureReason::Identity) {
            // The name may lead elsewhere again: the next scrape looks it up.
            memory.hang_up();
        }
        let is_kept = read.is_ok() && (self.pages.keeps_all() || self.is_awaited.load(Ordering::Relaxed));
        let page = page.ok().filter(|_| is_kept).map(Packed::of);
        let (samples, outcome) = match read {
            Ok((samples, reading)) => (samples, Outcome::Up(reading)),
            Err(failure) => (0, Outcome::Failed(failure)),
        };
        self.count(&outcome);
        self.metrics.scrape_duration.observe(duration.as_secs_f64());
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let report = Report { server: target.server, at, duration_ms, samples, outcome };
        Done { report, epoch: target.epoch, memory, was_first, page, place }
    }

    /// Says whether somebody waits for a page.
    pub(super) fn await_pages(&self, is_awaited: bool) {
        self.is_awaited.store(is_awaited, Ordering::Relaxed);
    }

    fn read(
        &self,
        page: &Page,
        capacity: Option<u64>,
        who: Who,
        counters: &mut Option<Counters>,
    ) -> Result<(u32, Reading), Failure> {
        let parsed = reading::parsed(page, &self.page_limits)?;
        self.metrics.page_bytes.inc_by(page.bytes.len() as u64);
        self.metrics.samples.inc_by(parsed.samples().len() as u64);
        let gather = reading::gathered(&parsed)?;
        // Counters of two hosts have nothing to do with each other, and neither have those of one before and after.
        who.check(gather.host()).inspect_err(|_| *counters = None)?;
        let (reading, now) = gather.finish(page.answered_at, counters.as_ref(), capacity);
        *counters = Some(now);
        Ok((parsed.samples().len() as u32, reading))
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Up(_) => "success",
            Outcome::Failed(failure) => failure.reason.name(),
        };
        self.metrics.scrapes.get_or_create(&ScrapeResult { result }).inc();
    }
}
