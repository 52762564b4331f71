//! One scrape under way: gets the pages, reads them, and makes a report of it. Judges nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mect_fleet::store::Record;
use mect_fleet::{Failure, FailureReason, HostId, Outcome, Reading, Report, ScrapeTarget, Timestamp};
use tokio::sync::mpsc::OwnedPermit;

use crate::discovery::Target;
use crate::metrics::{Metrics, ScrapeResult};
use crate::pages::{PackedPages, Pages};
use crate::parse;
use crate::reading::Counters;
use crate::scrape::{Connection, Page, Scraper};

use super::endpoints::{self, Answer};
use super::stalls::Stalls;
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
    /// What the engine missed.
    pub(super) stalls: Stalls,
}

/// What one scrape leaves for the next.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) counters: Option<Counters>,
    pub(super) connection: Option<Connection>,
    /// Connections to further endpoints; empty for a server with one.
    pub(super) further: Box<[Option<Connection>]>,
}

/// A scrape that ended.
pub(super) struct Done {
    pub(super) report: Report,
    /// Of the lease under which it began.
    pub(super) epoch: u64,
    pub(super) memory: Memory,
    /// No earlier page to compare with: a second scrape soon gives the rates.
    pub(super) was_first: bool,
    /// The pages, where they are kept or somebody waits for one.
    pub(super) pages: Option<PackedPages>,
    pub(super) place: OwnedPermit<Record>,
}

impl Memory {
    /// Ends the connections; the next scrape opens others.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
        self.further = Box::default();
    }
}

impl Shared {
    /// Scrapes every endpoint of a target once, and reads their pages as one.
    pub(super) async fn scrape(
        self: Arc<Self>,
        target: Arc<Target>,
        page: ScrapeTarget,
        at: Timestamp,
        mut memory: Memory,
        known: Option<HostId>,
        place: OwnedPermit<Record>,
    ) -> Done {
        let (main, further) = self.fetch(&page, target.fallback_format, &mut memory).await;
        let was_first = memory.counters.is_none();
        let capacity = target.capacity_bytes_per_second;
        let who = Who { known, accepted: target.accepted_host };
        let read = match &main.page {
            Ok(of_main) => self.read(of_main, &page.further, &further, capacity, who, &mut memory.counters),
            Err(failure) => Err(failure.clone()),
        };
        let (samples, outcome) = match read {
            Ok((samples, reading)) => (samples, Outcome::Up(reading)),
            Err(failure) => (0, Outcome::Failed(failure)),
        };
        memory.leave_strangers(&outcome);
        self.count(result_of(&outcome));
        let duration_ms = main.millis();
        let is_kept = self.pages.keeps_all() || self.is_awaited.load(Ordering::Relaxed);
        let pages = if is_kept { endpoints::packed(main, further, &outcome) } else { None };
        let report = Report { server: target.server, at, duration_ms, samples, outcome };
        Done { report, epoch: target.epoch, memory, was_first, pages, place }
    }

    /// Says whether somebody waits for a page.
    pub(super) fn await_pages(&self, is_awaited: bool) {
        self.is_awaited.store(is_awaited, Ordering::Relaxed);
    }

    /// Reads what all endpoints answered as one page of the host. What a further one cannot tell is missing.
    fn read(
        &self,
        main: &Page,
        targets: &[ScrapeTarget],
        further: &[Answer],
        capacity: Option<u64>,
        who: Who,
        counters: &mut Option<Counters>,
    ) -> Result<(u32, Reading), Failure> {
        let (samples, mut gather) = self.gather(main, who).inspect_err(|failure| {
            // Counters of two hosts have nothing to do with each other, and neither have those of one before and after.
            if failure.reason == FailureReason::Identity {
                *counters = None;
            }
        })?;
        let mut counted_at = main.answered_at;
        let mut endpoints = Vec::with_capacity(further.len());
        for (target, answer) in targets.iter().zip(further) {
            // Whom the pages before named, the others must be, too.
            let who = Who { known: who.known.or(gather.host()), ..who };
            let (told, one) = self.gather_further(target, answer, who);
            endpoints.push(told);
            let Some(one) = one else { continue };
            if let (Ok(page), false, true) = (&answer.page, gather.has_counters(), one.has_counters()) {
                counted_at = page.answered_at;
            }
            gather.join(one);
        }
        let (reading, now) = gather.finish(counted_at, counters.as_ref(), capacity);
        *counters = Some(now);
        Ok((samples, Reading { endpoints: endpoints.into(), ..reading }))
    }

    /// Counts a scrape of one endpoint by its result.
    pub(super) fn count(&self, result: &'static str) {
        self.metrics.scrapes.get_or_create(&ScrapeResult { result }).inc();
    }
}

/// The result of a scrape as it is counted.
pub(super) fn result_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Up(_) => "success",
        Outcome::Failed(failure) => failure.reason.name(),
    }
}
