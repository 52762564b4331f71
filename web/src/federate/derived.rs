//! What we say of each server beside what it says itself: how its scrapes went, how it is judged, what the operator wants.
//!
//! What a scrape told has that scrape's time. What is judged, or wanted, can change without a scrape, and has the time of
//! the question: the same time twice with another value would be refused by whoever stores it.

use std::borrow::Cow;
use std::time::Duration;

use mect_fleet::collecting::SeriesLabel;
use mect_fleet::reading::percent;
use mect_fleet::{EndpointReading, Health, ServerView, Timestamp, ranking};

use super::narrowed::Narrowed;
use super::origin::Origin;
use super::sink::{Kind, Sink};
use super::{DAY, LOOKBACK, UPTIME};
use crate::pages::strips::Flips;

/// The spans of [`UPTIME`].
const SPANS: [(&str, Duration); 3] =
    [("24h", DAY), ("7d", Duration::from_secs(7 * 86_400)), ("30d", Duration::from_secs(30 * 86_400))];

/// True for a name that only we give: a page that has it too would be taken for us.
pub(super) fn is_ours(name: &str) -> bool {
    matches!(name, "up" | "scrape_duration_seconds" | "scrape_samples_scraped") || begins_as_ours(name)
}

/// True for the start of names that only we give.
pub(super) fn begins_as_ours(start: &str) -> bool {
    ["vpn_server_", "vpn_fleet_", "vpn_country_"].iter().any(|prefix| start.starts_with(prefix))
}

/// Tells of one server.
pub(super) struct Derived<'a, 'b> {
    pub(super) sink: &'a mut dyn Sink,
    pub(super) narrowed: &'a mut Narrowed<'b>,
    pub(super) origin: &'a Origin,
    pub(super) now: Timestamp,
}

impl Derived<'_, '_> {
    /// Adds the series that are asked for. `samples` are those of its latest page, with that page's time.
    pub(super) fn tell(&mut self, view: &ServerView, samples: Option<(Timestamp, u32)>, flips: Option<&Flips>) {
        self.wanted(view);
        if !view.monitored {
            return;
        }
        self.scrape(view, samples);
        self.reading(view);
        // Of a server that nobody looked at lately nobody can say how it is.
        if !view.stale {
            self.judged(view, flips);
        }
    }

    /// What the operator wants, and what does not change.
    fn wanted(&mut self, view: &ServerView) {
        let (server, now) = (&*view.server, self.now);
        let place = &server.place;
        let info = [
            ("city", &place.city),
            ("country", &place.country),
            ("hostname", &server.hostname),
            ("region", &place.region),
        ];
        let info = info.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value.as_str())));
        self.gauge("vpn_server_info", &info, 1.0, now);
        for (intent, holds) in [
            ("enabled", server.enabled),
            ("approved", !server.awaits_approval),
            ("draining", view.draining),
            ("maintenance", view.in_maintenance),
        ] {
            self.gauge("vpn_server_intent", &[label("intent", intent)], truth(holds), now);
        }
        self.gauge("vpn_server_monitored", &[], truth(view.monitored), now);
        if let Some(at) = view.standing.last_heartbeat {
            let seconds = at.as_millis() as f64 / 1000.0;
            self.gauge("vpn_server_last_success_timestamp_seconds", &[], seconds, now);
        }
    }

    /// As Prometheus tells of its own scrapes.
    fn scrape(&mut self, view: &ServerView, samples: Option<(Timestamp, u32)>) {
        let standing = &view.standing;
        let Some(at) = standing.last_scrape.filter(|at| self.is_fresh(*at)) else { return };
        // Not by the latest failure: a fault of our own leaves one behind, and tells nothing of the server.
        let is_up = standing.last_heartbeat == Some(at);
        self.gauge("up", &[], truth(is_up), at);
        self.gauge("scrape_duration_seconds", &[], f64::from(standing.last_duration_ms) / 1000.0, at);
        // An agent that reports by itself has no page.
        if view.server.pushed && view.server.target.is_none() {
            return;
        }
        // Of the page that is kept now, which may be newer than the view.
        match samples.filter(|(of, _)| self.is_fresh(*of)) {
            Some((of, samples)) => self.gauge("scrape_samples_scraped", &[], f64::from(samples), of),
            None if !is_up => self.gauge("scrape_samples_scraped", &[], 0.0, at),
            None => {}
        }
    }

    /// The same of a further endpoint, as the latest heartbeat says; nothing once the main one failed.
    pub(super) fn endpoint(&mut self, view: &ServerView, endpoint: &EndpointReading) {
        let standing = &view.standing;
        let at = standing.last_heartbeat.filter(|at| standing.last_scrape == Some(*at) && self.is_fresh(*at));
        let Some(at) = at else { return };
        self.gauge("up", &[], truth(endpoint.failure.is_none()), at);
        self.gauge("scrape_duration_seconds", &[], f64::from(endpoint.duration_ms) / 1000.0, at);
        self.gauge("scrape_samples_scraped", &[], f64::from(endpoint.samples), at);
    }

    /// What the latest page came to.
    fn reading(&mut self, view: &ServerView) {
        let at = view.standing.last_heartbeat.filter(|at| self.is_fresh(*at));
        let (Some(at), Some(reading)) = (at, view.current_reading()) else { return };
        for (resource, share) in [("cpu", reading.cpu), ("ram", reading.ram), ("net", reading.net)] {
            if let Some(share) = share {
                self.gauge("vpn_server_resource_ratio", &[label("resource", resource)], ratio(share), at);
            }
        }
        if let Some(load) = reading.load() {
            self.gauge("vpn_server_load_ratio", &[], ratio(load), at);
            self.gauge("vpn_server_headroom_ratio", &[], ratio(1.0 - load), at);
        }
        if let Some(sessions) = reading.sessions {
            self.gauge("vpn_server_sessions", &[], f64::from(sessions), at);
        }
        for (name, rate) in [
            ("vpn_server_receive_bytes_per_second", reading.receive_bytes_per_second),
            ("vpn_server_transmit_bytes_per_second", reading.transmit_bytes_per_second),
        ] {
            if let Some(rate) = rate {
                self.gauge(name, &[], rate, at);
            }
        }
        for (service, is_active) in reading.by_service() {
            self.gauge("vpn_server_service_active", &[label("service", service.code())], truth(is_active), at);
        }
    }

    fn judged(&mut self, view: &ServerView, flips: Option<&Flips>) {
        let now = self.now;
        for health in Health::ALL {
            let is_so = view.health() == health;
            self.gauge("vpn_server_state", &[label("state", health.name())], truth(is_so), now);
        }
        self.gauge("vpn_server_unverified", &[], truth(view.is_unverified()), now);
        self.gauge("vpn_server_listed", &[], truth(view.is_listed()), now);
        if view.is_listed() {
            self.gauge("vpn_server_score", &[], ranking::score(view).total(), now);
        }
        for (window, span) in SPANS {
            if let Some(share) = flips.and_then(|flips| flips.uptime(view, span, now)) {
                self.gauge(UPTIME, &[label("window", window)], share, now);
            }
        }
    }

    fn is_fresh(&self, at: Timestamp) -> bool {
        self.now.since(at) <= LOOKBACK
    }

    fn gauge(&mut self, name: &str, labels: &[SeriesLabel<'_>], value: f64, at: Timestamp) {
        if self.narrowed.wants(name) && self.narrowed.accepts(labels) {
            self.sink.add((name, Kind::Gauge), self.origin, labels, value, at);
        }
    }
}

fn label<'a>(name: &'a str, value: &'a str) -> SeriesLabel<'a> {
    (Cow::Borrowed(name), Cow::Borrowed(value))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// With the four decimals that REST shows as two of a percentage.
fn ratio(share: f32) -> f64 {
    (percent(share) * 100.0).round() / 10_000.0
}
