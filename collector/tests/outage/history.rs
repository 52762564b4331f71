//! The history checker: primaries and collectors are killed again and again, at every stage of an outage, while the
//! health of one server flips all the time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mect_testkit::mongo::ReplicaSet;

use crate::alone;
use crate::scene::{Readers, Scene, Shown, metric};
use crate::support::collector::Collector;
use crate::support::{eventually, exporter, free_port};

/// Each kills one primary and two collectors.
const ROUNDS: u32 = 26;
/// The server that flips.
const FLAPPING: Ipv4Addr = Ipv4Addr::new(127, 0, 99, 1);

#[test]
fn every_shown_heartbeat_is_kept_exactly_once() {
    let _alone = alone();
    let mut set = ReplicaSet::start(3);
    let port = free_port(FLAPPING);
    let scene = Scene::new(&set.url("history"), 0.25, &[(FLAPPING, port).into()]);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flapper = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let up = exporter(FLAPPING, port, |_| {});
            std::thread::sleep(Duration::from_millis(2500));
            drop(up);
            std::thread::sleep(Duration::from_millis(1500));
        }
    });
    let mut moments = Moments(0x9E37_79B9);
    let mut shown = Shown::default();
    let (mut spooled_at_kill, mut replayed_before_kill) = (0, 0);
    let started = Instant::now();
    for round in 1..=ROUNDS {
        // Killed while all is well, or while it replays what the collector before it had spooled.
        let (collector, readers) = start(&scene);
        moments.sleep(1000);
        shown.extend(kill(collector, readers));

        let (collector, readers) = start(&scene);
        moments.sleep(500);
        set.settle();
        let primary = set.primary();
        set.kill(primary);
        if round % 2 == 0 {
            // Another one is elected. Killed while that goes on, or afterwards.
            moments.sleep(4000);
        } else {
            // No majority is left. Killed in the outage, or in the replay after it.
            let second = (primary + 1) % set.len();
            set.kill(second);
            eventually("the spool to fill", || (metric(&collector, "mect_spool_records") > 0.0).then_some(()));
            moments.sleep(1000);
            if round % 4 == 1 {
                set.restart(second);
                set.primary();
                // Before the replay, or for certain in it or after it.
                if round % 8 == 1 {
                    let replayed = || metric(&collector, "mect_records_replayed_total") > 0.0;
                    eventually("the replay to begin", || replayed().then_some(()));
                }
                moments.sleep(1500);
            }
        }
        let (spooled, replayed) =
            (metric(&collector, "mect_spool_records"), metric(&collector, "mect_records_replayed_total"));
        spooled_at_kill += u32::from(spooled > 0.0);
        replayed_before_kill += u32::from(replayed > 0.0);
        shown.extend(kill(collector, readers));
        println!("round {round}: {replayed} replayed and {spooled} in the spool, {:?} so far", started.elapsed());
        set.revive();
        set.primary();
    }
    println!("{spooled_at_kill} kills with a filled spool, {replayed_before_kill} after a replay");
    assert!(spooled_at_kill > 3 && replayed_before_kill > 3, "the moments prove little");
    let last = scene.home.start();
    eventually("the spool to be empty", || (metric(&last, "mect_spool_records") == 0.0).then_some(()));
    assert_eq!(metric(&last, "mect_spool_dropped_records_total"), 0.0);
    last.stop();
    stop.store(true, Ordering::Relaxed);
    flapper.join().unwrap();
    set.settle();
    scene.check(&set, &shown, 2 * ROUNDS as usize);
}

fn start(scene: &Scene) -> (Collector, Readers) {
    let collector = scene.home.start();
    let readers = Readers::start(&collector);
    (collector, readers)
}

fn kill(mut collector: Collector, readers: Readers) -> Shown {
    collector.program.kill();
    readers.finish().0
}

/// Another moment each time, the same ones in each run.
struct Moments(u32);

impl Moments {
    fn sleep(&mut self, most_ms: u32) {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_millis((u64::from(self.0 >> 8) * u64::from(most_ms)) >> 24));
    }
}
