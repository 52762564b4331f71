//! Two hours of 50,000 servers in simulated time: schedule, guard and health together, without a socket. Servers die and
//! come back, our own link is cut, and half of the fleet dies at once.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use mect_collector::metrics::Metrics;
use mect_collector::schedule::{Again, Flight, Schedule, Tick};
use mect_collector::watch::Watch;
use mect_fleet::{
    Failure, FailureReason, Health, Outcome, Reading, Report, Rule, ServerId, Side, Standing, Timestamp, Transition,
};
use prometheus_client::registry::Registry;

const SECOND: Tick = 1000;
const SERVERS: usize = 50_000;
const INTERVAL: Tick = 120 * SECOND;
const TIMEOUT: Tick = 10 * SECOND;
const START: Tick = 1_795_490_000 * SECOND;
const END: Tick = START + 7200 * SECOND;
/// Every server was scraped and judged by then.
const SETTLED: Tick = START + 300 * SECOND;
/// Half of the fleet is dead from then on.
const HALF: Tick = START + 6000 * SECOND;
/// One in so many servers dies and comes back.
const MORTAL: usize = 100;
/// When our own link is cut, and for how long: shorter and longer than an interval.
const CUTS: [Range<Tick>; 4] = [
    START + 1200 * SECOND..START + 1207 * SECOND,
    START + 1800 * SECOND..START + 1845 * SECOND,
    START + 2600 * SECOND..START + 2740 * SECOND,
    START + 3500 * SECOND..START + 3900 * SECOND,
];

/// The same numbers in every run.
struct Lot(u64);

impl Lot {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn number_of(server: ServerId) -> usize {
    std::str::from_utf8(&server.key()).unwrap().parse().unwrap()
}

/// One network for every 250 servers.
fn side_of(number: usize) -> Side {
    let [_, _, high, low] = u32::to_be_bytes((number / 250) as u32);
    Side::of_address([10, high, low, 1].into()).unwrap()
}

fn at(tick: Tick) -> Timestamp {
    Timestamp::from_millis(tick as i64)
}

/// What happens to the fleet, and what is seen of it.
struct World {
    schedule: Schedule,
    watch: Watch,
    standings: Vec<Standing>,
    /// When each server is dead.
    dead: Vec<Option<Range<Tick>>>,
    /// Scrapes under way: when each ends, and whether it works.
    under_way: BinaryHeap<Reverse<(Tick, Tick, ServerId, bool)>>,
    flights: std::collections::HashMap<ServerId, Flight>,
    most_under_way: usize,
    starts: Vec<Tick>,
    /// Of each server.
    flips: Vec<Vec<Transition>>,
}

impl World {
    fn new() -> Self {
        let key = |number: usize| format!("{number:08}").into_bytes().try_into().unwrap();
        let servers: Vec<_> = (0..SERVERS).map(|number| ServerId::from_key(key(number)).unwrap()).collect();
        let (interval, recheck) = (Duration::from_millis(INTERVAL), Duration::from_secs(15));
        let mut schedule = Schedule::new(interval, recheck);
        schedule.add(&servers, START);
        let metrics = Metrics::register(&mut Registry::default());
        let (mut watch, _) = Watch::new(interval, recheck, Vec::new(), metrics);
        watch.learn(servers.iter().map(|server| (*server, Some(side_of(number_of(*server))))));
        let mut lot = Lot(7);
        let dead = (0..SERVERS).map(|number| {
            let died = SETTLED + lot.below(HALF - SETTLED - 1200 * SECOND);
            let mortal = number % MORTAL == 1;
            mortal.then(|| died..died + 500 * SECOND + lot.below(600 * SECOND))
        });
        Self {
            schedule,
            watch,
            standings: vec![Standing::default(); SERVERS],
            dead: dead.collect(),
            under_way: BinaryHeap::new(),
            flights: std::collections::HashMap::new(),
            most_under_way: 0,
            starts: Vec::new(),
            flips: vec![Vec::new(); SERVERS],
        }
    }

    fn is_dead(&self, number: usize, tick: Tick) -> bool {
        let half = tick >= HALF && number.is_multiple_of(2);
        half || self.dead[number].as_ref().is_some_and(|dead| dead.contains(&tick))
    }

    fn run(&mut self) {
        loop {
            let due = self.schedule.next_due().unwrap_or(Tick::MAX);
            let end = self.under_way.peek().map_or(Tick::MAX, |Reverse((end, ..))| *end);
            if due.min(end) >= END {
                return;
            }
            if due < end { self.start(due) } else { self.end() }
        }
    }

    fn start(&mut self, now: Tick) {
        let flight = self.schedule.take_due(now).unwrap();
        let server = flight.server;
        let cut = CUTS.iter().any(|cut| cut.contains(&now));
        let works = !cut && !self.is_dead(number_of(server), now);
        self.starts.push(now);
        self.under_way.push(Reverse((now + if works { 60 } else { TIMEOUT }, now, server, works)));
        self.flights.insert(server, flight);
        self.most_under_way = self.most_under_way.max(self.under_way.len());
    }

    /// As the engine does it.
    fn end(&mut self) {
        let Reverse((now, started, server, works)) = self.under_way.pop().unwrap();
        let number = number_of(server);
        let outcome = match works {
            true => Outcome::Up(Reading::default()),
            false => Outcome::Failed(Failure::new(FailureReason::ConnTimeout, "")),
        };
        let report = Report { server, at: at(started), duration_ms: (now - started) as u32, samples: 1, outcome };
        let (side, standing) = (side_of(number), &mut self.standings[number]);
        let doubt = self.watch.judge(side, &report, standing, at(now));
        self.flips[number].extend(standing.observe(&Rule::default(), &report, doubt));
        let again = if standing.state.wants_recheck() { Again::ToDecide } else { Again::Regular };
        let may_fall = standing.state.failures > 0 && standing.state.health != Health::Down;
        let flight = self.flights.remove(&server).unwrap();
        self.schedule.put_back(&flight, now, again);
        if may_fall {
            let (standings, flights) = (&self.standings, &self.flights);
            let suits = |other| !flights.contains_key(&other) && standings[number_of(other)].state.failures == 0;
            for witness in self.watch.witnesses(server, side, at(now), suits) {
                self.schedule.hasten(witness, now);
            }
        }
    }

    fn flips_of(&self, number: usize, to: Health) -> Vec<Tick> {
        let flips = self.flips[number].iter().filter(|flip| flip.to == to);
        flips.map(|flip| flip.at.as_millis() as Tick).collect()
    }
}

fn is_near_a_cut(from: Tick, to: Tick) -> bool {
    CUTS.iter().any(|cut| from < cut.end + INTERVAL && to + INTERVAL > cut.start)
}

#[test]
fn nobody_turns_down_but_the_dead_and_those_in_time() {
    let mut world = World::new();
    world.run();

    // An even load while all is well, and never more under way than 50,000 targets may have.
    let mut buckets = [0.0; 60];
    let well = SETTLED + 120 * SECOND;
    for start in world.starts.iter().filter(|start| (well..well + 600 * SECOND).contains(start)) {
        buckets[((start - well) / (10 * SECOND)) as usize] += 1.0;
    }
    let mean = buckets.iter().sum::<f64>() / 60.0;
    assert!(buckets.iter().all(|count| (count / mean - 1.0).abs() <= 0.15), "{mean}: {buckets:?}");
    assert!(world.most_under_way <= 6_000, "{} under way", world.most_under_way);

    // Whoever is said to be down was dead when it was looked at.
    for flip in world.flips.iter().flatten().filter(|flip| flip.to == Health::Down) {
        let (number, looked) = (number_of(flip.server), flip.at.as_millis() as Tick);
        assert!(world.is_dead(number, looked), "{flip:?} although it was well");
    }

    // The dead are down in 200 s, and back in 140 s and a scrape, unless our own link was cut meanwhile.
    let (mut fell, mut rose) = (0, 0);
    for (number, dead) in world.dead.iter().enumerate() {
        let Some(dead) = dead else { continue };
        let downs = world.flips_of(number, Health::Down);
        let Some(down) = downs.first() else {
            assert!(is_near_a_cut(dead.start, dead.end), "server {number} was dead for {dead:?} and never down");
            continue;
        };
        if !is_near_a_cut(dead.start, dead.start + 200 * SECOND) {
            // Said when that scrape ended.
            let within = down + TIMEOUT - dead.start;
            assert!(within <= 200 * SECOND, "server {number} down after {} s", within / SECOND);
            fell += 1;
        }
        if !is_near_a_cut(dead.end, dead.end + 150 * SECOND) {
            let back = world.flips_of(number, Health::Active).into_iter().find(|at| *at > dead.end).unwrap();
            let within = back - dead.end;
            assert!(within <= 140 * SECOND + TIMEOUT, "server {number} back after {} s", within / SECOND);
            rose += 1;
        }
    }
    assert!(fell > 200 && rose > 200, "{fell} fell and {rose} rose");

    // So many deaths at once are doubted until the wave is over, and re-checks have a budget: the regular ticks decide.
    for number in (0..SERVERS).step_by(2) {
        let downs = world.flips_of(number, Health::Down);
        let within = downs.last().map(|down| down + TIMEOUT - HALF);
        assert!(within.is_some_and(|within| within <= 3 * (INTERVAL + TIMEOUT)), "server {number}: {within:?}");
    }
    assert!((1..SERVERS).step_by(2).all(|number| world.flips_of(number, Health::Down).iter().all(|at| *at < HALF)));
}
