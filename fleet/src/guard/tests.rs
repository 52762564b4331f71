//! The guard by example, and fleets in simulated time: whose link is cut, and whose servers really die.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::health::{Event, Health, HealthState, Rule, step};
use crate::report::FailureReason;

const INTERVAL: Duration = Duration::from_secs(120);
const RECHECK: Duration = Duration::from_secs(15);

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0) as i64)
}

fn server(number: u32) -> ServerId {
    let digits = format!("{number:08}");
    ServerId::from_key(digits.as_bytes().try_into().unwrap()).unwrap()
}

/// Each in a network of its own.
fn side(number: u32) -> Side {
    Side::of_address(Ipv4Addr::from(0x0A00_0001 + (number << 8)).into()).unwrap()
}

fn guard(servers: u32) -> Guard {
    let mut guard = Guard::new(INTERVAL, RECHECK);
    guard.learn((0..servers).map(side), 0);
    guard
}

#[test]
fn a_failure_counts_when_somebody_in_another_network_answered_after_the_one_before() {
    let mut guard = guard(3);
    assert_eq!(guard.doubt(server(0), side(0), None, at(10.0)), None, "the first one starts the count");
    assert!(guard.wants_witness(server(0), side(0), at(10.0)));
    guard.answered(server(0), side(0), at(11.0));
    assert!(guard.wants_witness(server(0), side(0), at(10.0)), "its own network proves nothing");
    assert_eq!(guard.doubt(server(0), side(0), Some(at(10.0)), at(25.0)), Some(Doubt::NoWitness));
    guard.answered(server(1), side(1), at(26.0));
    assert!(!guard.wants_witness(server(0), side(0), at(25.0)));
    assert_eq!(guard.doubt(server(0), side(0), Some(at(25.0)), at(40.0)), None);
    assert_eq!(guard.doubt(server(0), side(0), Some(at(10.0)), at(40.0)), Some(Doubt::NoWitness), "much too late");
}

#[test]
fn of_several_answers_at_once_one_is_elsewhere() {
    let mut guard = guard(3);
    for number in [0, 0, 1, 2] {
        guard.answered(server(number), side(number), at(10.01));
    }
    for number in 0..3 {
        assert_eq!(guard.doubt(server(number), side(number), Some(at(10.0)), at(25.0)), None);
    }
}

#[test]
fn canaries_stand_in_for_other_networks_and_a_lone_server_without_one_is_believed() {
    let mut guard = guard(1);
    assert_eq!(guard.doubt(server(0), side(0), Some(at(10.0)), at(25.0)), None);
    assert!(!guard.wants_witness(server(0), side(0), at(10.0)));
    guard.learn([side(0)].into_iter(), 1);
    assert_eq!(guard.doubt(server(0), side(0), Some(at(10.0)), at(25.0)), Some(Doubt::NoWitness));
    guard.canary_answered(side(99), at(26.0));
    assert_eq!(guard.doubt(server(0), side(0), Some(at(25.0)), at(40.0)), None);
}

#[test]
fn where_all_are_in_one_network_any_other_server_is_a_witness() {
    let mut guard = Guard::new(INTERVAL, RECHECK);
    guard.learn([side(7), side(7)].into_iter(), 0);
    guard.answered(server(0), side(7), at(10.5));
    assert_eq!(guard.doubt(server(0), side(7), Some(at(10.0)), at(25.0)), Some(Doubt::NoWitness));
    assert_eq!(guard.doubt(server(1), side(7), Some(at(10.0)), at(25.0)), None);
}

#[test]
fn sides_are_networks_or_names_and_this_machine_is_none() {
    let of = |text: &str| Side::of_address(text.parse().unwrap());
    assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
    assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.7"));
    assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
    assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ff::2"));
    assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    assert_eq!((of("127.0.0.9"), of("::1"), Side::of_name("localhost.")), (None, None, None));
    assert_eq!(Side::of_name("A.example."), Side::of_name("a.example"));
}

#[test]
fn a_wave_of_failures_is_doubted_until_it_is_over() {
    let mut guard = guard(100);
    guard.answered(server(1), side(1), at(100.5));
    for second in 0..20 {
        guard.tried(second % 2 == 0, at(100.0 + f64::from(second)));
    }
    let doubt = |guard: &mut Guard, now| guard.doubt(server(0), side(0), Some(at(100.0)), at(now));
    assert_eq!(doubt(&mut guard, 119.0), Some(Doubt::Mass));
    assert_eq!(doubt(&mut guard, 181.0), None, "over");
    for number in 0..3 {
        guard.tried(true, at(200.0 + f64::from(number)));
    }
    assert_eq!(doubt(&mut guard, 203.0), None, "three servers are no mass");
}

/// What the world is like, asked by second.
struct World {
    servers: u32,
    /// From this second on the first so many servers are dead.
    dead: (f64, u32),
    /// Our own link is cut within these.
    cuts: Vec<(f64, f64)>,
    /// How long a failing scrape takes.
    timeout: f64,
}

/// Runs the fleet for `seconds` as an engine does: regular ticks, re-checks, and witnesses when one is wanted. Returns
/// who turned down, and when.
fn run(world: &World, seconds: f64) -> Vec<(u32, f64)> {
    let (rule, mut guard) = (Rule::default(), guard(world.servers));
    let mut states = vec![HealthState { health: Health::Active, ..HealthState::default() }; world.servers as usize];
    let mut failed: Vec<Option<Timestamp>> = vec![None; world.servers as usize];
    let phase = |number: u32| f64::from(number * 7 % world.servers) * INTERVAL.as_secs_f64() / f64::from(world.servers);
    let key = |second: f64| Reverse((second * 1000.0) as i64);
    // One entry a server counts: that of its newest generation.
    let mut generation = vec![0u32; world.servers as usize];
    let mut due: BinaryHeap<_> = (0..world.servers).map(|number| (key(phase(number)), number, 0)).collect();
    let (mut down, mut called, mut turn) = (Vec::new(), f64::NEG_INFINITY, 0);
    while let Some((Reverse(millis), number, entry)) = due.pop() {
        let (start, index) = (millis as f64 / 1000.0, number as usize);
        if start > seconds {
            break;
        }
        if entry != generation[index] {
            continue;
        }
        let cut = world.cuts.iter().any(|(from, to)| (*from..*to).contains(&start));
        let fails = cut || (start >= world.dead.0 && number < world.dead.1);
        let end = if fails { start + world.timeout } else { start + 0.05 };
        let now = at(end);
        if states[index].failures == 0 {
            guard.tried(fails, now);
        }
        let event = if fails {
            Event::Failed(FailureReason::ConnTimeout, guard.doubt(server(number), side(number), failed[index], now))
        } else {
            guard.answered(server(number), side(number), now);
            Event::Succeeded { impaired: false }
        };
        failed[index] = fails.then_some(now);
        let (state, transition) = step(&rule, server(number), std::mem::take(&mut states[index]), now, event);
        states[index] = state;
        if transition.is_some_and(|transition| transition.to == Health::Down) {
            down.push((number, end));
        }
        let interval = INTERVAL.as_secs_f64();
        let regular = phase(number) + ((end - phase(number)) / interval + 1.0).floor() * interval;
        let recheck = end + 12.0 + f64::from(number % 7);
        let next = if states[index].wants_recheck() { recheck.min(regular) } else { regular };
        generation[index] += 1;
        due.push((key(next), number, generation[index]));
        if fails && end - called >= 1.0 && guard.wants_witness(server(number), side(number), now) {
            called = end;
            for _ in 0..3 {
                turn = (turn + 1) % world.servers;
                if states[turn as usize].failures == 0 {
                    generation[turn as usize] += 1;
                    due.push((key(end + 0.05), turn, generation[turn as usize]));
                }
            }
        }
    }
    down
}

#[test]
fn half_the_fleet_dies_and_turns_down_in_time_and_nobody_else() {
    for servers in [2, 20, 500] {
        let world = World { servers, dead: (300.0, servers / 2), cuts: Vec::new(), timeout: 10.0 };
        let down = run(&world, 900.0);
        assert_eq!(down.len() as u32, servers / 2, "{servers} servers");
        assert!(down.iter().all(|(number, at)| *number < servers / 2 && *at <= 300.0 + 200.0), "{down:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 10, ..ProptestConfig::default() })]

    #[test]
    fn nobody_turns_down_when_our_own_link_is_cut(
        servers in prop_oneof![Just(2u32), Just(20), Just(500)],
        first in 200.0..400.0f64,
        lengths in proptest::collection::vec((1.0..600.0f64, 60.0..400.0f64), 1..4),
        timeout in prop_oneof![Just(0.01f64), Just(10.0)],
    ) {
        let (mut cuts, mut from) = (Vec::new(), first);
        for (length, pause) in lengths {
            cuts.push((from, from + length));
            from += length + pause;
        }
        let world = World { servers, dead: (0.0, 0), cuts, timeout };
        prop_assert_eq!(run(&world, from + 600.0), Vec::new());
    }

    #[test]
    fn a_death_beside_a_cut_is_seen_once_the_link_is_back(length in 1.0..300.0f64, dies in 200.0..700.0f64) {
        let world = World { servers: 20, dead: (dies, 1), cuts: vec![(300.0, 300.0 + length)], timeout: 10.0 };
        let down = run(&world, 1500.0);
        prop_assert_eq!(down.iter().map(|(number, _)| *number).collect::<Vec<_>>(), vec![0]);
        prop_assert!(down[0].1 <= dies.max(300.0 + length) + 200.0, "{:?}", down);
    }
}
