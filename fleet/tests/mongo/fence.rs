//! Who has lost a server to a newer epoch writes nothing of it any more.

use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use mect_fleet::store::mongo::Mongo;
use mect_fleet::store::{History, Inventory, Record, Recorder, story};
use mect_fleet::{Health, Outcome, ServerId, Standing, Timestamp, series};

use crate::shared;

const START: Timestamp = Timestamp::from_secs(1_790_035_200);
const STEP: Duration = Duration::from_secs(120);

async fn servers(store: &Mongo, count: usize) -> Vec<ServerId> {
    let registered = store.register((0..count).map(story::registration).collect(), START).await.unwrap();
    registered.iter().map(|server| server.id).collect()
}

/// What the leases role does when a shard changes hands.
fn take_over(database: &str, server: ServerId, epoch: i64) {
    let raise = doc! { "$set": { "mect.epoch": epoch, "mect.since": epoch } };
    let raise = doc! { "q": { "mect.id": server.to_string() }, "u": raise };
    let set = &shared().set;
    set.command(set.primary(), doc! { "update": "servers", "updates": [raise], "$db": database }).unwrap();
}

fn scrape(standing: &mut Standing, server: ServerId, n: u32, epoch: u64) -> Record {
    let outcome = if n % 7 > 3 { story::failed() } else { story::heartbeat(n) };
    standing.epoch = epoch;
    Record { epoch, ..story::observe(standing, server, START + STEP * n, outcome) }
}

async fn points(store: &Mongo, server: ServerId) -> usize {
    store.points(server, START..START + STEP * 100_000).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_epoch_is_refused_and_nothing_of_it_kept() {
    let store = shared().open("fence").await;
    let [mine, taken, gone] = servers(&store, 3).await.try_into().unwrap();
    let mut standings = [Standing::default(), Standing::default(), Standing::default()];
    let mut batch = |from: u32, epoch| -> Arc<Vec<Record>> {
        let of = |(server, standing): (&ServerId, &mut Standing)| {
            (from..from + 10).map(|n| scrape(standing, *server, n, epoch)).collect::<Vec<_>>()
        };
        Arc::new([mine, taken, gone].iter().zip(&mut standings).flat_map(of).collect())
    };
    assert!(store.record(batch(0, 3)).await.unwrap().refused.is_empty());
    let (before, flips) = (store.standings().await.unwrap(), store.transitions(Some(taken), 100).await.unwrap());
    take_over("fence", taken, 4);
    assert!(store.delete_server(gone).await.unwrap());

    let late = batch(10, 3);
    let of_taken: Vec<_> = (0..late.len()).filter(|place| late[*place].report.server == taken).collect();
    assert_eq!(store.record(Arc::clone(&late)).await.unwrap().refused, of_taken);
    assert_eq!((points(&store, mine).await, points(&store, taken).await), (20, 10));
    assert_eq!(points(&store, gone).await, 10, "history goes with retention; of a deleted server none is added");
    let standing = |standings: &[(ServerId, Standing)], server| {
        standings.iter().find(|(known, _)| *known == server).unwrap().1.clone()
    };
    let after = store.standings().await.unwrap();
    assert_eq!(standing(&after, taken), standing(&before, taken));
    assert_ne!(standing(&after, mine), standing(&before, mine));
    assert_eq!(store.transitions(Some(taken), 100).await.unwrap(), flips);

    // Of what a spool brings, the heartbeats were acknowledged; the rest was never the truth.
    assert_eq!(store.replay(Arc::clone(&late)).await.unwrap().refused, of_taken);
    let heartbeats = of_taken.iter().filter(|place| matches!(late[**place].report.outcome, Outcome::Up(_))).count();
    assert_eq!((points(&store, mine).await, points(&store, taken).await), (20, 10 + heartbeats));
    assert_eq!(standing(&store.standings().await.unwrap(), taken), standing(&before, taken));
    assert_eq!(store.transitions(Some(taken), 100).await.unwrap(), flips);

    // Who took it over goes on.
    let mut theirs = standing(&before, taken);
    let next = Arc::new(vec![scrape(&mut theirs, taken, 40, 4)]);
    assert!(store.record(next).await.unwrap().refused.is_empty());
    assert_eq!(standing(&store.standings().await.unwrap(), taken), theirs);
}

/// Cut off from the database, a collector judges on while another one has taken over. Both see the same server at the
/// same times, and see something else.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_judged_at_once_the_newer_epoch_tells_the_history() {
    let store = shared().open("two_at_once").await;
    let server = servers(&store, 1).await[0];
    let mut standing = Standing::default();
    let at = |n: u32| START + STEP * n;
    let judge = |standing: &mut Standing, n: u32, epoch: u64, outcome| {
        standing.epoch = epoch;
        Record { epoch, ..story::observe(standing, server, at(n), outcome) }
    };
    let (up, down) = (story::heartbeat, story::failed);
    store.record(Arc::new((0..3).map(|n| judge(&mut standing, n, 1, up(n))).collect())).await.unwrap();
    let mut theirs = standing.clone();
    // Down and up again, and scrapes that nobody else made.
    let spooled: Vec<_> = (3..12).map(|n| judge(&mut standing, n, 1, if n < 8 { down() } else { up(n) })).collect();
    let beside: Vec<_> = (40..42).map(|n| judge(&mut standing, n, 1, up(n))).collect();
    take_over("two_at_once", server, 2);
    let truth: Vec<_> = (3..30).map(|n| judge(&mut theirs, n, 2, if n < 15 { up(n) } else { down() })).collect();
    let half = truth.len() / 2;
    store.record(Arc::new(truth[..half].to_vec())).await.unwrap();
    store.replay(Arc::new([spooled.clone(), beside.clone()].concat())).await.unwrap();
    store.replay(Arc::new(spooled)).await.unwrap();
    store.record(Arc::new(truth[half..].to_vec())).await.unwrap();

    let mut told = store.transitions(Some(server), 100).await.unwrap();
    told.reverse();
    let flips: Vec<_> = told.iter().map(|flip| (flip.number, flip.to, flip.at)).collect();
    assert_eq!(flips, [(1, Health::Active, at(0)), (2, Health::Down, at(17))]);
    assert_eq!(store.standings().await.unwrap(), [(server, theirs)]);
    let points = store.points(server, START..at(100)).await.unwrap();
    assert_eq!(points.len(), 32, "every tick once, and the heartbeats beside them");
    for (point, record) in points[3..30].iter().zip(&truth) {
        assert_eq!((point.at, point.health), (record.report.at, record.standing.state.health));
        assert_eq!(point.failure.is_none(), matches!(record.report.outcome, Outcome::Up(_)));
    }
    for (point, record) in points[30..].iter().zip(&beside) {
        assert_eq!((point.at, point.failure, point.health), (record.report.at, None, Health::Down));
    }
    let hours = store.series(server, START..at(60), series::HOUR).await.unwrap();
    let counts = (hours.iter().map(|hour| hour.checks).sum::<u32>(), hours.iter().map(|hour| hour.failures).sum());
    assert_eq!(counts, (32, 15));
}

/// A collector was killed in an outage. Started again it has a lease of its own, and goes on with what it spooled.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_same_collector_spooled_before_a_restart_is_kept_whole() {
    let store = shared().open("restarted").await;
    let server = servers(&store, 1).await[0];
    let raise = |epoch: i64| {
        let raise = doc! { "q": {}, "u": { "$set": { "mect.epoch": epoch, "mect.since": 1i64 } } };
        let set = &shared().set;
        set.command(0, doc! { "update": "servers", "updates": [raise], "$db": "restarted" }).unwrap();
    };
    raise(1);
    let mut standing = Standing::default();
    let spooled: Vec<_> = (0..20).map(|n| scrape(&mut standing, server, n, 1)).collect();
    raise(2);
    let live = scrape(&mut standing, server, 20, 2);
    assert!(store.record(Arc::new(vec![live.clone()])).await.unwrap().refused.is_empty());
    assert!(store.replay(Arc::new(spooled.clone())).await.unwrap().refused.is_empty());
    let mut flips: Vec<_> = spooled.iter().chain([&live]).filter_map(|record| record.transition.clone()).collect();
    flips.reverse();
    assert!(flips.len() > 3);
    assert_eq!(store.transitions(Some(server), 100).await.unwrap(), flips);
    assert_eq!(points(&store, server).await, 21);
    assert_eq!(store.standings().await.unwrap(), [(server, standing.clone())]);
    // And the epoch was not set back by the replay.
    let late = scrape(&mut standing, server, 21, 1);
    assert_eq!(store.record(Arc::new(vec![late])).await.unwrap().refused, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flip_whose_writer_died_is_told_when_standings_are_read() {
    let store = shared().open("waiting").await;
    let server = servers(&store, 1).await[0];
    let mut standing = Standing::default();
    store.record(Arc::new((0..3).map(|n| scrape(&mut standing, server, n, 0)).collect())).await.unwrap();
    let told = store.transitions(Some(server), 10).await.unwrap();
    assert_eq!(told.len(), 1);
    // As a crash leaves it: noted with the standing, not yet in the log.
    let set = &shared().set;
    let flip = bson::serialize_to_document(&told[0]).unwrap();
    let note = doc! { "q": {}, "u": { "$set": { "mect.pending": [flip] } } };
    set.command(0, doc! { "update": "servers", "updates": [note], "$db": "waiting" }).unwrap();
    let forget = doc! { "q": { "kind": "transition" }, "limit": 0 };
    set.command(0, doc! { "delete": "events", "deletes": [forget], "$db": "waiting" }).unwrap();
    assert_eq!(store.transitions(Some(server), 10).await.unwrap(), []);

    assert_eq!(store.standings().await.unwrap(), [(server, standing)]);
    assert_eq!(store.transitions(Some(server), 10).await.unwrap(), told);
    let ours = set.dump("waiting", "servers")[0].get_document("mect").unwrap().clone();
    assert_eq!(ours.get_array("pending").unwrap().len(), 0);
}
