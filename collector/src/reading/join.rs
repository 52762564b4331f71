//! Several pages of one host, read as one: each thing counts once.

use super::{Gather, MAX_SERVICES};

impl Gather {
    /// Adds what another page of the same host says. Of the host itself, its processors, memory and devices, the first
    /// page that tells counts, and so it is with units; sessions add.
    pub fn join(&mut self, other: Self) {
        if self.cpu_total == 0.0 {
            (self.cpu_idle, self.cpu_total) = (other.cpu_idle, other.cpu_total);
        }
        if self.memory_total.is_none() {
            self.memory_total = other.memory_total;
            self.memory_available = other.memory_available;
            self.memory_reclaimable = other.memory_reclaimable;
        }
        if self.devices.is_empty() {
            self.devices = other.devices;
        }
        if let Some(sessions) = other.sessions {
            self.sessions = Some(self.sessions.unwrap_or(0.0) + sessions);
        }
        self.counted.extend(other.counted);
        for unit in other.services {
            let is_known = self.services.iter().any(|known| (known.service, &known.unit) == (unit.service, &unit.unit));
            if !is_known && self.services.len() < MAX_SERVICES {
                self.services.push(unit);
            }
        }
        self.rungs.extend(other.rungs);
        self.rungs.truncate(MAX_SERVICES);
        self.services_unknown |= other.services_unknown;
        self.foreign.join(other.foreign);
        self.host = self.host.or(other.host);
    }

    /// Adds what exporters of others say of the services that no page of ours tells of: nobody is counted twice.
    pub(super) fn take_foreign(&mut self) {
        let is_told =
            |service| self.counted.contains(&service) || self.services.iter().any(|unit| unit.service == service);
        let (units, sessions) = std::mem::take(&mut self.foreign).beside(is_told);
        let room = MAX_SERVICES.saturating_sub(self.services.len());
        self.services.extend(units.into_iter().take(room));
        if let Some(sessions) = sessions {
            self.sessions = Some(self.sessions.unwrap_or(0.0) + sessions);
        }
    }
}
