//! The headline: the whole fleet in a few numbers.

use mect_fleet::{FleetView, Health};

use crate::pages::format;

/// Sums over the fleet.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Servers by state, in the order of [`Health::ALL`].
    states: [usize; Health::ALL.len()],
    /// Servers that clients are sent to.
    pub(crate) listed: usize,
    load_sum: f64,
    load_count: u32,
    /// Receive and transmit, of reachable servers that report them.
    traffic: Option<(f64, f64)>,
    sessions: Option<u64>,
}

impl Summary {
    /// One pass over the view.
    pub(crate) fn of(view: &FleetView) -> Self {
        let mut summary = Self::default();
        for server in view.servers() {
            let health = server.health();
            if let Some(index) = Health::ALL.iter().position(|state| *state == health) {
                summary.states[index] += 1;
            }
            summary.listed += usize::from(server.is_listed());
            if !health.is_reachable() {
                continue;
            }
            if let Some(load) = server.load() {
                summary.load_sum += f64::from(load);
                summary.load_count += 1;
            }
            let Some(reading) = &server.standing.reading else { continue };
            if let (Some(receive), Some(transmit)) =
                (reading.receive_bytes_per_second, reading.transmit_bytes_per_second)
            {
                let (received, transmitted) = summary.traffic.get_or_insert((0.0, 0.0));
                *received += receive;
                *transmitted += transmit;
            }
            if let Some(sessions) = reading.sessions {
                *summary.sessions.get_or_insert(0) += u64::from(sessions);
            }
        }
        summary
    }

    /// Servers in that state.
    pub(crate) fn count(&self, health: Health) -> usize {
        Health::ALL.iter().zip(self.states).find(|(state, _)| **state == health).map_or(0, |(_, count)| count)
    }

    /// Every server.
    pub(crate) fn total(&self) -> usize {
        self.states.iter().sum()
    }

    /// Mean bottleneck load of reachable servers.
    pub(crate) fn mean_load(&self) -> Option<f32> {
        (self.load_count > 0).then(|| (self.load_sum / f64::from(self.load_count)) as f32)
    }

    /// `receive, transmit` with units.
    pub(crate) fn traffic(&self) -> Option<(String, String)> {
        self.traffic.map(|(receive, transmit)| (format::bit_rate(receive), format::bit_rate(transmit)))
    }

    /// Clients connected.
    pub(crate) fn sessions(&self) -> Option<String> {
        self.sessions.map(format::count)
    }
}
