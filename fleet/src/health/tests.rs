//! The rule by example, and against invariants over random event sequences.

use super::*;
use proptest::prelude::*;

mod model;

const OK: Event = Event::Succeeded { impaired: false };
const IMPAIRED: Event = Event::Succeeded { impaired: true };
const FAIL: Event = Event::Failed(FailureReason::ConnRefused, None);
const LOCAL: Event = Event::Failed(FailureReason::Local, None);

fn server() -> ServerId {
    "srv-abcdefgh".parse().unwrap()
}

/// Feeds `events`, one every `spacing` seconds, and returns the state and every state entered.
fn run(state: HealthState, spacing: i64, events: &[Event]) -> (HealthState, Vec<Health>) {
    let rule = Rule::default();
    let mut entered = Vec::new();
    let start = state.since.map_or(0, Timestamp::as_secs);
    let state = events.iter().zip(1..).fold(state, |state, (event, tick)| {
        let (state, transition) = step(&rule, server(), state, Timestamp::from_secs(start + tick * spacing), *event);
        entered.extend(transition.map(|transition| transition.to));
        state
    });
    (state, entered)
}

#[test]
fn the_first_success_activates() {
    assert_eq!(run(HealthState::default(), 120, &[OK]).1, [Health::Active]);
    assert_eq!(run(HealthState::default(), 120, &[IMPAIRED]).1, [Health::Degraded]);
}

#[test]
fn three_failures_in_a_row_mean_down_and_two_successes_mean_back() {
    let (state, entered) = run(HealthState::default(), 120, &[OK, FAIL, FAIL, OK, FAIL, FAIL, FAIL]);
    assert_eq!(entered, [Health::Active, Health::Down]);
    assert_eq!(state.last_failure, Some(FailureReason::ConnRefused));
    let (state, entered) = run(state, 120, &[OK, FAIL, OK, OK]);
    assert_eq!(entered, [Health::Active]);
    assert_eq!((state.failures, state.last_failure), (0, None));
}

#[test]
fn a_server_that_never_answered_goes_down_too() {
    assert_eq!(run(HealthState::default(), 120, &[FAIL, FAIL, FAIL, FAIL]).1, [Health::Down]);
}

#[test]
fn a_return_is_remembered_until_the_next_fall() {
    let (state, _) = run(HealthState::default(), 120, &[OK, IMPAIRED]);
    assert_eq!(state.recovered_at, None, "never down");
    let (state, _) = run(HealthState::default(), 120, &[FAIL, FAIL, FAIL, OK, OK, IMPAIRED, OK, OK]);
    assert_eq!(state.recovered_at, Some(Timestamp::from_secs(5 * 120)), "losing a service is no fall");
    assert_eq!(run(state, 120, &[FAIL, FAIL, FAIL]).0.recovered_at, None);
}

#[test]
fn local_faults_change_nothing() {
    let (before, _) = run(HealthState::default(), 120, &[OK, FAIL, FAIL]);
    let (after, entered) = run(before.clone(), 120, &[LOCAL; 10]);
    assert_eq!((after, entered), (before, vec![]));
}

#[test]
fn a_lost_service_shows_at_once_and_its_return_must_last() {
    let (_, entered) = run(HealthState::default(), 120, &[OK, IMPAIRED, OK, IMPAIRED, OK, OK]);
    assert_eq!(entered, [Health::Active, Health::Degraded, Health::Active]);
}

#[test]
fn a_flapping_server_needs_five_successes() {
    let flap = [OK, FAIL, FAIL, FAIL, OK, OK, FAIL, FAIL, FAIL];
    let (state, entered) = run(HealthState::default(), 15, &flap);
    assert_eq!(entered, [Health::Active, Health::Down, Health::Active, Health::Down]);
    assert!(state.is_flapping(&Rule::default(), state.since.unwrap()));
    assert_eq!(run(state.clone(), 15, &[OK; 4]).1, []);
    assert_eq!(run(state.clone(), 15, &[OK; 5]).1, [Health::Active]);
    // The same server half an hour later is believed after two again.
    assert_eq!(run(state, 1900, &[OK; 2]).1, [Health::Active]);
}

#[test]
fn only_a_scrape_that_may_decide_is_worth_a_recheck() {
    assert!(!HealthState::default().wants_recheck());
    assert!(!run(HealthState::default(), 120, &[OK]).0.wants_recheck());
    assert!(run(HealthState::default(), 120, &[OK, FAIL]).0.wants_recheck());
    let (down, _) = run(HealthState::default(), 120, &[FAIL; 3]);
    assert!(!down.wants_recheck());
    assert!(run(down, 120, &[OK]).0.wants_recheck());
}

#[test]
fn state_survives_serialisation() {
    let (state, _) = run(HealthState::default(), 15, &[OK, FAIL, FAIL, FAIL, OK]);
    assert_eq!(serde_json::from_str::<HealthState>(&serde_json::to_string(&state).unwrap()).unwrap(), state);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![Just(OK), Just(IMPAIRED), Just(FAIL), Just(LOCAL)]
}

proptest! {
    #[test]
    fn invariants_hold_for_any_history(events in prop::collection::vec((any_event(), 1i64..400), 0..200)) {
        let rule = Rule::default();
        let (mut state, mut at, mut failures_in_a_row, mut number) = (HealthState::default(), 0, 0, 0);
        for (event, gap) in events {
            at += gap;
            let before = state.health;
            let transition;
            (state, transition) = step(&rule, server(), state, Timestamp::from_secs(at), event);
            match event {
                LOCAL => prop_assert!(transition.is_none()),
                FAIL => failures_in_a_row += 1,
                _ => failures_in_a_row = 0,
            }
            prop_assert!(state.recent.len() <= rule.flapping_transitions);
            let Some(transition) = transition else {
                prop_assert_eq!(state.health, before);
                continue;
            };
            number += 1;
            prop_assert_eq!(transition.number, number, "numbers have no gaps");
            prop_assert_eq!((transition.from, transition.to), (before, state.health));
            prop_assert_ne!(transition.from, transition.to);
            prop_assert_ne!(transition.to, Health::Pending, "nothing leads back to pending");
            if transition.to == Health::Down {
                prop_assert!(failures_in_a_row >= rule.fall);
                prop_assert_eq!(transition.checks, failures_in_a_row);
            }
        }
    }
}

#[test]
fn a_silence_that_is_doubted_marks_and_one_that_is_not_fells() {
    let active = run(HealthState::default(), 120, &[OK]).0;
    let silent = |doubt| Event::Failed(FailureReason::Silent, doubt);
    let (state, entered) = run(active, 240, &[silent(Some(Doubt::NoWitness)), silent(Some(Doubt::Mass))]);
    assert_eq!((state.health, state.unverified, entered), (Health::Active, true, vec![]));
    let (state, entered) = run(state, 240, &[silent(None)]);
    assert_eq!((state.unverified, entered), (false, vec![Health::Down]));
}
