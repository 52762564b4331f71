//! Silence: which of the servers that agents report have not been heard of for too long. Pure: it is told the time.
//!
//! Nobody scrapes these servers, so only a silence can tell that they are down. A silence that is ours counts for
//! nothing: patience begins anew when a server comes under our watch, and for all when we could not hear ourselves. And
//! when nobody else is heard either, or half of them fall silent together, it is more likely that none can reach us.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mect_fleet::{Doubt, ServerId};

use crate::schedule::Tick;

/// Whoever looks later than this after a deadline slept himself, as in a suspended machine, and heard nobody.
const OVERSLEPT: Tick = 10_000;
/// Who was heard within this share of the patience is not late: agents report twice within it, and some a little late.
const FRESH: f64 = 0.625;
/// Half of the servers is a mass, if there are at least so many of them late.
const MASS_AT_LEAST: usize = 2;
/// A mass that lasts for so many ends of patience is the truth.
const MASS_DOUBTS: u8 = 3;

/// What is known of a server under watch.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// When it was heard last, or came under watch.
    at: Tick,
    /// When the patience with it ends.
    end: Tick,
    /// It was well, as far as is known.
    well: bool,
    /// Times in a row that its silence was one of a mass.
    mass: u8,
}

/// The servers under watch, each with the end of the patience for it.
pub struct Silence {
    patience: Tick,
    of: HashMap<ServerId, Heard>,
    ends: BTreeSet<(Tick, ServerId)>,
    /// Those that were well, by when they were heard.
    well: BTreeSet<(Tick, ServerId)>,
}

impl Silence {
    /// Watches nobody yet; a server is silent after `patience`.
    pub fn new(patience: Duration) -> Self {
        let patience = Tick::try_from(patience.as_millis()).unwrap_or(Tick::MAX);
        Self { patience, of: HashMap::new(), ends: BTreeSet::new(), well: BTreeSet::new() }
    }

    /// Patience with a server begins, or begins anew: it was heard, or comes under watch.
    pub fn heard(&mut self, server: ServerId, now: Tick) {
        self.put(server, Heard { at: now, end: now.saturating_add(self.patience), well: true, mass: 0 });
    }

    /// No longer watches a server.
    pub fn forget(&mut self, server: ServerId) {
        if let Some(Heard { at, end, .. }) = self.of.remove(&server) {
            self.ends.remove(&(end, server));
            self.well.remove(&(at, server));
        }
    }

    fn put(&mut self, server: ServerId, heard: Heard) {
        self.forget(server);
        self.of.insert(server, heard);
        self.ends.insert((heard.end, server));
        if heard.well {
            self.well.insert((heard.at, server));
        }
    }

    /// When the next patience ends.
    pub fn next_end(&self) -> Option<Tick> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// The first server whose silence lasted too long at `now`, and why that may not be its fault. It is told again when
    /// it stays silent.
    pub fn take_silent(&mut self, now: Tick) -> Option<(ServerId, Option<Doubt>)> {
        let (end, server) = *self.ends.first().filter(|(end, _)| *end <= now)?;
        if now - end > OVERSLEPT {
            self.begin_anew(now);
            return None;
        }
        let known = *self.of.get(&server)?;
        let doubt = self.doubt(&known, now);
        let mass = if doubt == Some(Doubt::Mass) { known.mass + 1 } else { 0 };
        // Who is known to be silent says nothing of those who fall silent later.
        let well = known.well && doubt.is_some();
        self.put(server, Heard { end: now.saturating_add(self.patience), well, mass, ..known });
        Some((server, doubt))
    }

    fn doubt(&self, silent: &Heard, now: Tick) -> Option<Doubt> {
        let fresh = now.saturating_sub((self.patience as f64 * FRESH) as Tick);
        let others = self.well.len() - usize::from(silent.well);
        let mass = self.well.len().div_ceil(2).max(MASS_AT_LEAST);
        let somebody_is_fresh = self.well.last().is_some_and(|(at, _)| *at >= fresh);
        match () {
            () if others == 0 => None,
            () if !somebody_is_fresh => Some(Doubt::NoWitness),
            () if silent.mass >= MASS_DOUBTS => None,
            () => {
                (self.well.iter().take_while(|(at, _)| *at < fresh).take(mass).count() == mass).then_some(Doubt::Mass)
            }
        }
    }

    /// Patience with everybody begins anew: nobody could be heard.
    pub fn begin_anew(&mut self, now: Tick) {
        let servers: Vec<_> = self.of.keys().copied().collect();
        servers.into_iter().for_each(|server| self.heard(server, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(240);

    fn id(n: u8) -> ServerId {
        format!("srv-aaaaaaa{n}").parse().unwrap()
    }

    #[test]
    fn who_is_silent_is_told_once_per_patience() {
        let mut silence = Silence::new(PATIENCE);
        silence.heard(id(1), 0);
        silence.heard(id(2), 1000);
        silence.heard(id(1), 100_000);
        assert_eq!((silence.next_end(), silence.take_silent(240_999)), (Some(241_000), None));
        assert_eq!(silence.take_silent(241_000), Some((id(2), None)));
        assert_eq!(silence.take_silent(241_000), None);
        assert_eq!(silence.take_silent(340_000), Some((id(1), None)));
        assert_eq!(silence.take_silent(481_000), Some((id(2), None)));
        silence.forget(id(1));
        silence.forget(id(2));
        assert_eq!(silence.next_end(), None);
    }

    #[test]
    fn a_silence_of_our_own_counts_for_nothing() {
        let mut silence = Silence::new(PATIENCE);
        silence.heard(id(1), 0);
        silence.heard(id(2), 0);
        assert_eq!(silence.take_silent(240_000 + OVERSLEPT + 1), None, "we slept");
        assert_eq!(silence.next_end(), Some(480_000 + OVERSLEPT + 1));
    }

    /// Agents that report every two minutes, one after the other; those of `dead` end at `from`, the others pause until
    /// `to`. Gives who was told as silent without a doubt within the half hour.
    fn reported(fleet: u8, dead: &[u8], (from, to): (Tick, Tick)) -> Vec<ServerId> {
        let mut silence = Silence::new(PATIENCE);
        let mut told = Vec::new();
        for second in 0..1800 {
            let now = second * 1000;
            for n in 0..fleet {
                let is_time = second % 120 == u64::from(n) * 120 / u64::from(fleet);
                let is_cut = (from..to).contains(&now) || now >= from && dead.contains(&n);
                if is_time && !is_cut {
                    silence.heard(id(n), now);
                }
            }
            while let Some((server, doubt)) = silence.take_silent(now) {
                told.extend(doubt.is_none().then_some(server));
            }
        }
        told.sort_unstable();
        told.dedup();
        told
    }

    #[test]
    fn when_nobody_reaches_us_nobody_is_silent() {
        for fleet in 2..9 {
            for from in (240..360).step_by(7) {
                for cut in [60, 121, 240, 300, 700] {
                    let times = (from * 1000, (from + cut) * 1000);
                    assert_eq!(reported(fleet, &[], times), [], "{fleet} servers, {times:?}");
                }
            }
        }
    }

    #[test]
    fn who_ends_while_others_go_on_is_silent() {
        for fleet in 3..9 {
            assert_eq!(reported(fleet, &[1], (300_000, 300_000)), [id(1)], "{fleet} servers");
        }
        assert_eq!(reported(9, &[1, 4, 6], (300_000, 300_000)), [id(1), id(4), id(6)]);
        assert_eq!(reported(4, &[0, 1, 2], (300_000, 300_000)), [id(0), id(1), id(2)], "a mass that lasts");
        assert_eq!(reported(2, &[1], (300_000, 300_000)), [id(1)]);
        assert_eq!(reported(1, &[0], (300_000, 300_000)), [id(0)], "nobody else could tell");
    }
}
