//! The headline: the whole fleet in a few numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mect_fleet::{FleetView, Health, Reading, ServerView, country};

use crate::pages::filter::State;
use crate::pages::format;

/// Tags that are offered to filter by; further ones can be typed.
const TAGS: usize = 200;

/// Sums over the fleet.
#[derive(Debug, Default, Clone)]
pub(crate) struct Summary {
    /// Servers by state, in the order of [`State::ALL`].
    states: [usize; State::ALL.len()],
    total: usize,
    /// Servers that clients are sent to.
    pub(crate) listed: usize,
    load: Mean,
    /// Receive and transmit, of reachable servers that report them.
    pub(crate) traffic: Option<(f64, f64)>,
    /// The busier direction of the servers whose capacity is known, and that capacity, in bytes per second.
    used: f64,
    capacity: f64,
    pub(crate) sessions: Option<u64>,
    /// Countries that have servers, by code; servers of which none is known stand under the empty one.
    pub(crate) countries: BTreeMap<String, Country>,
    /// Tags that are in use, with how many servers carry each.
    pub(crate) tags: Vec<(String, usize)>,
}

/// The servers of one country.
#[derive(Debug, Default, Clone)]
pub(crate) struct Country {
    pub(crate) name: String,
    pub(crate) servers: usize,
    pub(crate) degraded: usize,
    pub(crate) down: usize,
    pub(crate) unverified: usize,
    active: usize,
    load: Mean,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.count += 1;
    }

    fn value(self) -> Option<f32> {
        (self.count > 0).then(|| (self.sum / f64::from(self.count)) as f32)
    }
}

impl Country {
    fn add(&mut self, view: &ServerView) {
        self.servers += 1;
        match view.health() {
            Health::Active => self.active += 1,
            Health::Degraded => self.degraded += 1,
            Health::Down => self.down += 1,
            Health::Pending => {}
        }
        self.unverified += usize::from(view.is_unverified());
        if let Some(load) = view.load() {
            self.load.add(load);
        }
    }

    /// The worst state of a server there.
    pub(crate) fn worst(&self) -> &'static str {
        match self {
            Self { down: 1.., .. } => "down",
            Self { degraded: 1.., .. } => "degraded",
            Self { unverified: 1.., .. } => "unverified",
            Self { active: 1.., .. } => "active",
            _ => "pending",
        }
    }

    /// Mean bottleneck load of its reachable servers.
    pub(crate) fn mean_load(&self) -> Option<f32> {
        self.load.value()
    }
}

impl Summary {
    /// One pass over the view.
    pub(crate) fn of(view: &FleetView) -> Self {
        let mut summary = Self { total: view.servers().len(), ..Self::default() };
        let mut tags: BTreeMap<&str, usize> = BTreeMap::new();
        for server in view.servers() {
            summary.add(server);
            for tag in &server.server.tags {
                *tags.entry(tag.as_str()).or_default() += 1;
            }
        }
        summary.tags = tags.into_iter().take(TAGS).map(|(tag, count)| (tag.to_owned(), count)).collect();
        summary
    }

    fn add(&mut self, server: &ServerView) {
        for (state, count) in State::ALL.iter().zip(&mut self.states) {
            *count += usize::from(state.holds(server));
        }
        self.listed += usize::from(server.is_listed());
        let code = &server.server.place.country_code;
        match self.countries.get_mut(code) {
            Some(country) => country.add(server),
            None => {
                let mut first = Country { name: name(server), ..Country::default() };
                first.add(server);
                self.countries.insert(code.clone(), first);
            }
        }
        if let Some(load) = server.load() {
            self.load.add(load);
        }
        let Some(reading) = server.current_reading() else { return };
        if let (Some(receive), Some(transmit)) = (reading.receive_bytes_per_second, reading.transmit_bytes_per_second) {
            let (received, transmitted) = self.traffic.get_or_insert((0.0, 0.0));
            *received += receive;
            *transmitted += transmit;
            if let Some(capacity) = capacity(server, reading, receive.max(transmit)) {
                self.used += receive.max(transmit);
                self.capacity += capacity;
            }
        }
        if let Some(sessions) = reading.sessions {
            *self.sessions.get_or_insert(0) += u64::from(sessions);
        }
    }

    /// Servers in that state.
    pub(crate) fn count(&self, state: State) -> usize {
        State::ALL.iter().zip(self.states).find(|(known, _)| **known == state).map_or(0, |(_, count)| count)
    }

    /// Every server.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Mean bottleneck load of reachable servers.
    pub(crate) fn mean_load(&self) -> Option<f32> {
        self.load.value()
    }

    /// `receive, transmit` with units.
    pub(crate) fn traffic(&self) -> Option<(String, String)> {
        self.traffic.map(|(receive, transmit)| (format::bit_rate(receive), format::bit_rate(transmit)))
    }

    /// The share of the known capacity that is in use, and that capacity in bytes per second.
    pub(crate) fn capacity(&self) -> Option<(f32, f64)> {
        (self.capacity > 0.0).then(|| ((self.used / self.capacity) as f32, self.capacity))
    }

    /// Clients connected.
    pub(crate) fn sessions(&self) -> Option<String> {
        self.sessions.map(format::count)
    }
}

/// What the server's uplink carries, in bytes per second: what the operator says, else what its load follows from.
fn capacity(view: &ServerView, reading: &Reading, busier: f64) -> Option<f64> {
    let said = view.server.capacity_bytes_per_second.map(|capacity| capacity as f64);
    said.or_else(|| reading.net.filter(|net| *net > 0.0).map(|net| busier / f64::from(net)))
}

fn name(view: &ServerView) -> String {
    let place = &view.server.place;
    if !place.country.is_empty() {
        return place.country.clone();
    }
    let known = country::ALL.binary_search_by(|(code, _)| (*code).cmp(&place.country_code)).ok();
    known
        .and_then(|place| country::ALL.get(place))
        .map_or_else(|| place.country_code.clone(), |(_, name)| (*name).to_owned())
}

/// In a fleet of more servers, a summary is good for a moment longer than its view.
const LARGE: usize = 5_000;
/// That moment. An edit is seen at once in any fleet.
const MOMENT: Duration = Duration::from_secs(2);

/// The latest summary, made once for all readers.
#[derive(Default)]
pub(crate) struct Summaries(Mutex<Option<Kept>>);

struct Kept {
    at: Instant,
    version: u64,
    inventory_version: u64,
    summary: Arc<Summary>,
}

impl Kept {
    fn is_good_for(&self, view: &FleetView) -> bool {
        let is_recent = view.servers().len() > LARGE && self.at.elapsed() < MOMENT;
        self.version == view.version() || is_recent && self.inventory_version == view.inventory_version()
    }
}

impl Summaries {
    /// The summary of `view`.
    pub(crate) fn of(&self, view: &FleetView) -> Arc<Summary> {
        // Held while summing up: the first reader works, the others take what it made.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_good_for(view)) {
            return Arc::clone(&kept.summary);
        }
        let summary = Arc::new(Summary::of(view));
        let (version, inventory_version) = (view.version(), view.inventory_version());
        *kept = Some(Kept { at: Instant::now(), version, inventory_version, summary: Arc::clone(&summary) });
        summary
    }
}
