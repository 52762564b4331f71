//! The pages of one server: fetched together, read as one.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, join_all, select};
use mect_fleet::{EndpointReading, Failure, FailureReason, Outcome, ScrapeTarget};

use super::flight::{Memory, Shared};
use super::who::Who;
use crate::pages::{Packed, PackedPages};
use crate::parse::Format;
use crate::reading::{self, Gather};
use crate::scrape::{Connection, Page};

/// What one endpoint answered.
pub(super) struct Answer {
    pub(super) page: Result<Page, Failure>,
    /// From start to the last byte or the failure.
    pub(super) duration: Duration,
}

impl Answer {
    pub(super) fn millis(&self) -> u32 {
        u32::try_from(self.duration.as_millis()).unwrap_or(u32::MAX)
    }
}

/// A page that was read, and how many samples it has.
pub(super) type Gathered = (u32, Gather);

impl Shared {
    /// Fetches the page of every endpoint of `target`, all at the same time and within one timeout. If the main one, the
    /// first, fails, so does the server: the others are given up.
    pub(super) async fn fetch(
        &self,
        target: &ScrapeTarget,
        fallback: Option<Format>,
        memory: &mut Memory,
    ) -> (Answer, Vec<Answer>) {
        if target.further.is_empty() {
            return (self.fetch_one(target, fallback, &mut memory.connection).await, Vec::new());
        }
        // Aside: nearly all servers have one endpoint, and their scrapes need not hold the place for more.
        Box::pin(self.fetch_all(target, fallback, memory)).await
    }

    async fn fetch_all(
        &self,
        target: &ScrapeTarget,
        fallback: Option<Format>,
        memory: &mut Memory,
    ) -> (Answer, Vec<Answer>) {
        if memory.further.len() != target.further.len() {
            memory.further = target.further.iter().map(|_| None).collect();
        }
        // The WireGuard exporter that most people have sends no content type.
        let lenient = fallback.or(Some(Format::Text));
        let further = target.further.iter().zip(&mut memory.further);
        let further = pin!(join_all(further.map(|(page, kept)| self.fetch_one(page, lenient, kept))));
        let main = pin!(self.fetch_one(target, fallback, &mut memory.connection));
        match select(main, further).await {
            Either::Left((main, further)) if main.page.is_ok() => (main, further.await),
            Either::Left((main, _given_up)) => (main, Vec::new()),
            Either::Right((further, main)) => (main.await, further),
        }
    }

    async fn fetch_one(
        &self,
        target: &ScrapeTarget,
        fallback: Option<Format>,
        kept: &mut Option<Connection>,
    ) -> Answer {
        let (started, missed) = (Instant::now(), self.stalls.total());
        let page = self.scraper.scrape(target, fallback, kept).await;
        let duration = started.elapsed();
        let page = page.map_err(|failure| self.stalls.excuse(failure, missed, duration, self.scraper.timeout()));
        self.metrics.scrape_duration.observe(duration.as_secs_f64());
        Answer { page, duration }
    }

    /// Reads one page, which must be of the host that `who` expects.
    pub(super) fn gather(&self, page: &Page, who: Who) -> Result<Gathered, Failure> {
        let parsed = reading::parsed(page, &self.page_limits)?;
        self.metrics.page_bytes.inc_by(page.bytes.len() as u64);
        self.metrics.samples.inc_by(parsed.samples().len() as u64);
        let gather = reading::gathered(&parsed, || page.clock())?;
        who.check(gather.host())?;
        Ok((parsed.samples().len() as u32, gather))
    }

    /// Reads the page of a further endpoint, counts how that went, and says so.
    pub(super) fn gather_further(
        &self,
        target: &ScrapeTarget,
        answer: &Answer,
        who: Who,
    ) -> (EndpointReading, Option<Gather>) {
        let read = answer.page.as_ref().map_err(Failure::clone).and_then(|page| self.gather(page, who));
        let (samples, failure, gather) = match read {
            Ok((samples, gather)) => (samples, None, Some(gather)),
            Err(failure) => (0, Some(failure), None),
        };
        self.count(failure.as_ref().map_or("success", |failure| failure.reason.name()));
        let url = target.endpoint.to_string().into();
        let told = EndpointReading { url, duration_ms: answer.millis(), samples, failure, failures: 0 };
        (told, gather)
    }
}

impl Memory {
    /// Ends the connections to endpoints where another host answers: the next scrape looks their names up again.
    pub(super) fn leave_strangers(&mut self, outcome: &Outcome) {
        let is_strange = |failure: &Failure| failure.reason == FailureReason::Identity;
        match outcome {
            Outcome::Failed(failure) if is_strange(failure) => self.hang_up(),
            Outcome::Failed(_) => {}
            Outcome::Up(reading) => {
                for (endpoint, kept) in reading.endpoints.iter().zip(&mut self.further) {
                    if endpoint.failure.as_ref().is_some_and(is_strange) {
                        *kept = None;
                    }
                }
            }
        }
    }
}

/// The pages as they are kept: the main one, and those of further endpoints that count.
pub(super) fn packed(main: Answer, further: Vec<Answer>, outcome: &Outcome) -> Option<PackedPages> {
    let (page, Outcome::Up(reading)) = (main.page.ok()?, outcome) else { return None };
    let further = reading.endpoints.iter().zip(further).filter_map(|(endpoint, answer)| {
        let page = answer.page.ok().filter(|_| endpoint.failure.is_none())?;
        Some((endpoint.url.clone(), Packed::of(page)))
    });
    Some(PackedPages { further: further.collect(), ..Packed::of(page).into() })
}
