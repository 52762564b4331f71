//! The fleet in few words, by country and by service: pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mect_fleet::uptime::uptime;
use mect_fleet::{FleetView, Health, ServerId, ServerView, Service, Timestamp, Transition};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest span of which uptime is told.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// Where servers stand of which nobody knows where.
const NOWHERE: &str = "Elsewhere";

/// How a part of the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Works,
    /// Some of it does not.
    Partly,
    Down,
    Maintenance,
    Unknown,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Partly => "partly down",
            Self::Down => "down",
            Self::Maintenance => "maintenance",
            Self::Unknown => "not known",
        }
    }

    /// The state of a server whose mark and colour it has.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Works => "active",
            Self::Partly => "degraded",
            Self::Down => "down",
            Self::Maintenance | Self::Unknown => "pending",
        }
    }

    /// The sentence for all of it.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Works => "Everything works",
            Self::Partly => "Some servers have trouble",
            Self::Down => "Nothing works at the moment",
            Self::Maintenance => "We are working on it",
            Self::Unknown => "Nothing is known yet",
        }
    }
}

/// What is counted of a part.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    well: usize,
    ill: usize,
    in_maintenance: usize,
}

impl Tally {
    const fn state(self) -> State {
        match (self.well, self.ill, self.in_maintenance) {
            (0, 0, 0) => State::Unknown,
            (0, 0, _) => State::Maintenance,
            (0, _, _) => State::Down,
            (_, 0, _) => State::Works,
            _ => State::Partly,
        }
    }

    fn add(&mut self, other: Self) {
        self.well += other.well;
        self.ill += other.ill;
        self.in_maintenance += other.in_maintenance;
    }
}

/// A country or service.
pub(super) struct Line {
    /// Of a country, if known.
    pub(super) code: String,
    pub(super) name: String,
    pub(super) state: State,
    /// Share of the last day and of the last 30 days in which its servers were not down, as text. Of a service: those
    /// that offer it now. History keeps the health of servers, not of their services one by one.
    pub(super) uptime: Option<(String, String)>,
}

/// Flips of health by server.
#[derive(Default)]
pub(super) struct Past {
    flips: HashMap<ServerId, Vec<Transition>>,
    /// Before, flips may be missing.
    since: Option<Timestamp>,
}

impl Past {
    /// Of flips as they are read, the newest first; from `most` on, older ones were left out.
    pub(super) fn new(newest_first: Vec<Transition>, most: usize) -> Self {
        let since = newest_first.last().filter(|_| newest_first.len() >= most).map(|last| last.at);
        let mut flips: HashMap<ServerId, Vec<Transition>> = HashMap::new();
        for flip in newest_first.into_iter().rev() {
            flips.entry(flip.server).or_default().push(flip);
        }
        Self { flips, since }
    }

    /// From then on all flips are known; `None`: all are.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    fn uptime(&self, view: &ServerView, span: Duration, now: Timestamp) -> Option<f64> {
        let from = self.since.map_or(now - span, |since| since.max(now - span));
        let flips = self.flips.get(&view.server.id).map(Vec::as_slice).unwrap_or_default();
        let first = flips.partition_point(|flip| flip.at < from);
        uptime(&view.standing, flips.get(first..).unwrap_or_default(), from..now)
    }
}

/// All that the page tells.
pub(super) struct Summary {
    pub(super) overall: State,
    pub(super) countries: Vec<Line>,
    pub(super) services: Vec<Line>,
}

/// What is gathered of a country or service.
#[derive(Default)]
struct Part {
    code: String,
    tally: Tally,
    day: Mean,
    month: Mean,
}

impl Part {
    fn line(self, name: String) -> Line {
        let uptime = self.day.text().zip(self.month.text());
        Line { code: self.code, name, state: self.tally.state(), uptime }
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn text(&self) -> Option<String> {
        // Rounded down: 100 % is said only of what was never down.
        let percent = self.sum / f64::from(self.count) * 100.0;
        (self.count > 0).then(|| format!("{:.1} %", (percent * 10.0 + 1e-6).floor() / 10.0))
    }
}

impl Summary {
    /// One pass over the servers that customers are meant to use.
    pub(super) fn of(view: &FleetView, past: Option<&Past>, now: Timestamp) -> Self {
        let (mut overall, mut countries) = (Tally::default(), BTreeMap::<String, Part>::new());
        let mut services = Service::ALL.map(|service| (service, Part::default()));
        for server in view.servers().iter().filter(|view| view.monitored && view.server.enabled) {
            let one = tally(server);
            overall.add(one);
            let place = &server.server.place;
            let name = [&place.country, &place.country_code].into_iter().find(|name| !name.is_empty());
            let country = countries.entry(name.map_or_else(|| NOWHERE.to_owned(), String::clone)).or_default();
            country.code.clone_from(&place.country_code);
            country.tally.add(one);
            let [day, month] = [DAY, LONGEST].map(|span| past.and_then(|past| past.uptime(server, span, now)));
            country.day.add(day);
            country.month.add(month);
            let reading = server.standing.reading.as_ref();
            for (service, part) in &mut services {
                let units = || {
                    reading.into_iter().flat_map(|reading| &reading.services).filter(|unit| unit.service == *service)
                };
                if units().next().is_none() {
                    continue;
                }
                let works = one.well > 0 && units().any(|unit| unit.active);
                let is_judged = one.in_maintenance == 0;
                part.day.add(day);
                part.month.add(month);
                part.tally.add(Tally {
                    well: usize::from(is_judged && works),
                    ill: usize::from(is_judged && !works),
                    in_maintenance: one.in_maintenance,
                });
            }
        }
        let services = services.into_iter().filter(|(_, part)| part.tally.state() != State::Unknown);
        Self {
            overall: overall.state(),
            countries: countries.into_iter().map(|(name, part)| part.line(name)).collect(),
            services: services.map(|(service, part)| part.line(service.name().to_owned())).collect(),
        }
    }
}

fn tally(view: &ServerView) -> Tally {
    let one = Tally::default();
    match view.health() {
        _ if view.in_maintenance => Tally { in_maintenance: 1, ..one },
        Health::Active | Health::Degraded => Tally { well: 1, ..one },
        Health::Down => Tally { ill: 1, ..one },
        Health::Pending => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_as_its_servers_are() {
        let state = |well, ill, in_maintenance| Tally { well, ill, in_maintenance }.state();
        assert_eq!(state(0, 0, 0), State::Unknown);
        assert_eq!(state(0, 0, 1), State::Maintenance);
        assert_eq!((state(0, 1, 1), state(1, 1, 0), state(1, 0, 1)), (State::Down, State::Partly, State::Works));
    }

    #[test]
    fn a_whole_hundred_is_said_only_of_what_was_never_down() {
        let mean = |values: &[f64]| {
            let mut mean = Mean::default();
            values.iter().for_each(|value| mean.add(Some(*value)));
            mean.text()
        };
        assert_eq!(mean(&[1.0, 1.0]).unwrap(), "100.0 %");
        assert_eq!(mean(&[1.0, 0.999_99]).unwrap(), "99.9 %");
        assert_eq!(mean(&[0.985]).unwrap(), "98.5 %");
        assert_eq!(mean(&[]), None);
    }
}
