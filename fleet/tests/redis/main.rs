//! What goes to Redis and what comes from it, against the real one: alive, killed, frozen, flushed, poisoned.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use mect_fleet::redis::{CALL_BUDGET, CHANNEL, Cache, Hearers, Link, Opener, RedisUrl, Sealer, listen, pair, publish};
use mect_fleet::store::embedded::{Embedded, Options};
use mect_fleet::store::{Store, story};
use mect_fleet::{Fleet, Neighbours, Peers, Server, ServerView, Standing, Timestamp};
use mect_testkit::PATIENCE;
use mect_testkit::redis::Redis;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod bus;
mod cache;
mod faults;

const SECRET: &[u8] = b"the secret that all collectors share";

/// One collector's side of Redis: a fleet with three servers on a store of its own.
struct Instance {
    fleet: Arc<Fleet>,
    servers: Vec<Server>,
    link: Arc<Link>,
    neighbours: Neighbours,
    look: Arc<Notify>,
    /// Servers whose standings it does not take from others.
    ours: usize,
    stop: CancellationToken,
    tasks: TaskTracker,
    _directory: tempfile::TempDir,
}

/// The same servers with the same identities for every instance, as in a shared store.
fn inventory() -> Vec<Server> {
    let server = |n: usize| {
        let id = format!("srv-aaaaaaa{n}").parse().unwrap();
        Server::new(id, &story::registration(n), Timestamp::from_secs(1))
    };
    (1..=3).map(server).collect()
}

impl Instance {
    /// Joins the bus at `url`; scrapes the first `ours` servers itself.
    async fn start(url: &str, ours: usize) -> Self {
        Self::with_secret(url, ours, SECRET).await
    }

    async fn with_secret(url: &str, ours: usize, secret: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::of(Arc::new(Embedded::open(directory.path(), Options::default()).unwrap()));
        let link = Arc::new(Link::new(RedisUrl::parse(url).unwrap()));
        let (peers, inbox) = Peers::new();
        let fleet = Arc::new(Fleet::load(store.inventory, Vec::new()).await.unwrap().telling(peers.clone()));
        let servers = inventory();
        let standings: Vec<_> = servers.iter().map(|server| (server.clone(), Standing::default())).collect();
        fleet.absorb(&standings);
        fleet.set_monitored(&servers.iter().map(|server| server.id).collect(), Timestamp::now());
        let instance = Self {
            neighbours: Neighbours::of(peers),
            look: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _directory: directory,
            fleet,
            servers,
            link,
            ours,
        };
        let (sealer, opener): (Sealer, Opener) = pair(secret).unwrap();
        let (link, stop) = (Arc::clone(&instance.link), instance.stop.clone());
        instance.tasks.spawn(publish(link.clone(), sealer, inbox, stop.clone()));
        instance.tasks.spawn(listen(link, opener, instance.hearers(), stop));
        instance
    }

    fn hearers(&self) -> Hearers {
        Hearers {
            fleet: Arc::clone(&self.fleet),
            is_ours: self.is_ours(),
            look: Arc::clone(&self.look),
            neighbours: self.neighbours.clone(),
        }
    }

    fn is_ours(&self) -> Box<dyn Fn(mect_fleet::ServerId) -> bool + Send + Sync> {
        let ours: Vec<_> = self.servers[..self.ours].iter().map(|server| server.id).collect();
        Box::new(move |server| ours.contains(&server))
    }

    /// Starts writing keys.
    fn cache(&self) {
        let cache = Cache::new(Arc::clone(&self.link), encode, self.is_ours());
        self.tasks.spawn(cache.run(Arc::clone(&self.fleet), self.stop.clone()));
    }

    /// A scrape of the server with that place, made durable and shown here.
    fn scrape(&self, place: usize, seconds: i64) -> Standing {
        let id = self.servers[place].id;
        let mut standing = self.fleet.standing(id).unwrap();
        let record = story::observe(&mut standing, id, Timestamp::from_secs(seconds), story::heartbeat(1));
        self.fleet.apply(&[record]);
        self.fleet.publish(Timestamp::now());
        standing
    }

    /// Waits until it hears the others.
    async fn joined(self) -> Self {
        tokio::time::timeout(PATIENCE, self.look.notified()).await.expect("joined the bus in time");
        self
    }

    /// The next change of a user that it hears of.
    async fn changed_user(&self) -> String {
        let mut heard = Vec::new();
        until("a change of a user", || {
            heard = self.neighbours.users.take();
            !heard.is_empty()
        })
        .await;
        heard.join(", ")
    }

    fn shown(&self, place: usize) -> Standing {
        self.fleet.standing(self.servers[place].id).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn encode(server: &ServerView) -> Vec<u8> {
    format!("{} {:?}", server.server.hostname, server.standing.last_heartbeat.map(Timestamp::as_secs)).into_bytes()
}

/// Waits until `is_so`; the runtime goes on meanwhile.
#[track_caller]
fn until(what: &str, is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    let mut is_so = is_so;
    async move {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
