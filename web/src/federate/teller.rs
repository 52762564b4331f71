//! The series of `/federate` for whoever sends them on by himself, server by server.

use std::sync::Arc;

use mect_fleet::collecting::{SeriesLabel, SeriesVisitor};
use mect_fleet::store::History;
use mect_fleet::{FleetView, ServerView, Timestamp};

use super::derived::Derived;
use super::narrowed::Narrowed;
use super::origin::Origin;
use super::raw::Raw;
use super::selector::Selector;
use super::sink::{Kind, Sink};
use super::{aggregates, further_endpoints};
use crate::pages::strips::{Flips, Strips};

/// Takes samples.
pub trait SampleSink {
    /// One sample of a series of that name and kind. Its `labels` are sorted by name, none is empty, and the series' name is
    /// not among them.
    fn sample(&mut self, series: (&str, Kind), labels: &[(&str, &str)], value: f64, at: Timestamp);
}

/// What is known of the past, for the uptimes of servers.
#[derive(Clone, Default)]
pub struct Uptimes(Option<Arc<Flips>>);

/// Tells series under the names and labels that they have on `/federate`, but for external ones.
pub struct Teller {
    everything: [Selector; 1],
    job: String,
    history: Arc<dyn History>,
    strips: Arc<Strips>,
}

impl Teller {
    /// Tells series with that label `job`; uptimes come from `history`.
    pub fn new(job: String, history: Arc<dyn History>) -> Self {
        Self { everything: [Selector::of_all()], job, history, strips: Arc::default() }
    }

    /// What is known of the past by now. Read once a minute at most; a store that is slow is not waited for.
    pub async fn uptimes(&self) -> Uptimes {
        Uptimes(self.strips.flips(&self.history).await)
    }

    /// Tells of the fleet and its countries in sums, as of `now`.
    pub fn fleet(&self, view: &FleetView, now: Timestamp, to: &mut dyn SampleSink) {
        aggregates::tell(&mut Flat { to }, &self.everything, view, &self.job, now);
    }

    /// Tells what we say of a server whose page is at `instance`, and of its further endpoints, as of `now`. Its latest
    /// scrape found `samples`, if it found a page.
    pub fn server(
        &self,
        (view, instance): (&ServerView, &str),
        samples: Option<u32>,
        uptimes: &Uptimes,
        now: Timestamp,
        to: &mut dyn SampleSink,
    ) {
        let origin = Origin::of_server(view, instance, &self.job);
        let mut narrowed = Narrowed::to(&self.everything, &origin);
        let mut sink = Flat { to };
        let mut derived = Derived { sink: &mut sink, narrowed: &mut narrowed, origin: &origin, now };
        derived.tell(view, samples.map(|samples| (now, samples)), uptimes.0.as_deref());
        for (endpoint, instance) in further_endpoints(view, instance) {
            let origin = Origin::of_server(view, instance, &self.job);
            let mut narrowed = Narrowed::to(&self.everything, &origin);
            Derived { sink: &mut sink, narrowed: &mut narrowed, origin: &origin, now }.endpoint(view, endpoint);
        }
    }

    /// Tells what a server says itself, on the page at `instance` and on those of its further endpoints; as of `now`.
    /// `visit` goes through the page of the main endpoint, or through that of the further one at a URL.
    pub fn pages(
        &self,
        (view, instance): (&ServerView, &str),
        now: Timestamp,
        to: &mut dyn SampleSink,
        visit: impl Fn(Option<&str>, &mut dyn SeriesVisitor),
    ) {
        let further = further_endpoints(view, instance).map(|(endpoint, instance)| (Some(&*endpoint.url), instance));
        for (url, instance) in std::iter::once((None, instance)).chain(further) {
            let origin = Origin::of_server(view, instance, &self.job);
            let mut narrowed = Narrowed::to(&self.everything, &origin);
            visit(url, &mut Raw::new(&mut Flat { to }, &mut narrowed, &origin, now));
        }
    }
}

/// Puts a series' own labels and those of its origin together.
struct Flat<'a> {
    to: &'a mut dyn SampleSink,
}

impl Sink for Flat<'_> {
    fn add(&mut self, series: (&str, Kind), origin: &Origin, labels: &[SeriesLabel<'_>], value: f64, at: Timestamp) {
        let own = labels.iter().map(|(name, value)| (&**name, &**value));
        let mut all: Vec<_> = own.chain(origin.labels()).filter(|(_, value)| !value.is_empty()).collect();
        all.sort_unstable();
        self.to.sample(series, &all, value, at);
    }
}
