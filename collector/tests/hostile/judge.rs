//! All cases at once: starts the hosts and one collector, lets the hosts turn, and looks at what comes of it.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{History, Point};
use mect_fleet::{FailureReason, ServerId, Timestamp};
use serde_json::Value;

use crate::case::{Around, Case, Expected, LATE, Place, TIMEOUT_SECONDS, answer};
use crate::host::{self, Host};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::world::{Footprint, Seen, World, look};
use crate::{dns, page, tls};

/// What is said of a scrape that ran out of time on a machine that is too busy.
const HELD_UP: &str = "but this collector was held up";
const INTERVAL_SECONDS: f64 = 5.0;
/// A machine that is busy otherwise ends a scrape late. Without a bound, most would never end.
const LONGEST_SECONDS: f64 = TIMEOUT_SECONDS + 10.0;
/// Scrapes of each host, after it turned, that are looked at.
const SCRAPES: usize = 3;
/// All hosts have been scraped so often long before.
const PATIENCE: Duration = Duration::from_secs(300);
/// What all of them together may cost the collector's process; each bomb alone would take 400 MiB.
const MEMORY_KIB: u64 = 128 * 1024;
/// No host has a faster uplink, in bytes a second.
const FASTEST: u64 = 1 << 44;
/// Connections that the web side takes from one address, and some that come and go.
const WEB_DESCRIPTORS: usize = 128 + 64;

/// A case in its place.
struct Placed {
    case: Case,
    /// By which REST knows the server.
    name: String,
    url: String,
    scrapes: BTreeSet<String>,
    /// What was known of the server at its first failure.
    kept: Option<Value>,
}

/// Hosts that stay good.
const NEIGHBOURS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(127, 80, 0, 1),
    Ipv4Addr::new(127, 80, 0, 2),
    Ipv4Addr::new(127, 80, 0, 3),
    Ipv4Addr::new(127, 80, 0, 4),
];
/// Nobody has a reason to come here.
const TRAP: Ipv4Addr = Ipv4Addr::new(127, 80, 1, 1);

pub(crate) fn judge(mut world: World, cases: Vec<Case>) {
    let around = Arc::new(Around::default());
    let turned = Arc::new(AtomicBool::new(false));
    let good = |address| {
        let (behave, turned) = (Arc::new(answer("")), Arc::default());
        let (served, behaved) = Default::default();
        Host { address, behave, greets: false, was_good: true, turned, around: around.clone(), served, behaved }.start()
    };
    let (trap_port, trap) = good(TRAP);
    around.trap.set((TRAP, trap_port).into()).unwrap();
    let neighbours = NEIGHBOURS.map(|address| (address.to_string(), good(address).0));

    let addresses: Vec<_> = (0..).map(address).take(cases.len()).collect();
    let secured = cases.iter().zip(&addresses).filter(|(case, _)| matches!(case.place, Place::Secured));
    tls::make_certificates(world.home.path(), &secured.map(|(_, address)| *address).collect::<Vec<_>>());
    let named = cases.iter().zip(&addresses).filter_map(|(case, address)| match case.place {
        Place::Named(name) => Some((format!("{name}."), *address)),
        _ => None,
    });
    let named: HashMap<_, _> = named.collect();
    world.set_names(move |name, nth| dns::answer(name, named.get(name).copied().unwrap_or(TRAP), nth));
    let mut full = Vec::new();
    let mut placed: Vec<_> = cases
        .into_iter()
        .zip(addresses)
        .map(|(case, address)| place(case, address, &turned, &around, &mut full))
        .collect();

    let mut config = format!(
        "[store]\ncache_mib = 4\n[scrape]\ninterval_seconds = {INTERVAL_SECONDS}\ntimeout_seconds = {TIMEOUT_SECONDS}\nrecheck_seconds = 2\n{}",
        tls::ACCESS
    );
    for (address, port) in &neighbours {
        config += &format!("[[targets]]\naddress = \"{address}:{port}\"\n");
    }
    for Placed { url, case, .. } in &placed {
        config += &format!("[[targets]]\naddress = \"{url}\"\n{}", case.settings);
    }
    world.home.configure(&config);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        world.home.set(name, &format!("http://{TRAP}:{trap_port}"));
    }
    let collector = world.start();
    around.collector.set(collector.url.trim_start_matches("http://").parse().unwrap()).unwrap();

    let good: Vec<_> = placed.iter().filter(|placed| placed.case.was_good()).map(|placed| &placed.name).collect();
    eventually("every host to be a good one", || {
        let seen = look(&collector);
        let is_good = |name: &String| seen.get(name).is_some_and(|seen| seen.server["load"]["cpu"] == 10.0);
        (good.iter().all(|name| is_good(name)) && neighbours.iter().all(|(name, _)| is_good(name))).then_some(())
    });
    let footprint = Footprint::of(&collector);
    let (resident, descriptors) = (footprint.resident_kib(), footprint.descriptors());
    footprint.forget_peak();

    let turned_at = Timestamp::now();
    turned.store(true, Ordering::Relaxed);
    let most_descriptors =
        watch(&collector, &footprint, &mut placed, &neighbours.each_ref().map(|(name, _)| &**name), turned_at);

    let grown = footprint.peak_kib().saturating_sub(resident);
    println!(
        "{} cases; memory grew by {grown} KiB from {resident}; {descriptors} descriptors, at most {most_descriptors}",
        placed.len()
    );
    assert!(grown <= MEMORY_KIB, "memory grew by {grown} KiB");
    assert!(most_descriptors <= descriptors + placed.len() + WEB_DESCRIPTORS, "{most_descriptors} descriptors");
    eventually("descriptors to be given back", || (footprint.descriptors() <= descriptors + 8).then_some(()));
    assert_eq!(trap.served.load(Ordering::Relaxed), 0, "somebody was led astray");

    let ended_at = Timestamp::now();
    let ids: HashMap<_, _> = look(&collector).into_iter().map(|(name, seen)| (name, id(&seen))).collect();
    collector.stop();
    let store = Embedded::open(&world.home.data_dir(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let points = |name: &str, from| runtime.block_on(store.points(ids[name], from..ended_at)).unwrap();
    for placed in &placed {
        let from = if placed.case.was_good() { turned_at } else { Timestamp::default() };
        check_points(placed, &points(&placed.name, from));
    }
    let lasted = ended_at.since(turned_at).as_secs_f64();
    for (name, _) in &neighbours {
        let scrapes = points(name, turned_at).iter().filter(|point| point.failure.is_none()).count();
        assert!(scrapes as f64 >= lasted / INTERVAL_SECONDS / 2.0, "{name} was scraped {scrapes} times in {lasted} s");
        let flips = runtime.block_on(store.transitions(Some(ids[name.as_str()]), 10)).unwrap();
        assert_eq!(flips.len(), 1, "{name}: {flips:?}");
    }
}

fn id(seen: &Seen) -> ServerId {
    seen.server["id"].as_str().unwrap().parse().unwrap()
}

/// The address of a host.
fn address(number: usize) -> Ipv4Addr {
    const EACH: usize = 200;
    Ipv4Addr::new(127, 79, (number / EACH) as u8, (1 + number % EACH) as u8)
}

/// Starts the host of a case.
fn place(
    case: Case,
    address: Ipv4Addr,
    turned: &Arc<AtomicBool>,
    around: &Arc<Around>,
    full: &mut Vec<socket2::Socket>,
) -> Placed {
    let start = || {
        let (turned, around, behave) = (turned.clone(), around.clone(), case.behave.clone());
        let (served, behaved) = Default::default();
        let (greets, was_good) = (case.greets, case.was_good());
        Host { address, behave, greets, was_good, turned, around, served, behaved }.start().0
    };
    let (name, url) = match case.place {
        Place::Listens => (address.to_string(), format!("http://{address}:{}", start())),
        Place::Secured => (address.to_string(), format!("https://{address}:{}", start())),
        Place::Named(name) => (name.to_owned(), format!("http://{name}:{}", start())),
        Place::At(url) => {
            let host = url.trim_start_matches("http://").rsplit_once(':').unwrap().0;
            (host.to_owned(), url.to_owned())
        }
        Place::Full => {
            let (port, sockets) = host::full(address);
            full.extend(sockets);
            (address.to_string(), format!("http://{address}:{port}"))
        }
    };
    Placed { case, name, url, scrapes: BTreeSet::new(), kept: None }
}

/// Looks at every host until each was scraped often enough; returns the most descriptors that were open.
fn watch(
    collector: &Collector,
    footprint: &Footprint,
    placed: &mut [Placed],
    neighbours: &[&str],
    turned_at: Timestamp,
) -> usize {
    let started = Instant::now();
    let mut problems = BTreeSet::new();
    let mut descriptors = 0;
    loop {
        let seen = look(collector);
        descriptors = descriptors.max(footprint.descriptors());
        for placed in placed.iter_mut() {
            if let Err(problem) = placed.look(&seen[&placed.name], turned_at) {
                problems.insert(format!("{}: {problem}", placed.case.name));
            }
        }
        for name in neighbours {
            assert_eq!(seen[*name].server["health"], "active", "a good neighbour");
        }
        let waits: Vec<_> = placed.iter().filter(|placed| !placed.is_done()).map(|placed| placed.case.name).collect();
        if waits.is_empty() {
            break;
        }
        if started.elapsed() > PATIENCE {
            problems.insert(format!("waited in vain for {waits:?}"));
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(problems.is_empty(), "{}", problems.into_iter().collect::<Vec<_>>().join("\n"));
    descriptors
}

impl Placed {
    /// Judges one look at the server.
    fn look(&mut self, seen: &Seen, turned_at: Timestamp) -> Result<(), String> {
        let (reason, detail, heartbeat) = (seen.reason(), seen.detail(), seen.heartbeat());
        if seen.seconds > LONGEST_SECONDS {
            return Err(format!("took {} s", seen.seconds));
        }
        // A busy machine runs late with anything. Whoever always does is missed in the end.
        let is_late = reason.is_some_and(|reason| reason.ends_with("_timeout") && detail == LATE)
            || reason == Some(FailureReason::Local.name()) && detail.contains(HELD_UP);
        // Until another name is answered, nobody knows whose fault it is that this one is not.
        let is_undecided = matches!(self.case.expected, Expected::Fails(FailureReason::Dns, _))
            && reason == Some(FailureReason::Local.name());
        match &self.case.expected {
            Expected::Fails(expected, words) if reason == Some(expected.name()) => {
                if !detail.contains(words) {
                    return Err(format!("{expected}: {detail:?} does not say {words:?}"));
                }
                let kept = self.kept.get_or_insert_with(|| heartbeat.clone());
                if *kept != heartbeat {
                    return Err(format!("{heartbeat} was {kept}"));
                }
                let is_known = kept[3] == page::SESSIONS && kept[2]["ram"] == page::RAM;
                if self.case.was_good() != is_known || self.case.was_good() == kept[0].is_null() {
                    return Err(format!("is known as {kept}"));
                }
                self.scrapes.insert(seen.scraped_at.clone());
            }
            _ if is_late || is_undecided => {}
            Expected::Fails(expected, _) if reason.is_some() => {
                return Err(format!("{reason:?} ({detail}) instead of {expected}"));
            }
            Expected::Fails(expected, _) if self.kept.is_some() => {
                return Err(format!("works after it failed with {expected}: {}", seen.server));
            }
            // It has not been scraped since.
            Expected::Fails(..) => {}
            Expected::Reads => {
                if let Some(reason) = reason {
                    return Err(format!("{reason}: {detail}"));
                }
                let load = seen.server["load"].as_object().into_iter().flat_map(|load| load.values());
                if load.filter_map(Value::as_f64).any(|percent| !(0.0..=100.0).contains(&percent)) {
                    return Err(format!("has a load of {}", seen.server["load"]));
                }
                if seen.scraped_at.parse::<Timestamp>().is_ok_and(|at| at > turned_at) {
                    self.scrapes.insert(seen.scraped_at.clone());
                }
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        // Our own fault is no scrape of the server.
        let is_ours = |case: &Case| matches!(case.expected, Expected::Fails(reason, _) if reason.is_local());
        self.scrapes.len() >= SCRAPES || (is_ours(&self.case) && self.kept.is_some())
    }
}

/// Judges what the store has of a host since it turned.
fn check_points(placed: &Placed, points: &[Point]) {
    let name = placed.case.name;
    match placed.case.expected {
        Expected::Fails(..) => {
            let mut behind = points.iter().skip_while(|point| point.failure.is_none());
            assert!(behind.all(|point| point.failure.is_some()), "{name} has a heartbeat: {points:?}");
        }
        Expected::Reads => {
            use FailureReason::{ConnTimeout, HeadTimeout, Local, TotalTimeout};
            // `Local` is said of them where we were to blame.
            let late = [HeadTimeout, TotalTimeout, ConnTimeout, Local];
            let is_good = |point: &Point| point.failure.is_none_or(|reason| late.contains(&reason));
            assert!(points.iter().all(is_good), "{name}: {points:?}");
            let is_ratio = |ratio: Option<f32>| ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio));
            // A wire may carry more than the host says it can.
            let is_rate = |rate: Option<u64>| rate.is_none_or(|rate| rate < FASTEST);
            let is_sane = |point: &Point| {
                let is_load = is_ratio(point.cpu) && is_ratio(point.ram) && point.net.is_none_or(|net| net >= 0.0);
                is_load && is_rate(point.receive_bytes_per_second) && is_rate(point.transmit_bytes_per_second)
            };
            assert!(points.iter().all(is_sane), "{name}: {points:?}");
        }
    }
}
