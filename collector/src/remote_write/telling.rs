//! Which samples there are, and which series ended.
//!
//! A scrape of a server tells its series with the scrape's own time; a page's own times are left aside, so that the samples of
//! every series are in order. Series that an earlier scrape had told and this one does not tell any more end: receivers
//! are told so, as Prometheus tells itself, and do not show them for another five minutes. Of what was told before, only the
//! page and the state are held, and told once more if the sets of series differ.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::store::Record;
use mect_fleet::{Fleet, FleetView, Outcome, ServerId, ServerView, Timestamp};
use mect_web::{Kind, SampleSink, Teller, Uptimes};
use tokio::sync::watch;

use super::Parts;
use super::digest::{Digest, Seen};
use super::receiver::Receiver;
use super::request::STALE;
use crate::discovery::TargetSet;
use crate::pages::{Held, Pages};

#[cfg(test)]
mod tests;

/// So long it is remembered that the series of a server ended: a record of it may wait behind a slow store.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What is told to receivers.
pub(super) struct Telling {
    fleet: Arc<Fleet>,
    teller: Arc<Teller>,
    pages: Option<Arc<Pages>>,
    ours: watch::Receiver<TargetSet>,
    all: watch::Receiver<TargetSet>,
    receivers: Vec<Arc<Receiver>>,
    instances: Instances,
    told: HashMap<ServerId, Told>,
    /// Servers that went, and when their series ended or were told last.
    gone: HashMap<ServerId, Timestamp>,
    /// Series of sums, with their labels.
    sums: Vec<Sum>,
    sums_at: Timestamp,
    seen: Seen,
}

/// What was told last of a server.
struct Told {
    view: Arc<ServerView>,
    instance: Arc<str>,
    at: Timestamp,
    derived: Digest,
    page: Option<(Held, Digest)>,
}

/// Where the pages of servers are.
#[derive(Default)]
struct Instances {
    of: TargetSet,
    by_server: HashMap<ServerId, Arc<str>>,
}

/// Name and labels of a series.
type Sum = (String, Vec<(String, String)>);

impl Telling {
    pub(super) fn new(parts: Parts, teller: Arc<Teller>, receivers: &[Arc<Receiver>]) -> Self {
        let Parts { fleet, pages, ours, all, .. } = parts;
        let receivers = receivers.to_vec();
        let pages = receivers.iter().any(|receiver| receiver.takes_raw()).then_some(pages);
        Self {
            fleet,
            teller,
            pages,
            ours,
            all,
            receivers,
            instances: Instances::default(),
            told: HashMap::new(),
            gone: HashMap::new(),
            sums: Vec::new(),
            sums_at: Timestamp::default(),
            seen: Seen::default(),
        }
    }

    /// Tells what was recorded.
    pub(super) fn scrapes(&mut self, batch: &[Record], uptimes: &Uptimes) {
        self.instances.follow(&self.ours.borrow_and_update().clone());
        for record in batch {
            self.scrape(record, uptimes);
        }
        self.receivers.iter().for_each(|receiver| receiver.keep());
    }

    /// Tells the sums, and the end of servers that went.
    pub(super) fn fleet(&mut self, uptimes: &Uptimes) {
        let (view, now) = (self.fleet.view(), Timestamp::now());
        let targets = self.ours.borrow_and_update().clone();
        self.instances.follow(&targets);
        self.end_gone(uptimes, now);
        self.gone.retain(|_, at| now.since(*at) < REMEMBERED);
        let first = self.all.borrow().iter().map(|target| target.server).min();
        // Of several collectors one tells them: whoever has the first server.
        if first.is_none_or(|first| self.instances.by_server.contains_key(&first)) {
            self.sums(&view, now);
        } else {
            self.sums.clear();
        }
        self.receivers.iter().for_each(|receiver| receiver.keep());
    }

    fn scrape(&mut self, record: &Record, uptimes: &Uptimes) {
        let (server, at) = (record.report.server, record.report.at);
        let samples = match &record.report.outcome {
            Outcome::Up(_) => Some(record.report.samples),
            // A fault of our own tells nothing of the server.
            Outcome::Failed(failure) if failure.reason.is_local() => return,
            Outcome::Failed(_) => None,
        };
        let Some(view) = self.fleet.server(server) else { return };
        let before = self.told.remove(&server);
        let latest = before.as_ref().map(|told| told.at).max(self.gone.get(&server).copied());
        // Another collector has overtaken it, our clock went back, or its series ended while it waited for the store:
        // nobody takes samples that are not in order.
        if record.epoch < view.standing.epoch || latest.is_some_and(|latest| at <= latest) {
            self.told.extend(before.map(|told| (server, told)));
            return;
        }
        // Of a server that is no longer ours it is the last one; of one that was forgotten it comes too late.
        let known = self.instances.of(&view).or_else(|| before.as_ref().map(|told| Arc::clone(&told.instance)));
        let Some(instance) = known else { return };
        let view = ServerView { standing: record.standing.clone(), stale: false, ..(*view).clone() };
        let derived = self.derived((&view, &instance), samples, uptimes, at);
        if let Some(before) = before.as_ref().filter(|before| before.derived != derived) {
            self.end_derived(before, uptimes, at);
        }
        let page = self.page((&view, &instance), before.as_ref(), at);
        self.told.insert(server, Told { view: Arc::new(view), instance, at, derived, page });
    }

    /// Tells what we say of a server.
    fn derived(
        &mut self,
        server: (&ServerView, &str),
        samples: Option<u32>,
        uptimes: &Uptimes,
        at: Timestamp,
    ) -> Digest {
        self.seen.clear();
        let mut sink = Tell { to: &self.receivers, seen: &mut self.seen, is_raw: false, at };
        self.teller.server(server, samples, uptimes, at, &mut sink);
        self.seen.digest()
    }

    /// Ends those series of `before` that were not told just now.
    fn end_derived(&self, before: &Told, uptimes: &Uptimes, at: Timestamp) {
        let mut sink = End { to: &self.receivers, kept: &self.seen, is_raw: false, at };
        self.teller.server((&before.view, &before.instance), Some(0), uptimes, before.at, &mut sink);
    }

    /// Tells a server's page, if it has one that was not told yet, and ends what stood on the one before only.
    fn page(&mut self, server: (&ServerView, &str), before: Option<&Told>, at: Timestamp) -> Option<(Held, Digest)> {
        let pages = self.pages.clone()?;
        let told = before.and_then(|before| before.page.as_ref().map(|page| (before, page)));
        // By now there may be a newer one than that of the record; it is told as soon as it is seen, with its own time.
        let held = pages.hold(server.0.server.id).filter(|held| held.at() >= at);
        if let (Some((_, page)), Some(held)) = (told, &held)
            && page.0.at() == held.at()
        {
            return Some(page.clone());
        }
        self.seen.clear();
        let ends_at = held.as_ref().map_or(at, Held::at);
        let page = held.map(|held| {
            let at = held.at();
            let mut sink = Tell { to: &self.receivers, seen: &mut self.seen, is_raw: true, at };
            tell_pages(&self.teller, server, &held, &mut sink);
            (held, self.seen.digest())
        });
        if let Some((before, (held, digest))) = told
            && page.as_ref().is_none_or(|(_, new)| new != digest)
        {
            self.end_page(before, held, ends_at);
        }
        page
    }

    /// Ends those series of a page that were not told just now.
    fn end_page(&self, before: &Told, held: &Held, at: Timestamp) {
        // Later than what was told last, whatever the clock did.
        let at = at.max(Timestamp::from_millis(held.at().as_millis() + 1));
        let mut sink = End { to: &self.receivers, kept: &self.seen, is_raw: true, at };
        let server = (&*before.view, &*before.instance);
        tell_pages(&self.teller, server, held, &mut sink);
    }

    /// Ends all series of servers that nobody scrapes any more, and forgets those that another collector scrapes now.
    fn end_gone(&mut self, uptimes: &Uptimes, now: Timestamp) {
        let is_ours = |server: &ServerId| self.instances.by_server.contains_key(server);
        let gone: Vec<_> = self.told.keys().filter(|server| !is_ours(server)).copied().collect();
        let all = self.all.borrow().clone();
        self.seen.clear();
        for server in gone {
            let Some(told) = self.told.remove(&server) else { continue };
            if all.iter().any(|target| target.server == server) {
                self.gone.insert(server, told.at);
                continue;
            }
            let at = now.max(Timestamp::from_millis(told.at.as_millis() + 1));
            self.gone.insert(server, at);
            self.end_derived(&told, uptimes, at);
            if let Some((held, _)) = &told.page {
                self.end_page(&told, held, at);
            }
        }
    }

    /// Tells the sums over the fleet and its countries.
    fn sums(&mut self, view: &FleetView, now: Timestamp) {
        // Our clock went back: nobody takes samples that are not in order.
        if now <= self.sums_at {
            return;
        }
        self.sums_at = now;
        self.seen.clear();
        let mut sums = Sums {
            tell: Tell { to: &self.receivers, seen: &mut self.seen, is_raw: false, at: now },
            told: Vec::with_capacity(self.sums.len()),
        };
        self.teller.fleet(view, now, &mut sums);
        let told = sums.told;
        for (name, labels) in std::mem::replace(&mut self.sums, told) {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut end = End { to: &self.receivers, kept: &self.seen, is_raw: false, at: now };
            end.sample((&name, Kind::Gauge), &labels, STALE, now);
        }
    }
}

/// Tells what a server says itself, at all its endpoints.
fn tell_pages(teller: &Teller, server: (&ServerView, &str), held: &Held, sink: &mut dyn SampleSink) {
    teller.pages(server, held.at(), sink, |url, visitor| match url {
        None => held.visit(visitor),
        Some(url) => held.visit_further(url, visitor),
    });
}

impl Instances {
    /// Learns where the pages of `targets` are, if that changed.
    fn follow(&mut self, targets: &TargetSet) {
        if Arc::ptr_eq(&self.of, targets) {
            return;
        }
        let at = |page: &mect_fleet::ScrapeTarget| page.endpoint.authority().into();
        let found = targets.iter().map(|target| (target.server, target.page.as_ref().map_or("".into(), at)));
        self.by_server = found.collect();
        self.of = Arc::clone(targets);
    }

    /// `host:port` of a server's page; of one that an agent reports, its address. `None` of a server that is not ours.
    fn of(&self, view: &ServerView) -> Option<Arc<str>> {
        let known = self.by_server.get(&view.server.id)?;
        Some(if known.is_empty() { view.server.ip.as_str().into() } else { Arc::clone(known) })
    }
}

/// Tells samples to those who take them.
struct Tell<'a> {
    to: &'a [Arc<Receiver>],
    seen: &'a mut Seen,
    is_raw: bool,
    at: Timestamp,
}

impl SampleSink for Tell<'_> {
    fn sample(&mut self, series: (&str, Kind), labels: &[(&str, &str)], value: f64, at: Timestamp) {
        // Of another time than this it was told already, or comes from the page itself and has no time of ours.
        let is_new = self.is_raw || at == self.at;
        if self.seen.note(series.0, labels) && is_new {
            let takers = self.to.iter().filter(|receiver| !self.is_raw || receiver.takes_raw());
            takers.for_each(|receiver| receiver.add(series, labels, value, self.at));
        }
    }
}

/// Ends the series that were not kept.
struct End<'a> {
    to: &'a [Arc<Receiver>],
    kept: &'a Seen,
    is_raw: bool,
    at: Timestamp,
}

impl SampleSink for End<'_> {
    fn sample(&mut self, series: (&str, Kind), labels: &[(&str, &str)], _: f64, _: Timestamp) {
        if !self.kept.has(series.0, labels) {
            let takers = self.to.iter().filter(|receiver| !self.is_raw || receiver.takes_raw());
            takers.for_each(|receiver| receiver.add(series, labels, STALE, self.at));
        }
    }
}

/// Tells sums and notes their labels: there are few of them.
struct Sums<'a> {
    tell: Tell<'a>,
    told: Vec<Sum>,
}

impl SampleSink for Sums<'_> {
    fn sample(&mut self, series: (&str, Kind), labels: &[(&str, &str)], value: f64, at: Timestamp) {
        let owned = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.told.push((series.0.to_owned(), owned.collect()));
        self.tell.sample(series, labels, value, at);
    }
}
