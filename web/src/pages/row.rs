//! One server as a row of the fleet page: every text ready, so that the template only places it.

use mect_fleet::reading::{RUNGS, percent};
use mect_fleet::{Health, Period, Reading, Rule, ServerView, Service, Timestamp};

use crate::pages::format;
use crate::pages::strips::Strip;

/// From here on a load is worth a look, and from the second on a worry.
pub(crate) const WARM: f64 = 70.0;
pub(crate) const HOT: f64 = 90.0;

/// From this rung on clients can connect.
const BOUND: u8 = 3;

/// An instant for a `<time>` element.
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) machine: String,
    /// UTC in full.
    pub(crate) full: String,
    /// Relative to now.
    pub(crate) relative: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { machine: at.to_string(), full: format::utc(at), relative: format::ago(now.since(at)) }
    }
}

/// A kind of service on a host.
pub(crate) struct Chip {
    pub(crate) code: &'static str,
    /// Every unit, some units or no unit is active: `on`, `part`, `off`.
    pub(crate) class: &'static str,
    /// The lowest rung of its units, of five, where the page says.
    pub(crate) rung: Option<u8>,
    pub(crate) title: String,
}

/// One of the three loads.
pub(crate) struct Bar {
    pub(crate) label: &'static str,
    /// Percent, one decimal; `None` when unknown.
    pub(crate) width: Option<String>,
    pub(crate) text: String,
    pub(crate) class: &'static str,
}

/// A flag that an operator sets.
pub(crate) struct Flag {
    pub(crate) field: &'static str,
    pub(crate) label: &'static str,
    pub(crate) on: bool,
    pub(crate) title: &'static str,
}

/// A server.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) ip: String,
    pub(crate) hostname: String,
    pub(crate) health: &'static str,
    /// No check for too long.
    pub(crate) stale: bool,
    /// Would be down, were its failures not doubted.
    pub(crate) unverified: bool,
    /// What the operator wants for a while: the word, and the sentence that explains it.
    pub(crate) intents: Vec<(&'static str, String)>,
    /// What is wrong, if anything.
    pub(crate) trouble: Option<String>,
    pub(crate) country_code: String,
    /// The city, else the country: the code beside it says the rest.
    pub(crate) city: String,
    /// City, region and country as far as known.
    pub(crate) place: String,
    pub(crate) chips: Vec<Chip>,
    pub(crate) bars: [Bar; 3],
    pub(crate) sessions: String,
    pub(crate) heartbeat: Option<Moment>,
    pub(crate) flags: [Flag; 4],
    pub(crate) tags: Vec<String>,
    /// The last 30 days, if the store tells.
    pub(crate) strip: Option<Strip>,
}

impl Row {
    pub(crate) fn new(view: &ServerView, rule: &Rule, now: Timestamp) -> Self {
        let (server, place) = (&*view.server, &view.server.place);
        let reading = view.standing.reading.as_ref();
        let current = view.current_reading();
        Self {
            id: server.id.to_string(),
            ip: server.ip.clone(),
            hostname: server.hostname.clone(),
            health: view.health().name(),
            stale: view.stale,
            unverified: view.is_unverified(),
            intents: intents(view),
            trouble: trouble(view, rule, now),
            country_code: place.country_code.clone(),
            city: if place.city.is_empty() { place.country.clone() } else { place.city.clone() },
            place: joined(&[&place.city, &place.region, &place.country]),
            chips: reading.map(|reading| chips(reading, current.is_some())).unwrap_or_default(),
            bars: [
                bar("CPU", current.and_then(|reading| reading.cpu)),
                bar("RAM", current.and_then(|reading| reading.ram)),
                bar("Net", current.and_then(|reading| reading.net)),
            ],
            sessions: current.and_then(|reading| reading.sessions).map_or_else(|| "–".to_owned(), format::count),
            heartbeat: view.standing.last_heartbeat.map(|at| Moment::new(at, now)),
            flags: [
                Flag { field: "enabled", label: "Listed", on: server.enabled, title: "Offered to clients" },
                Flag { field: "gaming", label: "Gaming", on: server.gaming, title: "Offered for games" },
                Flag { field: "streaming", label: "Streaming", on: server.streaming, title: "Offered for streaming" },
                Flag { field: "paid", label: "Paid", on: server.paid, title: "For paying clients only" },
            ],
            tags: server.tags.iter().map(ToString::to_string).collect(),
            strip: None,
        }
    }
}

/// What the operator wants of the server, as long as it lasts.
fn intents(view: &ServerView) -> Vec<(&'static str, String)> {
    let sentence = |what: &str, period: Option<Period>| match period.and_then(|period| period.until) {
        Some(until) => format!("{what} until {}", format::utc(until)),
        None => format!("{what} until an operator ends it"),
    };
    let server = &view.server;
    let draining = view.draining.then(|| ("draining", sentence("New clients go elsewhere", server.draining)));
    let maintenance =
        view.in_maintenance.then(|| ("maintenance", sentence("Clients go elsewhere", server.maintenance)));
    let waiting = "It announced itself: let it in to have it scraped".to_owned();
    let waiting = server.awaits_approval.then_some(("waits", waiting));
    [draining, maintenance, waiting].into_iter().flatten().collect()
}

/// What is known of a place, without saying the same twice (Singapore, Singapore).
fn joined(parts: &[&str]) -> String {
    let mut known: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    known.dedup();
    known.join(", ")
}

/// The sentence under the state: the failure with how often or how long, or the units that are not active.
fn trouble(view: &ServerView, rule: &Rule, now: Timestamp) -> Option<String> {
    let (standing, state) = (&view.standing, &view.standing.state);
    if !view.monitored {
        return Some("no target: not scraped".to_owned());
    }
    if let Some(failure) = &standing.last_failure {
        return Some(match (view.health(), state.since) {
            (Health::Down, Some(since)) => format!("{failure}, down for {}", format::span(now.since(since))),
            _ if failure.reason.is_local() || state.failures == 0 => failure.to_string(),
            _ if view.is_unverified() => format!("{failure}; our own network may be to blame"),
            _ => format!("{failure} ({} of {} checks)", state.counted, rule.fall),
        });
    }
    let reading = standing.reading.as_ref()?;
    match view.health() {
        Health::Down => Some(format!("answers again ({} of {} checks)", state.successes, rule.rise)),
        Health::Degraded => {
            let units: Vec<&str> =
                reading.services.iter().filter(|unit| !unit.active).map(|unit| &*unit.unit).collect();
            let units = (!units.is_empty()).then(|| format!("not active: {}", units.join(", ")));
            let lost = reading
                .lost_endpoints(rule.fall)
                .filter_map(|endpoint| Some(format!("{}: {}", endpoint.url, endpoint.failure.as_ref()?)));
            let troubles: Vec<String> = units.into_iter().chain(lost).collect();
            (!troubles.is_empty()).then(|| troubles.join("; "))
        }
        _ => None,
    }
}

fn chips(reading: &Reading, is_current: bool) -> Vec<Chip> {
    let chip = |service: Service| {
        let units: Vec<_> = reading.services.iter().filter(|unit| unit.service == service).collect();
        let active = units.iter().filter(|unit| unit.active).count();
        let rung = units.iter().filter_map(|unit| unit.rung).min();
        let word = rung.and_then(|rung| RUNGS.get(usize::from(rung)));
        let class = match active {
            _ if !is_current => "unknown",
            0 => "off",
            active if active < units.len() => "part",
            _ if rung.is_some_and(|rung| rung < BOUND) => "part",
            _ => "on",
        };
        let when = if is_current { "" } else { " at the last heartbeat" };
        let reached = word.map_or_else(String::new, |word| format!(", {word}"));
        let title = format!("{}: {active} of {} active{reached}{when}", service.name(), units.len());
        (!units.is_empty()).then_some(Chip { code: service.code(), class, rung, title })
    };
    Service::ALL.into_iter().filter_map(chip).collect()
}

fn bar(label: &'static str, ratio: Option<f32>) -> Bar {
    let percent = ratio.map(percent);
    Bar {
        label,
        width: percent.map(|percent| format!("{percent:.1}")),
        text: percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.0} %")),
        class: match percent {
            Some(percent) if percent >= HOT => "hot",
            Some(percent) if percent >= WARM => "warm",
            _ => "cool",
        },
    }
}
