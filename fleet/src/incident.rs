//! Incidents: what went wrong, from its beginning to its end. Pure: told by flips of health and by events.
//!
//! Servers that go down within [`TOGETHER`] of the first of them are one incident: they mostly have one cause, and it
//! takes that long until all of them are known to be down.

use std::collections::HashMap;
use std::time::Duration;

use crate::health::{Health, Transition};
use crate::report::FailureReason;
use crate::server::ServerId;
use crate::store::{Event, EventKind};
use crate::time::Timestamp;

/// The longest time from the end of a host until it is judged down.
pub const TOGETHER: Duration = Duration::from_secs(200);

/// What an incident is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncidentKind {
    /// Servers are down.
    ServersDown,
    /// The database does not answer.
    StoreLost,
    /// A collector ended without saying so.
    CollectorLost,
    /// A collector cannot tell whether servers are down or its own network is.
    Unverified,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::ServersDown, Self::StoreLost, Self::CollectorLost, Self::Unverified];

    /// The word in REST.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServersDown => "servers_down",
            Self::StoreLost => "store_lost",
            Self::CollectorLost => "collector_lost",
            Self::Unverified => "unverified",
        }
    }
}

/// A server's part in an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The server.
    pub server: ServerId,
    /// When it went down.
    pub down_at: Timestamp,
    /// When it was back, or removed from the inventory.
    pub back_at: Option<Timestamp>,
    /// Why it went down.
    pub reason: Option<FailureReason>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What.
    pub kind: IncidentKind,
    /// When it began.
    pub opened_at: Timestamp,
    /// When all of it was over; `None` while it is not.
    pub closed_at: Option<Timestamp>,
    /// The servers that were down, in the order in which they went.
    pub servers: Vec<Affected>,
    /// The rest, for a person: what the database said, which collector it was. May be empty.
    pub detail: String,
}

impl Incident {
    fn new(kind: IncidentKind, opened_at: Timestamp, detail: &str) -> Self {
        Self { kind, opened_at, closed_at: None, servers: Vec::new(), detail: detail.to_owned() }
    }

    /// From its beginning to its end, or to `now`.
    pub fn duration(&self, now: Timestamp) -> Duration {
        self.closed_at.unwrap_or(now).since(self.opened_at)
    }
}

/// The incidents that `transitions` and `events` tell of, both oldest first; those that opened first come first. What
/// was wrong before the first of them is not known, and neither is its end.
pub fn incidents(transitions: &[Transition], events: &[Event]) -> Vec<Incident> {
    let mut told = Told::default();
    let mut events = events.iter().peekable();
    for transition in transitions {
        while let Some(event) = events.next_if(|event| event.at < transition.at) {
            told.event(event);
        }
        told.transition(transition);
    }
    events.for_each(|event| told.event(event));
    let mut incidents = told.incidents;
    incidents.sort_by_key(|incident| incident.opened_at);
    incidents
}

/// What was told so far.
#[derive(Default)]
struct Told {
    incidents: Vec<Incident>,
    /// Servers that are down: the places of their incident and of themselves in it.
    down: HashMap<ServerId, (usize, usize)>,
    /// How many servers of an incident are down yet.
    left: HashMap<usize, usize>,
    /// The newest incident of servers.
    newest: Option<usize>,
    /// The open one of the store.
    store: Option<usize>,
    /// Open ones of collectors, by what their events say of them.
    collectors: HashMap<String, usize>,
    /// The open one of our own network.
    unverified: Option<usize>,
}

impl Told {
    fn transition(&mut self, transition: &Transition) {
        match (transition.from, transition.to) {
            (_, Health::Down) => self.down(transition),
            (Health::Down, _) => self.back(transition.server, transition.at),
            _ => {}
        }
    }

    fn down(&mut self, transition: &Transition) {
        let (server, at) = (transition.server, transition.at);
        if self.down.contains_key(&server) {
            return;
        }
        let joins = |incident: &Incident| incident.closed_at.is_none() && at.since(incident.opened_at) <= TOGETHER;
        let place = match self.newest.filter(|place| self.incidents.get(*place).is_some_and(joins)) {
            Some(place) => place,
            None => self.open(IncidentKind::ServersDown, at, ""),
        };
        self.newest = Some(place);
        let Some(incident) = self.incidents.get_mut(place) else { return };
        self.down.insert(server, (place, incident.servers.len()));
        *self.left.entry(place).or_default() += 1;
        incident.servers.push(Affected { server, down_at: at, back_at: None, reason: transition.reason });
    }

    fn back(&mut self, server: ServerId, at: Timestamp) {
        let Some((place, part)) = self.down.remove(&server) else { return };
        if let Some(affected) = self.incidents.get_mut(place).and_then(|incident| incident.servers.get_mut(part)) {
            affected.back_at = Some(at);
        }
        let left = self.left.entry(place).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.close(place, at);
        }
    }

    fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::StoreLost if self.store.is_none() => {
                self.store = Some(self.open(IncidentKind::StoreLost, event.at, &event.detail));
            }
            EventKind::StoreBack => {
                if let Some(place) = self.store.take() {
                    self.close(place, event.at);
                }
            }
            EventKind::CollectorLost if !self.collectors.contains_key(&event.detail) => {
                let place = self.open(IncidentKind::CollectorLost, event.at, &event.detail);
                self.collectors.insert(event.detail.clone(), place);
            }
            EventKind::CollectorJoined => {
                if let Some(place) = self.collectors.remove(&event.detail) {
                    self.close(place, event.at);
                }
            }
            EventKind::Unverified if self.unverified.is_none() => {
                self.unverified = Some(self.open(IncidentKind::Unverified, event.at, &event.detail));
            }
            EventKind::Verified => {
                if let Some(place) = self.unverified.take() {
                    self.close(place, event.at);
                }
            }
            EventKind::ServerRemoved => {
                if let Some(server) = event.server {
                    self.back(server, event.at);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, kind: IncidentKind, at: Timestamp, detail: &str) -> usize {
        self.incidents.push(Incident::new(kind, at, detail));
        self.incidents.len() - 1
    }

    fn close(&mut self, place: usize, at: Timestamp) {
        if let Some(incident) = self.incidents.get_mut(place) {
            incident.closed_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ServerId {
        ServerId::from_key([b'a' + n; 8]).unwrap()
    }

    fn flip(at: i64, n: u8, from: Health, to: Health) -> Transition {
        let reason = (to == Health::Down).then_some(FailureReason::ConnTimeout);
        Transition { server: id(n), number: 1, at: Timestamp::from_secs(at), from, to, reason, checks: 3 }
    }

    fn falls(at: i64, n: u8) -> Transition {
        flip(at, n, Health::Active, Health::Down)
    }

    fn returns(at: i64, n: u8) -> Transition {
        flip(at, n, Health::Down, Health::Active)
    }

    fn event(at: i64, kind: EventKind, detail: &str) -> Event {
        Event { at: Timestamp::from_secs(at), kind, server: None, detail: detail.to_owned() }
    }

    /// Kind, beginning, end and number of servers.
    fn told(transitions: &[Transition], events: &[Event]) -> Vec<(&'static str, i64, Option<i64>, usize)> {
        let short = |incident: &Incident| {
            let closed = incident.closed_at.map(Timestamp::as_secs);
            (incident.kind.name(), incident.opened_at.as_secs(), closed, incident.servers.len())
        };
        incidents(transitions, events).iter().map(short).collect()
    }

    #[test]
    fn a_server_that_falls_and_returns_is_an_incident() {
        let story = [flip(1, 0, Health::Pending, Health::Active), falls(10, 0), returns(70, 0), falls(500, 0)];
        assert_eq!(told(&story, &[]), [("servers_down", 10, Some(70), 1), ("servers_down", 500, None, 1)]);
        let first = &incidents(&story, &[])[0];
        assert_eq!(first.duration(Timestamp::from_secs(1000)), Duration::from_secs(60));
        assert_eq!(first.servers[0].reason, Some(FailureReason::ConnTimeout));
        assert_eq!(incidents(&story, &[])[1].duration(Timestamp::from_secs(1000)), Duration::from_secs(500));
    }

    #[test]
    fn servers_that_fall_together_are_one_incident_until_the_last_is_back() {
        let story = [
            falls(100, 0),
            falls(150, 1),
            returns(200, 0),
            falls(300, 2),
            // Too long after the first.
            falls(301, 3),
            returns(400, 1),
            returns(450, 2),
            returns(500, 3),
        ];
        assert_eq!(told(&story, &[]), [("servers_down", 100, Some(450), 3), ("servers_down", 301, Some(500), 1)]);
        let backs: Vec<_> =
            incidents(&story, &[])[0].servers.iter().map(|part| part.back_at.unwrap().as_secs()).collect();
        assert_eq!(backs, [200, 400, 450]);
    }

    #[test]
    fn who_falls_again_after_the_end_opens_another_one() {
        let story = [falls(100, 0), returns(110, 0), falls(120, 0)];
        assert_eq!(told(&story, &[]), [("servers_down", 100, Some(110), 1), ("servers_down", 120, None, 1)]);
        // Within one that others hold open it is part of that again.
        let story = [falls(100, 0), falls(101, 1), returns(110, 0), falls(120, 0)];
        assert_eq!(told(&story, &[]), [("servers_down", 100, None, 3)]);
    }

    #[test]
    fn a_removed_server_is_no_incident_any_more() {
        let removed = Event { server: Some(id(0)), ..event(50, EventKind::ServerRemoved, "silent") };
        assert_eq!(told(&[falls(10, 0)], &[removed]), [("servers_down", 10, Some(50), 1)]);
    }

    #[test]
    fn store_and_collectors_are_lost_and_come_back() {
        let events = [
            event(10, EventKind::StoreLost, "no primary"),
            event(12, EventKind::StoreLost, "no primary"),
            event(20, EventKind::CollectorLost, "two (b)"),
            event(30, EventKind::StoreBack, ""),
            event(35, EventKind::CollectorJoined, "one (a)"),
            event(40, EventKind::CollectorLeft, "one (a)"),
            event(60, EventKind::CollectorJoined, "two (b)"),
            event(70, EventKind::StoreLost, "no primary"),
        ];
        let expected =
            [("store_lost", 10, Some(30), 0), ("collector_lost", 20, Some(60), 0), ("store_lost", 70, None, 0)];
        assert_eq!(told(&[], &events), expected);
        assert_eq!(incidents(&[], &events)[0].detail, "no primary");
    }

    #[test]
    fn a_return_without_a_beginning_tells_nothing() {
        assert!(told(&[returns(10, 0)], &[event(5, EventKind::StoreBack, "")]).is_empty());
    }

    #[test]
    fn servers_that_nobody_can_verify_are_one_incident() {
        let events = [
            event(10, EventKind::Unverified, "3 servers"),
            event(20, EventKind::Unverified, "again, after a restart"),
            event(50, EventKind::Verified, ""),
            event(60, EventKind::Verified, "again"),
            event(90, EventKind::Unverified, "1 server"),
        ];
        assert_eq!(told(&[], &events), [("unverified", 10, Some(50), 0), ("unverified", 90, None, 0)]);
    }
}
