//! The loop before leases that follow a script; real ones, and several collectors, are met in `tests/many.rs`.

use std::sync::Mutex;

use async_trait::async_trait;
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{AuditEntry, AuditMarks, AuditRecord, Event, Inventory, Store, story};
use mect_fleet::{Server, Timestamp};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::*;
use crate::discovery::Target;

const LEASE: Duration = Duration::from_secs(30);

/// What the store does with the next calls.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Failing,
    Hanging,
}

/// Leases of a store that has this one collector, and as many others as it is told.
struct Scripted {
    mood: Mutex<Mood>,
    others: Mutex<Vec<Member>>,
    calls: watch::Sender<Vec<&'static str>>,
}

impl Scripted {
    async fn answer(&self, call: &'static str) -> Result<()> {
        self.calls.send_modify(|calls| calls.push(call));
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(()),
            Mood::Failing => Err(StoreError::Backend("no primary".into())),
            Mood::Hanging => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Leases for Scripted {
    async fn join(&self, member: &Member, _: Duration) -> Result<Vec<Member>> {
        self.answer("join").await?;
        let mut members = self.others.lock().unwrap().clone();
        members.push(member.clone());
        Ok(members)
    }
    async fn renew(&self, _: &Member, held: &[Lease], _: Duration) -> Result<Vec<Lease>> {
        self.answer("renew").await?;
        Ok(held.to_vec())
    }
    async fn acquire(&self, _: &Member, shards: &[Shard], _: Duration) -> Result<Vec<Acquired>> {
        self.answer("acquire").await?;
        let acquired = shards.iter().map(|shard| Acquired {
            lease: Lease { shard: *shard, epoch: 1 },
            since: 1,
            standings: Vec::new(),
        });
        Ok(acquired.collect())
    }
    async fn release(&self, _: &Member, _: &[Lease]) -> Result<()> {
        self.answer("release").await
    }
    async fn leave(&self, _: &Member) -> Result<()> {
        self.answer("leave").await
    }
}

/// A journal that never answers.
struct Silent;

#[async_trait]
impl Journal for Silent {
    async fn append_events(&self, _: Vec<Event>) -> Result<()> {
        std::future::pending().await
    }
    async fn events(&self, _: Option<ServerId>, _: Timestamp, _: usize) -> Result<Vec<Event>> {
        std::future::pending().await
    }
    async fn append_audit(&self, _: AuditEntry) -> Result<AuditRecord> {
        std::future::pending().await
    }
    async fn audit(&self, _: Option<u64>, _: usize) -> Result<Vec<AuditRecord>> {
        std::future::pending().await
    }
    async fn audit_after(&self, _: u64, _: usize) -> Result<Vec<AuditRecord>> {
        std::future::pending().await
    }
    async fn audit_marks(&self) -> Result<AuditMarks> {
        std::future::pending().await
    }
}

/// The loop at work.
struct House {
    leases: Arc<Scripted>,
    calls: watch::Receiver<Vec<&'static str>>,
    targets: watch::Sender<TargetSet>,
    ours: watch::Receiver<TargetSet>,
    term: Arc<Term>,
    servers: Vec<Server>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _data: tempfile::TempDir,
}

impl House {
    /// With every shard held, and one target.
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(data.path(), Options::default()).unwrap()));
        let inventory: Arc<dyn Inventory> = store.inventory.clone();
        let servers = inventory.register((1..3).map(story::registration).collect(), Timestamp::from_secs(1)).await;
        let fleet = Arc::new(Fleet::load(inventory, Vec::new()).await.unwrap());
        let (calls, told) = watch::channel(Vec::new());
        let leases = Arc::new(Scripted { mood: Mutex::new(Mood::Well), others: Mutex::default(), calls });
        let (targets, discovered) = watch::channel(TargetSet::default());
        let sharding = Sharding::new(Parts {
            leases: leases.clone(),
            journal: Arc::new(Silent),
            fleet,
            discovered,
            lease: LEASE,
            member: Member { id: "b".into(), name: "b".into() },
            metrics: Metrics::register(&mut Registry::default()),
        });
        let (ours, term, stop) = (sharding.subscribe(), sharding.term(), CancellationToken::new());
        let running = tokio::spawn(sharding.run(stop.clone()));
        let servers = servers.unwrap();
        let mut house = Self { leases, calls: told, targets, ours, term, servers, stop, running, _data: data };
        house.discover(1).await;
        // From here on only the test moves the clock.
        tokio::time::pause();
        house
    }

    /// Discovers that many targets, and waits until they are ours.
    async fn discover(&mut self, count: usize) {
        let target = |server: &Server| Target {
            server: server.id,
            page: Some(mect_fleet::ScrapeTarget::at(format!("{}:9100", server.ip).parse().unwrap())),
            fallback_format: None,
            capacity_bytes_per_second: None,
            accepted_host: None,
            epoch: 0,
        };
        self.targets.send_replace(Arc::new(self.servers[..count].iter().map(target).collect()));
        self.ours.wait_for(|ours| ours.len() == count).await.unwrap();
    }

    fn mood(&self, mood: Mood) {
        *self.leases.mood.lock().unwrap() = mood;
    }

    /// Waits for one more call.
    async fn called(&mut self, call: &str) {
        let seen = self.calls.borrow_and_update().len();
        self.calls.wait_for(|calls| calls[seen..].contains(&call)).await.unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn who_was_stopped_in_the_middle_of_a_look_does_not_scrape_on() {
    let mut house = House::new().await;
    house.mood(Mood::Hanging);
    house.called("join").await;
    // As SIGSTOP does: the look is under way, and the clock goes on alone.
    tokio::time::advance(LEASE * 2).await;
    house.called("renew").await;
    assert!(house.term.is_over(), "the look failed, but the term had ended before");
    house.mood(Mood::Failing);
    house.called("renew").await;
    house.called("renew").await;
    assert!(house.term.is_over(), "it must ask first");
    house.mood(Mood::Well);
    house.called("join").await;
    assert!(!house.term.is_over());
    house.end().await;
}

#[tokio::test]
async fn scraping_goes_on_while_the_store_is_away_however_it_is() {
    let mut house = House::new().await;
    for mood in [Mood::Hanging, Mood::Failing, Mood::Hanging] {
        house.mood(mood);
        for _ in 0..300 {
            tokio::time::sleep(LEASE / 100).await;
            assert!(!house.term.is_over());
        }
        house.mood(Mood::Well);
        house.called("renew").await;
        house.called("join").await;
        assert!(!house.term.is_over());
    }
    house.end().await;
}

#[tokio::test]
async fn neither_stop_nor_targets_wait_for_a_look() {
    let mut house = House::new().await;
    house.mood(Mood::Hanging);
    house.called("join").await;
    let asked = Instant::now();
    house.discover(2).await;
    house.stop.cancel();
    house.ours.wait_for(|ours| ours.is_empty()).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    house.end().await;
    assert!(asked.elapsed() < LEAVE_WITHIN * 2);
}

#[tokio::test]
async fn a_journal_that_hangs_costs_no_lease() {
    let mut house = House::new().await;
    let others: Vec<_> = (0..20).map(|n| Member { id: format!("c{n}"), name: format!("c{n}") }).collect();
    *house.leases.others.lock().unwrap() = others;
    house.called("release").await;
    // All are gone at once, and this one is to tell it.
    house.leases.others.lock().unwrap().clear();
    house.called("acquire").await;
    for _ in 0..200 {
        tokio::time::sleep(LEASE / 100).await;
        assert!(!house.term.is_over());
    }
    house.end().await;
}

#[tokio::test]
async fn after_an_outage_the_others_have_time_to_come_back() {
    let mut house = House::new().await;
    let other = Member { id: "c".into(), name: "c".into() };
    *house.leases.others.lock().unwrap() = vec![other.clone()];
    house.called("release").await;
    house.mood(Mood::Failing);
    tokio::time::sleep(LEASE * 3).await;
    // The first to look finds nobody else alive.
    house.leases.others.lock().unwrap().clear();
    house.mood(Mood::Well);
    house.called("join").await;
    let calls = house.calls.borrow().len();
    tokio::time::sleep(LEASE / SETTLES_PER_LEASE - LEASE / LOOKS_PER_LEASE).await;
    let taken = house.calls.borrow()[calls..].contains(&"acquire");
    assert!(!taken, "what the other one holds is not taken");
    house.called("acquire").await;
    house.end().await;
}
