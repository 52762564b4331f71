//! Receivers and collectors that go away and come back.

use std::path::Path;

use crate::receiver::{Receiver, Reply};
use crate::scene::{address, home, metric, recorded, remote_write, server_ids, times, until_sent};
use crate::support::collector::Collector;
use crate::support::prometheus::Prometheus;
use crate::support::promql::Promql;
use crate::support::victoria::VictoriaMetrics;
use crate::support::{eventually, simulate};

/// Samples that pile up while nobody takes them.
const PILED: f64 = 400.0;

fn up(server: &str) -> String {
    format!("up{{server_id=\"{server}\"}}")
}

/// Asserts that a database has a sample of each scrape that the collector recorded, once, and in order.
#[track_caller]
fn holds_every_scrape(database: &Promql, collector: &Collector) {
    for server in server_ids(collector) {
        let told = times(&database.samples(&up(&server)));
        // What came after the last whole second may be under way.
        let to = told.last().unwrap() / 1000;
        let stored = told.iter().filter(|at| **at < to * 1000).count();
        assert!(stored > 3, "{told:?}");
        assert_eq!(stored, recorded(collector, &server, to), "{told:?}");
    }
}

#[test]
fn what_is_scraped_while_receivers_are_away_arrives_later() {
    let (one, other) = (address(), address());
    let home = home(&(remote_write("one", &one, "") + &remote_write("other", &other, "")));
    let start =
        |directory: &Path| (Prometheus::receiver(directory, &one), VictoriaMetrics::start(directory, &other, None));
    let (prometheus, victoria) = start(home.path());
    let _simulation = simulate(2, &home.path().join("targets.json"));
    let collector = home.start();
    let count = "count(up{job=\"vpn\"})";
    eventually("both servers at both", || {
        (prometheus.number(count)? == 2.0 && victoria.promql.number(count)? == 2.0).then_some(())
    });
    prometheus.stop();
    victoria.stop();
    for name in ["one", "other"] {
        eventually("samples to wait", || (metric(&collector, "queue_samples", name) > PILED).then_some(()));
        assert!(metric(&collector, "failures_total", name) > 0.0);
        assert!(metric(&collector, "oldest_seconds", name) > 1.0);
        assert!(metric(&collector, "queue_bytes", name) > 1000.0);
    }
    let (prometheus, victoria) = start(home.path());
    for (database, name) in [(&prometheus.promql, "one"), (&victoria.promql, "other")] {
        until_sent(&collector, name);
        eventually("it to answer", || database.ask("up"));
        holds_every_scrape(database, &collector);
        assert_eq!(metric(&collector, "dropped_samples_total", name), 0.0);
        assert_eq!(metric(&collector, "rejected_samples_total", name), 0.0);
    }
    assert!(prometheus.faults().is_empty(), "{:?}", prometheus.faults());
    let log = home.log();
    assert_eq!(log.matches("they wait and are sent again").count(), 2, "once for each: {log}");
    assert_eq!(log.matches("remote write goes on").count(), 2, "{log}");
}

#[test]
fn a_kill_while_a_receiver_is_away_loses_nothing_that_waited_and_doubles_nothing() {
    let (one, other) = (address(), address());
    let home = home(&(remote_write("one", &one, "") + &remote_write("other", &other, "")));
    let (prometheus, victoria) =
        (Prometheus::receiver(home.path(), &one), VictoriaMetrics::start(home.path(), &other, None));
    let _simulation = simulate(2, &home.path().join("targets.json"));
    let mut collector = home.start();
    eventually("samples there", || prometheus.ask("up").and(victoria.promql.ask("up")));
    prometheus.stop();
    victoria.stop();
    for name in ["one", "other"] {
        eventually("samples to wait", || (metric(&collector, "queue_samples", name) > PILED).then_some(()));
    }
    let waited = metric(&collector, "queue_samples", "one");
    collector.program.kill();
    let killed_at = mect_fleet::Timestamp::now().as_millis();
    let collector = home.start();
    assert!(metric(&collector, "queue_samples", "one") >= waited, "what waited still waits");
    let (prometheus, victoria) =
        (Prometheus::receiver(home.path(), &one), VictoriaMetrics::start(home.path(), &other, None));
    for (database, name) in [(&prometheus.promql, "one"), (&victoria.promql, "other")] {
        eventually("scrapes of both lives", || {
            let samples = database.samples(&up(&server_ids(&collector)[0]));
            (samples.last()?.0 > killed_at + 2000).then_some(())
        });
        for server in server_ids(&collector) {
            let told = times(&database.samples(&up(&server)));
            // What was recorded, and not yet in the queue when it was killed, is not sent.
            let missing = recorded(&collector, &server, told.last().unwrap() / 1000)
                .saturating_sub(told.iter().filter(|at| **at < told.last().unwrap() / 1000 * 1000).count());
            assert!(missing <= 1, "{missing} of {told:?}");
        }
        assert_eq!(metric(&collector, "dropped_samples_total", name), 0.0);
        assert_eq!(metric(&collector, "rejected_samples_total", name), 0.0);
    }
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts() {
    const CAPACITY: f64 = (1 << 20) as f64;
    let at = address();
    let home = home(&remote_write("one", &at, "send = \"all\"\nqueue_mib = 1\nmax_samples = 20"));
    let _simulation = simulate(40, &home.path().join("targets.json"));
    let collector = home.start();
    eventually("samples to be dropped", || {
        assert!(metric(&collector, "queue_bytes", "one") <= CAPACITY);
        (metric(&collector, "dropped_samples_total", "one") > 0.0).then_some(())
    });
    assert!(home.log().contains("the spool is full; its oldest records are dropped"));
    let oldest =
        mect_fleet::Timestamp::now().as_millis() - (metric(&collector, "oldest_seconds", "one") * 1000.0) as i64;
    let victoria = VictoriaMetrics::start(home.path(), &at, None);
    let first = eventually("a sample", || {
        victoria
            .promql
            .ask("min_over_time(timestamp(vpn_server_listed)[1h:1s])")
            .and_then(|found| found[0]["value"][1].as_str()?.parse::<f64>().ok())
    });
    assert!(first * 1000.0 >= (oldest - 1000) as f64, "{first} {oldest}");
}

#[test]
fn a_kill_in_the_middle_of_sending_loses_and_doubles_nothing_that_was_not_taken() {
    let receiver = Receiver::start(Reply::Hang);
    let home = home(&remote_write("one", &receiver.address, ""));
    let _simulation = simulate(1, &home.path().join("targets.json"));
    let mut collector = home.start();
    eventually("a request that is not answered", || receiver.got().pop());
    eventually("samples to wait", || (metric(&collector, "queue_samples", "one") > PILED / 4.0).then_some(()));
    collector.program.kill();
    let waited = receiver.got();
    assert!(waited.iter().all(|got| got.body == waited[0].body), "one at a time");
    receiver.reply(Reply::status(204));
    let collector = home.start();
    until_sent(&collector, "one");
    let got = receiver.got();
    let taken: Vec<_> = got.iter().filter(|got| got.status == 204).map(|got| &got.body).collect();
    assert_eq!(*taken[0], waited[0].body, "the very request that was under way");
    assert_eq!(taken.iter().filter(|body| ***body == waited[0].body).count(), 1);
    assert!(metric(&collector, "samples_total", "one") >= PILED / 4.0);
}
