//! Joins this collector with the others by Redis, if there is one: what is told, what is heard, what is cached.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use mect_fleet::redis::{Cache, Hearers, Link, Opener, Sealer, listen, pair, publish};
use mect_fleet::{Fleet, Neighbours, News, Peers, ServerId};
use mect_web::Secret;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::config::Config;
use crate::discovery::TargetSet;

/// The way to Redis, ready to be used.
pub(super) struct Live {
    pub(super) link: Arc<Link>,
    sealer: Sealer,
    opener: Opener,
    inbox: mpsc::Receiver<News>,
}

/// What is shared with other collectors, and the way to them where one is configured. Connects nowhere yet.
pub(super) fn prepare(config: &Config, secret_key: &Secret) -> anyhow::Result<(Neighbours, Option<Live>)> {
    let Some(url) = config.secrets.redis_url.clone() else { return Ok((Neighbours::default(), None)) };
    // Of several keys the one that signs.
    let key = secret_key.lines().next().unwrap_or_else(|| secret_key.clone());
    let (sealer, opener) = pair(key.expose().as_bytes())?;
    let (peers, inbox) = Peers::new();
    Ok((Neighbours::of(peers), Some(Live { link: Arc::new(Link::new(url)), sealer, opener, inbox })))
}

impl Live {
    /// Starts telling, hearing and caching. `look` is notified when there is something new in the store.
    pub(super) fn start(
        self,
        tasks: &mut Tasks,
        fleet: &Arc<Fleet>,
        neighbours: Neighbours,
        targets: watch::Receiver<TargetSet>,
        look: Arc<Notify>,
        stop: &CancellationToken,
    ) {
        let Self { link, sealer, opener, inbox } = self;
        let ours = Arc::new(Ours { targets, known: Mutex::default() });
        let is_ours = || {
            let ours = Arc::clone(&ours);
            Box::new(move |server| ours.contains(server))
        };
        let hearers = Hearers { fleet: Arc::clone(fleet), is_ours: is_ours(), look, neighbours };
        let cache = Cache::new(Arc::clone(&link), mect_web::server_json, is_ours());
        tasks.spawn("telling other collectors", publish(Arc::clone(&link), sealer, inbox, stop.clone()));
        tasks.spawn("hearing other collectors", listen(link, opener, hearers, stop.clone()));
        tasks.spawn("caching in Redis", cache.run(Arc::clone(fleet), stop.clone()));
    }
}

/// The servers that this collector scrapes.
struct Ours {
    targets: watch::Receiver<TargetSet>,
    /// The set as it was last, and the servers in it.
    known: Mutex<(TargetSet, HashSet<ServerId>)>,
}

impl Ours {
    fn contains(&self, server: ServerId) -> bool {
        let targets = Arc::clone(&self.targets.borrow());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known.0, &targets) {
            let servers = targets.iter().map(|target| target.server).collect();
            *known = (targets, servers);
        }
        known.1.contains(&server)
    }
}
