//! The schedule: when each target is scraped. Pure: it is told the time and opens no socket.
//!
//! A target's regular ticks lie at `phase + n × interval`, with the phase drawn from its identity and pinned to
//! absolute time: the load is even, and a restarted collector keeps the rhythm. A target is either waiting here or
//! in flight, never both, so no target is ever scraped twice at once. A tick that passes while its target is in flight
//! is skipped and counted, never caught up in a burst.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use mect_fleet::ServerId;
use mect_fleet::shard::stable_hash;

/// After a start, targets are scraped for the first time at this rate, so that a small fleet is seen at once and a
/// large one does not begin with a burst: 5,000 targets spread over one interval of 120 s, more over no longer time.
const FIRST_SCRAPES_PER_INTERVAL: u32 = 5_000;
/// Two scrapes closer than this give rates that are mostly noise; a regular tick that close is skipped.
const MIN_GAP: Duration = Duration::from_secs(5);
/// A re-check comes at its delay ± a fifth, so that servers which fail together are not re-checked together.
const RECHECK_SPREAD: f64 = 0.2;
/// Re-checks may add this share to the base rate…
pub const RECHECK_SHARE: f64 = 0.1;
/// …and this many may happen in a burst: a fleet of 500 that loses half of its servers must know it in time. No more in
/// a larger one, whose servers are seen to fail one after the other: they would all be under way at once.
pub const RECHECK_BURST: u32 = 1000;

/// Overdue targets that were taken over are scraped within this time…
const OVERDUE_WITHIN: Duration = Duration::from_secs(5);
/// …or, where they are many, at this rate: a third of the largest fleet within 17 s.
const OVERDUE_PER_SECOND: u64 = 1000;

/// A point on the schedule's clock: milliseconds since the epoch that never step back.
pub type Tick = u64;

/// When each target is scraped.
pub struct Schedule {
    interval: u64,
    recheck: u64,
    waiting: BinaryHeap<Reverse<(Tick, ServerId, u32)>>,
    /// Generation of each target: an entry of an older one on the heap is void.
    targets: HashMap<ServerId, u32>,
    next_generation: u32,
    budget: RecheckBudget,
}

/// A target taken from the schedule, to be [put back](Schedule::put_back) when its scrape ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Flight {
    /// The server.
    pub server: ServerId,
    /// When it was due.
    pub due: Tick,
    generation: u32,
}

/// Why a target should come again before its next regular tick, if it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It need not.
    Regular,
    /// Its page was the first one: a second gives the rates. Once per target and start, so it needs no budget.
    ForRates,
    /// The next result may decide a flip of health.
    ToDecide,
}

/// When a target comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The time.
    pub due: Tick,
    /// Regular ticks that passed unused.
    pub skipped: u64,
}

impl Schedule {
    /// An empty schedule.
    pub fn new(interval: Duration, recheck: Duration) -> Self {
        Self {
            interval: millis(interval).max(1),
            recheck: millis(recheck),
            waiting: BinaryHeap::new(),
            targets: HashMap::new(),
            next_generation: 0,
            budget: RecheckBudget::default(),
        }
    }

    /// Targets known, waiting or in flight.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// True without targets.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Adds targets that are to be scraped from now on; each waits for its first scrape.
    pub fn add(&mut self, targets: &[ServerId], now: Tick) {
        let share = (targets.len() as f64 / f64::from(FIRST_SCRAPES_PER_INTERVAL)).min(1.0);
        for target in targets {
            self.next_generation = self.next_generation.wrapping_add(1);
            self.targets.insert(*target, self.next_generation);
            let due = now + (self.phase(*target) as f64 * share) as u64;
            self.waiting.push(Reverse((due, *target, self.next_generation)));
        }
    }

    /// Adds targets that somebody else has scraped so far, each with the time of its last scrape. Whoever is overdue is
    /// scraped within seconds, whoever is not at its next tick.
    pub fn take_over(&mut self, targets: &[(ServerId, Tick)], now: Tick) {
        let is_overdue = |(target, last): &(ServerId, Tick)| self.tick_after(*target, *last) <= now;
        let overdue = targets.iter().filter(|target| is_overdue(target)).count() as u64;
        let spread = (overdue * 1000 / OVERDUE_PER_SECOND).max(millis(OVERDUE_WITHIN)).min(self.interval);
        for (target, last) in targets {
            let next = self.tick_after(*target, *last);
            let due = if next > now { next } else { now + self.phase(*target) * spread / self.interval };
            self.next_generation = self.next_generation.wrapping_add(1);
            self.targets.insert(*target, self.next_generation);
            self.waiting.push(Reverse((due, *target, self.next_generation)));
        }
    }

    /// Lets a target that waits come at once, out of turn; it keeps its rhythm afterwards. The caller bounds how often.
    pub fn hasten(&mut self, target: ServerId, now: Tick) {
        if let Some(generation) = self.targets.get_mut(&target) {
            self.next_generation = self.next_generation.wrapping_add(1);
            *generation = self.next_generation;
            self.waiting.push(Reverse((now, target, self.next_generation)));
        }
    }

    /// Forgets a target, waiting or in flight.
    pub fn remove(&mut self, target: ServerId) {
        self.targets.remove(&target);
    }

    /// When the next target is due; `None` when all are in flight.
    pub fn next_due(&mut self) -> Option<Tick> {
        self.drop_void();
        self.waiting.peek().map(|Reverse((due, ..))| *due)
    }

    /// Takes the first target that is due at `now`; it is in flight from now on.
    pub fn take_due(&mut self, now: Tick) -> Option<Flight> {
        self.drop_void();
        let Reverse((due, server, generation)) = *self.waiting.peek()?;
        if due > now {
            return None;
        }
        self.waiting.pop();
        Some(Flight { server, due, generation })
    }

    /// True while the target of `flight` is still the one that was taken.
    pub fn is_current(&self, flight: &Flight) -> bool {
        self.targets.get(&flight.server) == Some(&flight.generation)
    }

    /// Puts a target that was in flight back to wait: for an early scrape if there is a reason for one before its next
    /// regular tick, and for a re-check budget left; else for that tick. `None`: it was removed, or replaced, meanwhile.
    pub fn put_back(&mut self, flight: &Flight, now: Tick, again: Again) -> Option<Next> {
        let &Flight { server, due, generation } = flight;
        if !self.is_current(flight) {
            return None;
        }
        let regular = self.tick_after(server, now + millis(MIN_GAP).min(self.interval / 4));
        let first_missed = self.tick_after(server, due);
        let skipped = if first_missed <= now { (now - first_missed) / self.interval + 1 } else { 0 };
        let early = now + self.recheck_delay(server, now);
        let granted = early < regular
            && match again {
                Again::Regular => false,
                Again::ForRates => true,
                Again::ToDecide => self.budget.take(now, self.targets.len(), self.interval),
            };
        let next = Next { due: if granted { early } else { regular }, skipped };
        self.waiting.push(Reverse((next.due, server, generation)));
        Some(next)
    }

    /// The first regular tick of `target` after `after`.
    fn tick_after(&self, target: ServerId, after: Tick) -> Tick {
        let phase = self.phase(target);
        let into = (after + self.interval - phase % self.interval) % self.interval;
        after + self.interval - into
    }

    fn phase(&self, target: ServerId) -> u64 {
        // The same in every collector: whoever takes a target over keeps its rhythm.
        stable_hash(&target.key()) % self.interval
    }

    fn recheck_delay(&self, target: ServerId, now: Tick) -> u64 {
        let mut lot = target.key().to_vec();
        lot.extend_from_slice(&now.to_le_bytes());
        let lot = stable_hash(&lot) as f64 / u64::MAX as f64;
        (self.recheck as f64 * (1.0 - RECHECK_SPREAD + 2.0 * RECHECK_SPREAD * lot)) as u64
    }

    fn drop_void(&mut self) {
        while let Some(Reverse((_, target, generation))) = self.waiting.peek() {
            if self.targets.get(target) == Some(generation) {
                return;
            }
            self.waiting.pop();
        }
    }
}

/// A token bucket that keeps re-checks from turning an outage of many servers into a storm.
#[derive(Default)]
struct RecheckBudget {
    spent: f64,
    refilled_at: Tick,
}

impl RecheckBudget {
    fn take(&mut self, now: Tick, targets: usize, interval: u64) -> bool {
        let per_milli = targets as f64 / interval as f64 * RECHECK_SHARE;
        let refill = now.saturating_sub(self.refilled_at) as f64 * per_milli;
        self.refilled_at = now;
        self.spent = (self.spent - refill).max(0.0);
        let granted = self.spent + 1.0 <= f64::from(RECHECK_BURST);
        self.spent += f64::from(u8::from(granted));
        granted
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
