//! The rule against a model that was written from its words alone: it keeps every event, and counts backwards.

use super::*;

/// All that ever happened to one server.
#[derive(Default)]
struct Model {
    /// What counts of it: local faults are not even written down.
    events: Vec<Event>,
    flips: Vec<(Timestamp, Health)>,
}

impl Model {
    fn health(&self) -> Health {
        self.flips.last().map_or(Health::Pending, |(_, health)| *health)
    }

    /// How many of the latest events in a row are of that kind.
    fn latest(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().rev().take_while(|event| is(event)).count()
    }

    fn flaps(&self, rule: &Rule, now: Timestamp) -> bool {
        let lately = self.flips.iter().filter(|(at, _)| now.since(*at) <= rule.flapping_window).count();
        lately >= rule.flapping_transitions
    }

    /// Failures in a row up to now, of which those before the latest one without a witness are void.
    fn counted(&self) -> usize {
        let failures = self.latest(|event| matches!(event, Event::Failed(..)));
        let row = &self.events[self.events.len() - failures..];
        let void = row.iter().rposition(|event| matches!(event, Event::Failed(_, Some(Doubt::NoWitness))));
        failures - void.unwrap_or(0)
    }

    fn judge(&mut self, rule: &Rule, at: Timestamp, event: Event) -> Health {
        let before = self.health();
        if matches!(event, Event::Failed(FailureReason::Local, _)) {
            return before;
        }
        self.events.push(event);
        let rise = if self.flaps(rule, at) { rule.flapping_rise } else { rule.rise } as usize;
        let after = match event {
            Event::Failed(reason, None) if reason.is_final() || self.counted() >= rule.fall as usize => Health::Down,
            Event::Failed(..) => before,
            Event::Succeeded { impaired } => {
                let answers = self.latest(|event| matches!(event, Event::Succeeded { .. }));
                let well = self.latest(|event| matches!(event, Event::Succeeded { impaired: false }));
                let shown = if impaired { Health::Degraded } else { Health::Active };
                match before {
                    Health::Down if answers < rise => Health::Down,
                    Health::Degraded if well < rise => Health::Degraded,
                    _ => shown,
                }
            }
        };
        if after != before {
            self.flips.push((at, after));
        }
        after
    }
}

/// Numbers that are the same in every run.
struct Lot(u64);

impl Lot {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn event(&mut self, mood: u64) -> Event {
        // Moods make long rows of failures, of successes and of doubts, which pure chance would not.
        let failed = self.below(10) < [1, 5, 9][(mood % 3) as usize];
        if !failed {
            return Event::Succeeded { impaired: self.below(6) == 0 };
        }
        let reason = match self.below(20) {
            0 => FailureReason::Silent,
            1..4 => FailureReason::Local,
            4..10 => FailureReason::TotalTimeout,
            _ => FailureReason::ConnRefused,
        };
        let doubt = match self.below(if mood.is_multiple_of(2) { 40 } else { 4 }) {
            0 => Some(Doubt::NoWitness),
            1 => Some(Doubt::Mass),
            _ => None,
        };
        Event::Failed(reason, doubt)
    }
}

#[test]
fn a_million_events_are_judged_as_the_words_say() {
    const SERVERS: u64 = 2_000;
    const EVENTS: u64 = 500;
    let rule = Rule::default();
    let drawn =
        [(Health::Pending, Health::Active), (Health::Pending, Health::Degraded), (Health::Pending, Health::Down)];
    let judged = [Health::Active, Health::Degraded, Health::Down];
    let mut flips = std::collections::BTreeMap::new();
    for seed in 0..SERVERS {
        let (mut lot, mut at) = (Lot(seed), Timestamp::from_secs(1_795_000_000));
        let (mut state, mut model, mut mood) = (HealthState::default(), Model::default(), seed);
        for number in 0..EVENTS {
            if lot.below(12) == 0 {
                mood = lot.below(6);
            }
            at = at + Duration::from_secs(1 + lot.below(if mood == 5 { 2_000 } else { 130 }));
            let event = lot.event(mood);
            let (before, unverified) = (state.health, state.unverified);
            // What was kept and read again is the same memory.
            if number % 50 == 0 {
                state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            }
            let transition;
            (state, transition) = step(&rule, server(), state, at, event);
            assert_eq!(state.health, model.judge(&rule, at, event), "server {seed}, event {number}: {event:?}");
            assert_eq!(transition.as_ref().map(|flip| (flip.from, flip.to)), {
                (before != state.health).then_some((before, state.health))
            });
            if let Event::Failed(FailureReason::Local, _) = event {
                assert_eq!(
                    (state.unverified, transition.is_none()),
                    (unverified, true),
                    "our own fault changes nothing"
                );
                continue;
            }
            let Some(flip) = transition else { continue };
            *flips.entry((flip.from, flip.to)).or_insert(0) += 1;
            assert!(drawn.contains(&(flip.from, flip.to)) || judged.contains(&flip.from) && judged.contains(&flip.to));
            if flip.to == Health::Down {
                let Event::Failed(reason, doubt) = event else { panic!("{event:?} turned a server down") };
                assert_eq!(doubt, None, "nobody turns down while the guard holds");
                assert!(reason.is_final() || model.counted() >= rule.fall as usize, "fewer failures than fall");
            }
        }
        assert_eq!(state.transitions as usize, model.flips.len());
    }
    // Every arrow that is drawn was gone, and often enough to mean something.
    assert_eq!(flips.len(), drawn.len() + 6, "{flips:?}");
    assert!(flips.values().all(|count| *count >= 20), "{flips:?}");
}
