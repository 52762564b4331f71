//! The writer before a shared store that follows a script; the real ones are met in `tests/outage.rs`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use mect_fleet::spool::{self, Spool};
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{EventKind, Maintenance, Recorded, Recorder, Result, Store, StoreError, StoreState, story};
use mect_fleet::{HealthState, ServerId, Standing};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;

/// What the store does with the next calls.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Failing,
    Hanging,
    /// Refuses the records of every server.
    Fencing,
    /// Takes no batch with a scrape at a multiple of ten minutes.
    Picky,
    /// Takes no batch at all, and says so.
    Refusing,
}

fn rejected<T>() -> Result<T> {
    Err(StoreError::Rejected("Document failed validation".into()))
}

struct Scripted {
    mood: Mutex<Mood>,
    stored: Mutex<Vec<Record>>,
    record_calls: AtomicU32,
}

impl Scripted {
    async fn answer(&self, batch: &[Record]) -> Result<()> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Failing => Err(StoreError::Backend("no primary".into())),
            Mood::Hanging => std::future::pending().await,
            Mood::Picky if batch.iter().any(|record| record.report.at.as_secs() % 600 == 0) => rejected(),
            Mood::Well | Mood::Picky => {
                self.stored.lock().unwrap().extend_from_slice(batch);
                Ok(())
            }
            Mood::Refusing => rejected(),
            Mood::Fencing => Ok(()),
        }
    }
}

#[async_trait]
impl Recorder for Scripted {
    async fn record(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        self.record_calls.fetch_add(1, Ordering::Relaxed);
        self.answer(&batch).await?;
        let fences = *self.mood.lock().unwrap() == Mood::Fencing;
        let refused = if fences { (0..batch.len()).collect() } else { Vec::new() };
        Ok(Recorded { refused })
    }
    async fn replay(&self, batch: Arc<Vec<Record>>) -> Result<Recorded> {
        self.answer(&batch).await?;
        Ok(Recorded::default())
    }
    async fn standings(&self) -> Result<Vec<(ServerId, Standing)>> {
        Ok(Vec::new())
    }
    async fn maintain(&self, _: Timestamp, _: Timestamp) -> Result<Maintenance> {
        Ok(Maintenance::default())
    }
}

/// A writer and a replay at work, and the server whose scrapes they take.
struct House {
    scripted: Arc<Scripted>,
    store: Store,
    spool: Arc<Spool>,
    fleet: Arc<Fleet>,
    metrics: Metrics,
    server: ServerId,
    standing: Standing,
    clock: u32,
    queue: Queue,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
    data: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
        let servers = store.inventory.register(vec![story::registration(1)], Timestamp::from_secs(1)).await.unwrap();
        let fleet = Arc::new(Fleet::load(store.inventory.clone(), Vec::new()).await.unwrap());
        let scripted = Arc::new(Scripted {
            mood: Mutex::new(Mood::Well),
            stored: Mutex::default(),
            record_calls: AtomicU32::new(0),
        });
        store.recorder = scripted.clone();
        let spool = Arc::new(Spool::open(&spool_in(data.path()), spool::Options::default()).unwrap());
        let metrics = Metrics::register(&mut Registry::default());
        let outage = Outage::new(fleet.clone(), metrics.clone());
        let (keeper, replay) = Replay::new(&store, spool.clone(), outage, &metrics);
        let (queue, writer) = Writer::new(keeper, fleet.clone(), metrics.clone());
        let stop = CancellationToken::new();
        let running = vec![tokio::spawn(writer.run()), tokio::spawn(replay.run(stop.clone()))];
        let (server, standing) = (servers[0].id, Standing::default());
        Self { scripted, store, spool, fleet, metrics, server, standing, clock: 0, queue, stop, running, data }
    }

    fn mood(&self, mood: Mood) {
        *self.scripted.mood.lock().unwrap() = mood;
    }

    /// Scrapes the server and waits until that is shown, if it is to be.
    async fn scrape(&mut self) -> Timestamp {
        self.clock += 1;
        let at = Timestamp::from_secs(i64::from(self.clock) * 120);
        let record = story::observe(&mut self.standing, self.server, at, story::heartbeat(self.clock));
        self.queue.send(record).await.unwrap();
        at
    }

    async fn scrape_shown(&mut self) {
        let at = self.scrape().await;
        self.until("the scrape to be shown", |house| {
            house.fleet.standing(house.server).is_some_and(|standing| standing.last_scrape == Some(at))
        })
        .await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = std::time::Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < Duration::from_secs(30), "waited for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn stored(&self) -> Vec<i64> {
        let mut stored: Vec<_> =
            self.scripted.stored.lock().unwrap().iter().map(|record| record.report.at.as_secs() / 120).collect();
        stored.dedup();
        stored
    }

    /// Ends as the collector does: the writer first, when nothing more comes.
    async fn close(self) -> (Store, tempfile::TempDir) {
        let Self { queue, running, stop, store, data, .. } = self;
        drop(queue);
        let mut running = running.into_iter();
        running.next().unwrap().await.unwrap();
        stop.cancel();
        running.next().unwrap().await.unwrap();
        (store, data)
    }
}

fn spool_in(data: &Path) -> std::path::PathBuf {
    data.join("spool")
}

#[tokio::test]
async fn an_outage_loses_nothing_and_is_told() {
    let mut house = House::new().await;
    house.scrape_shown().await;
    house.mood(Mood::Failing);
    for _ in 0..3 {
        house.scrape_shown().await;
    }
    assert!(house.fleet.store_state().is_lost());
    assert_eq!((house.stored(), house.spool.stats().records), (vec![1], 3));
    assert_eq!(house.metrics.store_up.get(), 0);
    assert_eq!(house.scripted.record_calls.load(Ordering::Relaxed), 2, "live batches no longer ask");

    house.mood(Mood::Well);
    house.until("the spool to be empty", |house| house.spool.stats().records == 0).await;
    house.until("the store to be back", |house| house.fleet.store_state() == StoreState::Answers).await;
    house.scrape_shown().await;
    assert_eq!(house.stored(), [1, 2, 3, 4, 5], "oldest first, then live");
    assert_eq!((house.metrics.replayed.get(), house.metrics.recorded.get()), (3, 5));
    let journal = house.store.journal.clone();
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let events = journal.events(None, Timestamp::now() + Duration::from_secs(1), 10).await.unwrap();
        kinds = events.into_iter().map(|event| event.kind).collect();
    }
    assert_eq!(kinds, [EventKind::StoreBack, EventKind::StoreLost], "newest first");
    house.close().await;
}

#[tokio::test]
async fn a_hanging_store_holds_a_scrape_back_for_seconds_only() {
    let mut house = House::new().await;
    house.mood(Mood::Hanging);
    let started = Instant::now();
    house.scrape_shown().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let started = Instant::now();
    house.scrape_shown().await;
    assert!(started.elapsed() < Duration::from_secs(3), "known by now: {:?}", started.elapsed());
    assert_eq!(house.spool.stats().records, 2);
    let (_, data) = house.close().await;
    let left = Spool::open(&spool_in(data.path()), spool::Options::default()).unwrap();
    assert_eq!(left.stats().records, 2, "what the store did not take by the stop waits for the next start");
}

#[tokio::test]
async fn what_another_collector_took_over_is_not_shown() {
    let mut house = House::new().await;
    house.scrape_shown().await;
    let shown = house.fleet.standing(house.server);
    house.mood(Mood::Fencing);
    house.scrape().await;
    house.until("the refusal", |house| house.metrics.refused.get() == 1).await;
    assert_eq!(house.fleet.standing(house.server), shown);
    assert_eq!((house.metrics.recorded.get(), house.spool.stats().records), (1, 0));
    house.close().await;
}

#[tokio::test]
async fn without_a_way_out_a_batch_waits_in_memory() {
    let mut house = House::new().await;
    // Nothing can be created where there is no directory.
    std::fs::remove_dir_all(spool_in(house.data.path())).unwrap();
    house.mood(Mood::Failing);
    let at = house.scrape().await;
    house.until("two attempts", |house| house.metrics.record_failures.get() >= 2).await;
    assert_eq!(house.fleet.standing(house.server).unwrap().last_scrape, None, "not durable, not shown");
    house.mood(Mood::Well);
    house.until("the batch", |house| house.stored() == [1]).await;
    house.until("it to be shown", |h| h.fleet.standing(h.server).unwrap().last_scrape == Some(at)).await;
    assert_eq!(house.fleet.store_state(), StoreState::Answers);
    house.close().await;
}

/// Times, in steps of two minutes, of the records that were set aside.
fn set_aside(house: &House) -> Vec<i64> {
    let lines = std::fs::read_to_string(spool_in(house.data.path()).join("refused.jsonl")).unwrap_or_default();
    let records = lines.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    records.map(|record| record.report.at.as_secs() / 120).collect()
}

#[tokio::test]
async fn a_record_that_is_always_refused_holds_nothing_up() {
    let mut house = House::new().await;
    house.mood(Mood::Picky);
    for _ in 0..3 {
        house.scrape_shown().await;
    }
    // The fifth of these is refused, alone or with its neighbours.
    for _ in 0..5 {
        house.scrape().await;
    }
    house.until("the culprit to be found", |house| house.metrics.set_aside.get() == 1).await;
    house.scrape_shown().await;
    house.until("the spool to be empty", |house| house.spool.stats().records == 0).await;
    assert_eq!(set_aside(&house), [5]);
    let mut stored = house.stored();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored, [1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(house.fleet.store_state(), StoreState::Answers, "a refusal is no outage");
    assert_eq!(house.metrics.store_up.get(), 1);
    house.close().await;
}

#[tokio::test]
async fn culprits_are_found_among_what_an_outage_left() {
    let mut house = House::new().await;
    house.mood(Mood::Failing);
    for _ in 0..22 {
        house.scrape().await;
    }
    house.scrape_shown().await;
    house.mood(Mood::Picky);
    house.until("the spool to be empty", |house| house.spool.stats().records == 0).await;
    assert_eq!(set_aside(&house), [5, 10, 15, 20]);
    assert_eq!((house.metrics.set_aside.get(), house.metrics.replayed.get()), (4, 19));
    house.close().await;
}

#[tokio::test]
async fn a_store_that_refuses_everything_loses_nothing() {
    let mut house = House::new().await;
    house.scrape_shown().await;
    house.mood(Mood::Refusing);
    for _ in 0..40 {
        house.scrape().await;
    }
    house.scrape_shown().await;
    house.until("the loss", |house| house.fleet.store_state().is_lost()).await;
    let failures = house.metrics.record_failures.get();
    house.until("another attempt", |house| house.metrics.record_failures.get() > failures + 1).await;
    assert_eq!((house.metrics.set_aside.get(), house.spool.stats().records), (0, 41));
    house.mood(Mood::Well);
    house.until("the spool to be empty", |house| house.spool.stats().records == 0).await;
    assert_eq!((house.metrics.set_aside.get(), house.metrics.replayed.get()), (0, 41));
    house.close().await;
}

#[test]
fn health_goes_on_from_whoever_knows_more() {
    let servers: [ServerId; 3] = ["srv-aaaaaaaa", "srv-bbbbbbbb", "srv-cccccccc"].map(|id| id.parse().unwrap());
    let at = |seconds| Standing { last_scrape: Some(Timestamp::from_secs(seconds)), ..Standing::default() };
    let stored = vec![(servers[0], at(10)), (servers[1], at(10))];
    let spooled = [(servers[1], at(20)), (servers[0], at(5)), (servers[2], at(1))].into_iter().collect();
    let mut newest = newest_standings(stored, spooled);
    newest.sort_by_key(|(server, _)| *server);
    assert_eq!(newest, [(servers[0], at(10)), (servers[1], at(20)), (servers[2], at(1))]);
}

#[test]
fn what_another_collector_has_overtaken_is_not_gone_on_from() {
    let server: ServerId = "srv-aaaaaaaa".parse().unwrap();
    let scraped = |epoch, scrapes, transitions| {
        let state = HealthState { transitions, ..HealthState::default() };
        Standing { epoch, scrapes, state, ..Standing::default() }
    };
    let (spooled, theirs) = (scraped(1, 90, 6), scraped(2, 10, 1));
    let newest = newest_standings(vec![(server, theirs.clone())], [(server, spooled)].into_iter().collect());
    assert_eq!(newest, [(server, theirs)]);
}
