//! Divides the targets among the collectors of one fleet: holds leases on shards, and hands the engine those targets
//! whose shard is held.
//!
//! Every collector computes from the living ones which shards it should hold, gives back what it should not, takes what
//! is free. What makes it safe is not this loop but the store: it refuses what is recorded under an older epoch. Whoever
//! does not reach the store cannot know whether anybody else does, so he goes on with what he holds, and the records wait
//! in the spool: if all are cut off nobody stops, and if he alone is, what another collector recorded counts.
//!
//! | module | holds |
//! |---|---|
//! | `term` | until when the engine may scrape without asking |
//! | `notes` | tells the journal who comes and goes, without waiting for it |
//! | `follow` | what other collectors recorded, read from the store into the view |

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mect_fleet::installation::Share;
use mect_fleet::shard::{self, Lease, SHARDS, Shard};
use mect_fleet::store::{Acquired, EventKind, Journal, Leases, Member, Result, StoreError};
use mect_fleet::{Fleet, ServerId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::discovery::{Target, TargetSet};
use crate::metrics::Metrics;

mod follow;
mod notes;
mod term;

#[cfg(test)]
mod tests;

use notes::{News, Notes};

pub use follow::Follower;
pub use term::Term;

/// Of a lease's time, the share after which it is looked who lives and what is free: a second of the default. Each look
/// costs the store an update and a query of a few documents.
const LOOKS_PER_LEASE: u32 = 30;
/// Leases are prolonged this often in their time.
const RENEWALS_PER_LEASE: u32 = 3;
/// A call has this share of a lease's time. Nothing but a renewal is begun when one is due, so that the last answer comes
/// after two calls and a third of the time: whatever fails, it is known before the leases run out.
const CALLS_PER_LEASE: u32 = 4;
/// Once the store answers again, the others have this share of a lease's time to come back before their shards are
/// divided: all leases may have run out, and whoever holds one knows more than the store does.
const SETTLES_PER_LEASE: u32 = 3;
/// Taking shards reads the standings of their servers. When that did not end in time, fewer are taken at once, down to
/// this many.
const FEWEST_AT_ONCE: usize = 8;
/// From the moment a shard's targets are no longer scraped until it is given back: what is queued reaches the store.
/// What comes later is refused there.
const FLUSH: Duration = Duration::from_millis(1500);
/// At the end, the store has this long to take the leases back; else they run out.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What sharding is built from.
pub struct Parts {
    /// Where leases are kept.
    pub leases: Arc<dyn Leases>,
    /// Told who comes and goes.
    pub journal: Arc<dyn Journal>,
    /// Takes the standings of shards that are taken over.
    pub fleet: Arc<Fleet>,
    /// All targets.
    pub discovered: watch::Receiver<TargetSet>,
    /// How long a lease lasts.
    pub lease: Duration,
    /// This collector.
    pub member: Member,
    /// Counts.
    pub metrics: Metrics,
}

/// The loop that holds leases.
pub struct Sharding {
    leases: Arc<dyn Leases>,
    notes: Notes,
    fleet: Arc<Fleet>,
    discovered: watch::Receiver<TargetSet>,
    lease: Duration,
    member: Member,
    metrics: Metrics,
    members: Vec<Member>,
    told: watch::Sender<Share>,
    held: BTreeMap<Shard, u64>,
    /// No longer scraped, to be given back.
    leaving: Vec<Lease>,
    /// What was scraped of the latest of these is in the store by then.
    flushed_at: Instant,
    /// The latest look failed.
    is_cut_off: bool,
    /// Shards to be taken by one call.
    at_once: usize,
    /// From then on all who live are known to live.
    settled_at: Instant,
    term: Arc<Term>,
    renewed: Instant,
    ours: watch::Sender<TargetSet>,
    stop: CancellationToken,
}

impl Sharding {
    /// Holds nothing yet. To be called where tasks can be spawned.
    pub fn new(parts: Parts) -> Self {
        let Parts { leases, journal, fleet, discovered, lease, member, metrics } = parts;
        let now = Instant::now();
        Self {
            leases,
            notes: Notes::start(journal),
            fleet,
            discovered,
            lease,
            member,
            metrics,
            members: Vec::new(),
            told: watch::Sender::default(),
            held: BTreeMap::new(),
            leaving: Vec::new(),
            flushed_at: now,
            is_cut_off: false,
            at_once: usize::from(SHARDS),
            settled_at: now,
            term: Arc::new(Term::new()),
            renewed: now,
            ours: watch::Sender::default(),
            stop: CancellationToken::new(),
        }
    }

    /// The targets whose shards are held, as they change.
    pub fn subscribe(&self) -> watch::Receiver<TargetSet> {
        self.ours.subscribe()
    }

    /// Who shares the work, and how much of it is ours, as it changes.
    pub fn subscribe_share(&self) -> watch::Receiver<Share> {
        self.told.subscribe()
    }

    /// Until when the held targets may be scraped.
    pub fn term(&self) -> Arc<Term> {
        Arc::clone(&self.term)
    }

    /// Joins, holds its share until `stop`, and gives it back.
    pub async fn run(mut self, stop: CancellationToken) {
        self.stop = stop.clone();
        self.notes.tell(EventKind::CollectorJoined, &self.member, News::Always);
        let mut looks = tokio::time::interval(self.lease / LOOKS_PER_LEASE);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = self.discovered.changed() => self.publish(),
                _ = looks.tick() => if let Err(error) = self.look().await {
                    self.is_cut_off = true;
                    // Whoever is left may not see any store either, so the scrapes go on. Should another collector take
                    // over, its epoch tells what counts.
                    self.term.suspend();
                    tracing::debug!(%error, "leases cannot be looked at; going on with what is held");
                },
            }
        }
        self.held.clear();
        self.publish();
        self.notes.tell(EventKind::CollectorLeft, &self.member, News::Always);
        let Self { notes, leases, member, .. } = self;
        let leave = tokio::time::timeout(LEAVE_WITHIN, leases.leave(&member));
        let (left, _) = tokio::join!(leave, tokio::time::timeout(LEAVE_WITHIN, notes.finish()));
        match left {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "leases not given back; they run out by themselves"),
            Err(_) => tracing::warn!("leases not given back in time; they run out by themselves"),
        }
    }

    /// Prolongs, gives back and takes, as the living collectors demand. What is held comes first.
    async fn look(&mut self) -> Result<()> {
        let asked = Instant::now();
        if self.wants_renewal(asked) || self.term.is_over() {
            self.renew(asked).await?;
        }
        let (leases, member, lease) = (Arc::clone(&self.leases), self.member.clone(), self.lease);
        let members = self.wait(async move { leases.join(&member, lease).await }).await?;
        if std::mem::take(&mut self.is_cut_off) {
            self.settled_at = Instant::now() + self.lease / SETTLES_PER_LEASE;
        }
        if Instant::now() < self.settled_at {
            return Ok(());
        }
        self.see(members);
        let ids: Vec<String> = self.members.iter().map(|member| member.id.clone()).collect();
        let desired = shard::desired(&self.member.id, &ids);
        let surplus: Vec<Lease> =
            self.leases_held().into_iter().filter(|lease| !desired.contains(&lease.shard)).collect();
        if !surplus.is_empty() {
            self.drop_shards(surplus.iter().map(|lease| lease.shard));
            self.leaving.extend(surplus);
            self.flushed_at = Instant::now() + FLUSH;
        }
        self.release().await?;
        let missing: Vec<Shard> = desired.into_iter().filter(|shard| !self.held.contains_key(shard)).collect();
        for shards in missing.chunks(self.at_once) {
            let asked = Instant::now();
            if self.wants_renewal(asked) && !self.held.is_empty() {
                break;
            }
            let (leases, member, shards) = (Arc::clone(&self.leases), self.member.clone(), shards.to_vec());
            // Until it has ended, it may be too much.
            let all = std::mem::replace(&mut self.at_once, (shards.len() / 2).max(FEWEST_AT_ONCE));
            let acquired = self.wait(async move { leases.acquire(&member, &shards, lease).await }).await?;
            self.at_once = all;
            self.take(acquired, asked);
        }
        Ok(())
    }

    fn wants_renewal(&self, now: Instant) -> bool {
        now - self.renewed >= self.lease / RENEWALS_PER_LEASE
    }

    async fn renew(&mut self, asked: Instant) -> Result<()> {
        let before = self.leases_held();
        let (leases, member, lease, held) = (Arc::clone(&self.leases), self.member.clone(), self.lease, before.clone());
        let still = self.wait(async move { leases.renew(&member, &held, lease).await }).await?;
        let still: HashMap<Shard, u64> = still.into_iter().map(|lease| (lease.shard, lease.epoch)).collect();
        let lost: Vec<Shard> =
            before.iter().map(|lease| lease.shard).filter(|shard| !still.contains_key(shard)).collect();
        if !lost.is_empty() {
            tracing::warn!(shards = lost.len(), "leases ran out and were taken by others");
            self.metrics.leases_lost.inc_by(lost.len() as u64);
            self.drop_shards(lost.into_iter());
        }
        self.prolong(asked);
        Ok(())
    }

    /// Gives back what is no longer scraped, once the store has what was.
    async fn release(&mut self) -> Result<()> {
        if self.leaving.is_empty() || Instant::now() < self.flushed_at {
            return Ok(());
        }
        let (leases, member, leaving) = (Arc::clone(&self.leases), self.member.clone(), self.leaving.clone());
        self.wait(async move { leases.release(&member, &leaving).await }).await?;
        self.leaving.clear();
        Ok(())
    }

    /// The leases taken or prolonged by a call that began at `asked` are good from then on.
    fn prolong(&mut self, asked: Instant) {
        self.renewed = asked;
        let was_over = self.term.is_over();
        self.term.prolong(asked + self.lease);
        if was_over {
            // The engine does not wait for the term to begin again, but for news about targets.
            self.ours.send_modify(|_| {});
        }
    }

    /// What the store answers while there is time left to act on it. A stop ends the call, and targets may change
    /// meanwhile.
    async fn wait<T>(&mut self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = tokio::time::timeout(self.lease / CALLS_PER_LEASE, call);
        tokio::pin!(answer);
        let failed = |why: &str| Err(StoreError::Backend(why.into()));
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return failed("the collector stops"),
                Ok(()) = self.discovered.changed() => self.publish(),
                answer = &mut answer => return answer.unwrap_or_else(|_| failed("no answer in time")),
            }
        }
    }

    fn take(&mut self, acquired: Vec<Acquired>, asked: Instant) {
        if acquired.is_empty() {
            return;
        }
        tracing::info!(shards = acquired.len(), "shards taken");
        if self.held.is_empty() {
            self.prolong(asked);
        }
        for Acquired { lease, since, standings } in acquired {
            self.fleet.take_over(&standings, since);
            self.held.insert(lease.shard, lease.epoch);
            self.leaving.retain(|leaving| leaving.shard != lease.shard);
        }
        self.publish();
    }

    fn drop_shards(&mut self, shards: impl Iterator<Item = Shard>) {
        for shard in shards {
            self.held.remove(&shard);
        }
        self.publish();
    }

    fn leases_held(&self) -> Vec<Lease> {
        self.held.iter().map(|(shard, epoch)| Lease { shard: *shard, epoch: *epoch }).collect()
    }

    /// Hands the engine the discovered targets whose shards are held.
    fn publish(&mut self) {
        let discovered = Arc::clone(&self.discovered.borrow_and_update());
        let held = |target: &Target| {
            let epoch = *self.held.get(&Shard::of(target.server))?;
            Some(Target { epoch, ..target.clone() })
        };
        let ours: Vec<Target> = discovered.iter().filter_map(held).collect();
        self.metrics.shards_held.set(self.held.len() as i64);
        self.told.send_modify(|share| share.shards = self.held.len());
        self.ours.send_replace(Arc::new(ours));
    }

    fn see(&mut self, members: Vec<Member>) {
        let known = std::mem::replace(&mut self.members, members);
        self.metrics.collectors.set(self.members.len() as i64);
        let names = self.members.iter().map(|member| member.name.clone()).collect();
        self.told.send_modify(|share| share.collectors = names);
        let missing = |from: &[Member], among: &[Member]| -> Vec<Member> {
            from.iter().filter(|member| !among.contains(member)).cloned().collect()
        };
        let (gone, come) = (missing(&known, &self.members), missing(&self.members, &known));
        // One tells it, for all: the first of those who stayed.
        let teller = self.members.iter().find(|member| known.contains(member));
        if teller.is_some_and(|teller| teller.id == self.member.id) {
            let left = News::Unless(EventKind::CollectorLeft);
            gone.iter().for_each(|member| self.notes.tell(EventKind::CollectorLost, member, left));
            // It only hung, or was cut off: who starts tells so himself.
            let lost = News::After(EventKind::CollectorLost);
            come.iter().for_each(|member| self.notes.tell(EventKind::CollectorJoined, member, lost));
        }
    }
}

/// File in the data directory that holds the collector's own part of its identity.
const MEMBER_FILE: &str = "collector.id";

/// Who this collector is. The identity lies in the data directory, which one process holds at a time; the host's name is
/// part of it, so that a copied directory is somebody else.
///
/// # Errors
/// It can neither be read nor made.
pub fn member(name: Option<String>, data_dir: &Path) -> std::io::Result<Member> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let path = data_dir.join(MEMBER_FILE);
    let lot = match std::fs::read_to_string(&path) {
        Ok(lot) => lot,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let lot = ServerId::random().map_err(std::io::Error::other)?.to_string();
            let lot = lot.trim_start_matches("srv-").to_owned();
            // Cut short by a crash it is another identity, which does no harm.
            std::fs::write(&path, &lot)?;
            lot
        }
        Err(error) => return Err(error),
    };
    Ok(Member { id: format!("{host}-{}", lot.trim()), name: name.unwrap_or(host) })
}
