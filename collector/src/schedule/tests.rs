//! The schedule under a clock that the tests turn.

use super::*;

const SECOND: u64 = 1000;
const INTERVAL: u64 = 120 * SECOND;
const START: Tick = 1_795_490_000 * SECOND;

fn schedule() -> Schedule {
    Schedule::new(Duration::from_secs(120), Duration::from_secs(15))
}

fn servers(count: u32) -> Vec<ServerId> {
    (0..count)
        .map(|number| ServerId::from_key(format!("{number:08}").into_bytes().try_into().unwrap()).unwrap())
        .collect()
}

/// Runs until `until`, each scrape taking `takes`, and returns every start as (due, started, server).
fn run(schedule: &mut Schedule, until: Tick, takes: u64, again: impl Fn(usize) -> Again) -> Vec<(Tick, ServerId)> {
    let mut starts: Vec<(Tick, ServerId)> = Vec::new();
    let mut scrapes: HashMap<ServerId, usize> = HashMap::new();
    while let Some(due) = schedule.next_due().filter(|due| *due < until) {
        let flight = schedule.take_due(due).unwrap();
        starts.push((due, flight.server));
        let count = scrapes.entry(flight.server).or_default();
        *count += 1;
        schedule.put_back(&flight, due + takes, again(*count));
    }
    starts
}

#[test]
fn every_target_is_scraped_once_per_interval_at_its_own_phase() {
    let (mut schedule, servers) = (schedule(), servers(200));
    schedule.add(&servers, START);
    let starts = run(&mut schedule, START + 10 * INTERVAL, 50, |_| Again::Regular);
    for server in &servers {
        let mine: Vec<_> = starts.iter().filter(|(_, other)| other == server).map(|(at, _)| *at).collect();
        assert!((9..=11).contains(&mine.len()), "{} scrapes in ten intervals", mine.len());
        let phase = mine[1] % INTERVAL;
        assert!(mine[1..].iter().all(|at| at % INTERVAL == phase), "regular ticks keep their phase");
        assert!(mine[1..].windows(2).all(|pair| pair[1] - pair[0] == INTERVAL));
    }
}

#[test]
fn who_takes_targets_over_keeps_their_rhythm_and_scrapes_the_overdue_at_once() {
    let (mut schedule, servers) = (schedule(), servers(300));
    // A third was scraped just now, a third is a minute overdue, a third was never scraped.
    let last = |n: usize, server| match n % 3 {
        0 => START - 1,
        1 => schedule.tick_after(server, START - 3 * INTERVAL),
        _ => 0,
    };
    let targets: Vec<_> = servers.iter().enumerate().map(|(n, server)| (*server, last(n, *server))).collect();
    schedule.take_over(&targets, START);
    let starts = run(&mut schedule, START + INTERVAL, 10, |_| Again::Regular);
    for (n, server) in servers.iter().enumerate() {
        let first = starts.iter().find(|(_, other)| other == server).map(|(at, _)| *at).unwrap();
        match n % 3 {
            0 => assert_eq!(first % INTERVAL, schedule.phase(*server), "not before its tick"),
            _ => assert!(first <= START + 5 * SECOND, "overdue for {} ms more", first - START),
        }
    }
}

#[test]
fn every_first_page_is_followed_by_a_second_without_spending_the_budget() {
    let (mut schedule, servers) = (schedule(), servers(2000));
    schedule.add(&servers, START);
    let again = |count| if count == 1 { Again::ForRates } else { Again::Regular };
    let starts = run(&mut schedule, START + INTERVAL, 50, again);
    for server in &servers {
        let mine: Vec<_> = starts.iter().filter(|(_, other)| other == server).map(|(at, _)| *at).collect();
        assert!(mine[1] - mine[0] <= 20 * SECOND, "{} ms until the rates are known", mine[1] - mine[0]);
    }
    let flight = schedule.take_due(START + 3 * INTERVAL).unwrap();
    let next = schedule.put_back(&flight, flight.due + 50, Again::ToDecide).unwrap();
    assert!(next.due - flight.due <= 20 * SECOND, "a failure is still re-checked");
}

#[test]
fn phases_are_even_and_survive_a_restart() {
    let servers = servers(12_000);
    let mut per_second = vec![0; 120];
    let (first, second) = (schedule(), schedule());
    for server in &servers {
        assert_eq!(first.phase(*server), second.phase(*server));
        per_second[(first.phase(*server) / SECOND) as usize] += 1;
    }
    assert!(per_second.iter().all(|count| (60..=140).contains(count)), "{per_second:?}");
}

#[test]
fn a_small_fleet_is_seen_at_once_and_a_large_one_without_a_burst() {
    let mut small = schedule();
    small.add(&servers(200), START);
    let starts = run(&mut small, START + 5 * SECOND, 10, |_| Again::Regular);
    assert_eq!(starts.len(), 200, "200 targets within their share of the interval");

    let mut large = schedule();
    large.add(&servers(50_000), START);
    let first_second = run(&mut large, START + SECOND, 10, |_| Again::Regular).len();
    assert!((300..=550).contains(&first_second), "{first_second} in the first second");
}

#[test]
fn a_recheck_comes_after_its_delay_and_then_the_regular_tick() {
    for server in servers(500) {
        let mut schedule = schedule();
        schedule.add(&[server], START);
        let flight = schedule.take_due(START + INTERVAL).unwrap();
        let due = flight.due;
        let next = schedule.put_back(&flight, due, Again::ToDecide).unwrap();
        let regular = schedule.tick_after(server, due + 5 * SECOND);
        let recheck = due + 12 * SECOND..=due + 18 * SECOND;
        assert!(recheck.contains(&next.due) || (next.due == regular && regular < *recheck.end()));
    }
}

#[test]
fn down_is_decided_within_200_seconds_of_the_death() {
    // Worst case: the host dies right after a scrape; every later scrape runs into the timeout of 10 s.
    const TIMEOUT: u64 = 10 * SECOND;
    for server in servers(500) {
        let mut schedule = schedule();
        schedule.add(&[server], START);
        let flight = schedule.take_due(START + INTERVAL).unwrap();
        let died = flight.due + 1;
        let mut now = died;
        schedule.put_back(&flight, now, Again::Regular);
        for _failure in 0..3 {
            let due = schedule.next_due().unwrap();
            let flight = schedule.take_due(due).unwrap();
            now = due + TIMEOUT;
            schedule.put_back(&flight, now, Again::ToDecide);
        }
        assert!(now - died <= 200 * SECOND, "{} s", (now - died) / SECOND);
    }
}

#[test]
fn an_outage_of_many_servers_causes_no_storm() {
    let (mut schedule, servers) = (schedule(), servers(5_000));
    schedule.add(&servers, START);
    let healthy = run(&mut schedule, START + 10 * INTERVAL, 10, |_| Again::Regular).len();
    let failing = run(&mut schedule, START + 20 * INTERVAL, 10, |_| Again::ToDecide).len();
    // The base rate, a tenth of it, and one burst.
    assert!(failing <= healthy + healthy / 10 + 600, "{failing} scrapes against {healthy}");
}

#[test]
fn ticks_missed_in_flight_are_counted_and_not_caught_up() {
    let mut schedule = schedule();
    let server = servers(1)[0];
    schedule.add(&[server], START);
    let flight = schedule.take_due(START + INTERVAL).unwrap();
    let done = flight.due + 3 * INTERVAL + SECOND;
    let next = schedule.put_back(&flight, done, Again::Regular).unwrap();
    assert!((3..=4).contains(&next.skipped), "{next:?}");
    assert!(next.due > done && next.due <= done + INTERVAL + 5 * SECOND);
    assert_eq!(schedule.waiting.len(), 1, "one entry, no backlog");
}

#[test]
fn a_target_in_flight_is_not_due_and_a_removed_one_never_again() {
    let mut schedule = schedule();
    let servers = servers(2);
    schedule.add(&servers, START);
    let first = schedule.take_due(START + INTERVAL).unwrap();
    schedule.remove(first.server);
    assert_eq!(schedule.put_back(&first, first.due, Again::Regular), None);
    let second = schedule.take_due(START + INTERVAL).unwrap();
    assert_ne!(first.server, second.server);
    assert_eq!(schedule.take_due(START + 100 * INTERVAL), None);
    assert_eq!(schedule.next_due(), None);
}

#[test]
fn a_target_that_is_replaced_waiting_or_in_flight_has_one_loop() {
    let mut schedule = schedule();
    let server = servers(1)[0];
    schedule.add(&[server], START);
    schedule.remove(server);
    schedule.add(&[server], START);
    let flight = schedule.take_due(START + INTERVAL).unwrap();
    assert_eq!(schedule.take_due(START + INTERVAL), None, "the entry of the removed one is void");

    schedule.remove(server);
    schedule.add(&[server], START);
    assert_eq!(schedule.put_back(&flight, START, Again::Regular), None, "the flight of the replaced one ends here");
    assert!(schedule.take_due(START + INTERVAL).is_some());
    assert_eq!(schedule.take_due(START + 100 * INTERVAL), None);
}
