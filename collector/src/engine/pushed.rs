//! Servers that agents of the old system report: nobody scrapes them, their heartbeats come by themselves or do not.

use mect_fleet::collecting::Push;
use mect_fleet::{Failure, FailureReason, Outcome, Report, ServerId, Timestamp};

use super::{Engine, flight};

impl Engine {
    /// Takes what an agent reports of a server that is ours.
    pub(super) fn take_push(&mut self, push: Push) {
        let Some(epoch) = self.epoch_of_pushed(push.server) else { return };
        let Ok(place) = self.queue.clone().try_reserve_owned() else {
            self.queue_full = true;
            self.waiting = Some(push);
            return;
        };
        self.silence.heard(push.server, self.clock.now());
        let outcome = Outcome::Up(push.reading);
        self.shared.count(flight::result_of(&outcome));
        // Collectors that take turns at receiving have clocks of their own.
        let last = self.standings.get(&push.server).and_then(|standing| standing.last_scrape);
        let at = last.map_or(push.at, |last| push.at.max(last));
        self.fold(Report { server: push.server, at, duration_ms: 0, samples: 0, outcome }, None, epoch, place);
        self.watch.note(push.server, false, at);
    }

    /// Reports the servers whose agents were silent for too long.
    pub(super) fn tell_silent(&mut self) {
        let now = self.clock.now();
        // What agents send to collectors that cannot pass it on reaches nobody.
        if self.fleet.store_state().is_lost() {
            return self.silence.begin_anew(now);
        }
        while !self.term.is_over() {
            let Ok(place) = self.queue.clone().try_reserve_owned() else {
                self.queue_full = true;
                return;
            };
            let Some((server, doubt)) = self.silence.take_silent(now) else { return };
            let Some(epoch) = self.epoch_of_pushed(server) else { continue };
            let outcome = Outcome::Failed(Failure::new(FailureReason::Silent, ""));
            self.shared.count(flight::result_of(&outcome));
            let at = Timestamp::from_millis(now as i64);
            let report = Report { server, at, duration_ms: 0, samples: 0, outcome };
            let unverified = self.fold(report, doubt, epoch, place).state.unverified;
            self.watch.note(server, unverified, at);
        }
    }

    /// Epoch of the lease under which a server that an agent reports is ours; `None` when it is not.
    fn epoch_of_pushed(&self, server: ServerId) -> Option<u64> {
        self.targets.get(&server).map(|entry| &entry.target).filter(|target| target.page.is_none()).map(|t| t.epoch)
    }
}
