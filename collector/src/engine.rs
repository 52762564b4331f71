//! The engine: starts each scrape when the schedule says so, judges what comes back, hands it to the recorder.
//!
//! Everything known of a target lives in one place at a time: in the engine while the target waits, inside its scrape
//! while that is under way. So no target is scraped twice at once, and nothing is locked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mect_fleet::collecting::{NotScraped, Push};
use mect_fleet::guard::Doubt;
use mect_fleet::store::{EventKind, Record};
use mect_fleet::{FailureReason, Fleet, Health, Outcome, Report, Rule, ServerId, Side, Standing, Timestamp};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::discovery::{Target, TargetSet};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::parse;
use crate::push::Pushes;
use crate::record::Queue;
use crate::schedule::{Again, Flight, Schedule, Tick};
use crate::scrape::Scraper;
use crate::sharding::Term;
use crate::silence::Silence;
use crate::watch::Watch;

mod asked;
mod clock;
mod endpoints;
mod flight;
mod pushed;
mod room;
mod stalls;
mod who;

pub use asked::{Asked, Told, Want};
use clock::Clock;
use flight::{Done, Memory, Shared};
pub use room::Room;
use stalls::Stalls;

/// After a stop was asked for, scrapes under way may end within this time; later ones leave no trace.
const DRAIN: Duration = Duration::from_secs(2);

/// Scrapes start at multiples of this, up to 50 ms late. Those that start together share wake-ups and warm caches: at
/// 300 scrapes a second that took 140 µs of processor time each instead of 250.
const SLOT: Tick = 50;

/// A scrape that starts later than this after it was due does not count as made then.
const LATE: Tick = 1000;

/// What the engine is built from.
pub struct Parts {
    /// Makes the scrapes.
    pub scraper: Scraper,
    /// Bounds of a page's content.
    pub page_limits: parse::Limits,
    /// When health flips.
    pub rule: Rule,
    /// When targets are due.
    pub schedule: Schedule,
    /// Tells failures of servers from failures of our own network.
    pub watch: Watch,
    /// How many scrapes there may be at once.
    pub room: Room,
    /// Where records go.
    pub queue: Queue,
    /// Where the standing of a new target comes from.
    pub fleet: Arc<Fleet>,
    /// Until when the targets may be scraped.
    pub term: Arc<Term>,
    /// What agents of the old system report.
    pub pushes: Pushes,
    /// Their servers are down after so long without a report.
    pub silence: Duration,
    /// Scrapes that somebody asks for.
    pub asked: Asked,
    /// Where pages are kept.
    pub pages: Arc<Pages>,
    /// Where it is told what happens to servers.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
}

/// Answered by an engine that is not stuck.
pub type Pulse = oneshot::Sender<()>;

/// The engine and the targets that wait in it.
pub struct Engine {
    shared: Arc<Shared>,
    rule: Rule,
    schedule: Schedule,
    targets: HashMap<ServerId, Entry>,
    /// Of the targets those that agents report.
    silence: Silence,
    pushes: Pushes,
    /// One that found no place in the queue.
    waiting: Option<Push>,
    asked: Asked,
    /// Of every server scraped since the start, also of those whose target went: the view may lag behind by a batch,
    /// and a standing taken up from there would tell a flip twice.
    standings: HashMap<ServerId, Standing>,
    scrapes: JoinSet<Done>,
    /// Each with the connections that it may hold.
    flights: HashMap<task::Id, (Flight, usize)>,
    /// Of all flights.
    connections: usize,
    watch: Watch,
    room: Room,
    queue: Queue,
    /// The queue was full; nothing starts until it has a place.
    queue_full: bool,
    fleet: Arc<Fleet>,
    term: Arc<Term>,
    events: Events,
    clock: Clock,
}

/// A target; its memory is away while a scrape is under way.
struct Entry {
    target: Arc<Target>,
    /// What is cut off together with it; `None` for a target on this machine.
    side: Option<Side>,
    memory: Option<Memory>,
    /// Ends the scrape that is under way.
    flight: Option<AbortHandle>,
}

impl Engine {
    /// An engine without targets.
    pub fn new(parts: Parts) -> Self {
        let Parts { scraper, page_limits, rule, schedule, watch, room, queue, fleet, term, .. } = parts;
        let Parts { pushes, silence, asked, pages, events, metrics, .. } = parts;
        Self {
            shared: Arc::new(Shared {
                scraper,
                page_limits,
                metrics,
                pages,
                is_awaited: AtomicBool::new(false),
                stalls: Stalls::default(),
            }),
            rule,
            schedule,
            targets: HashMap::new(),
            silence: Silence::new(silence),
            pushes,
            waiting: None,
            asked,
            standings: HashMap::new(),
            scrapes: JoinSet::new(),
            flights: HashMap::new(),
            connections: 0,
            watch,
            room,
            queue,
            queue_full: false,
            fleet,
            term,
            events,
            clock: Clock::start(),
        }
    }

    /// Scrapes the targets of the latest set until `shutdown`, then lets scrapes under way end.
    /// Answers `pulses` meanwhile.
    pub async fn run(
        mut self,
        mut sets: watch::Receiver<TargetSet>,
        mut pulses: mpsc::Receiver<Pulse>,
        shutdown: CancellationToken,
    ) {
        sets.mark_changed();
        let queue = self.queue.clone();
        let watched = Arc::clone(&self.shared);
        let _watching = AbortOnDropHandle::new(task::spawn(async move { watched.stalls.watch().await }));
        loop {
            let has_room = !self.queue_full && self.has_room() && !self.term.is_over();
            let due = if has_room { self.schedule.next_due() } else { None };
            let start = due.map(|due| due.next_multiple_of(SLOT));
            let silent = if self.queue_full || self.term.is_over() { None } else { self.silence.next_end() };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                // Nobody waits for the answer any more: as good.
                Some(pulse) = pulses.recv() => drop(pulse.send(())),
                Ok(()) = sets.changed() => {
                    let set = Arc::clone(&sets.borrow_and_update());
                    self.reconcile(&set);
                }
                Some(ended) = self.scrapes.join_next_with_id() => self.finish(ended),
                canary = self.watch.canary() => self.watch.hear(canary, instant(self.clock.now())),
                place = queue.reserve(), if self.queue_full => match place {
                    Ok(_place) => {
                        self.queue_full = false;
                        if let Some(push) = self.waiting.take() {
                            self.take_push(push);
                        }
                    }
                    // The recorder is gone: what is scraped would be lost.
                    Err(_closed) => break,
                },
                Some(push) = self.pushes.recv(), if !self.queue_full => self.take_push(push),
                Some(want) = self.asked.recv() => self.take_want(want),
                () = self.clock.sleep_until(start) => self.start_due(),
                () = self.clock.sleep_until(silent) => self.tell_silent(),
            }
            self.shared.metrics.in_flight.set(self.scrapes.len() as i64);
        }
        let drain = async {
            while let Some(ended) = self.scrapes.join_next_with_id().await {
                self.finish(ended);
            }
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::info!("scrapes still under way were given up; they left no trace");
        }
    }

    /// Takes over a new set: what is gone ends, what is new begins, what stays is not touched.
    fn reconcile(&mut self, set: &[Target]) {
        let wanted: HashMap<ServerId, &Target> = set.iter().map(|target| (target.server, target)).collect();
        let (schedule, silence, asked) = (&mut self.schedule, &mut self.silence, &mut self.asked);
        let pages = &self.shared.pages;
        self.targets.retain(|server, entry| {
            let stays = wanted.get(server).is_some_and(|target| **target == *entry.target);
            if !stays {
                schedule.remove(*server);
                silence.forget(*server);
                asked.forget(*server);
                pages.forget(*server);
                // Or a target that changed would be scraped by two at once.
                entry.flight.take().inspect(AbortHandle::abort);
            }
            stays
        });
        let new: Vec<_> = set.iter().filter(|target| !self.targets.contains_key(&target.server)).collect();
        let (mut unknown, mut taken_over) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        for target in new {
            let server = target.server;
            self.targets.insert(server, Entry::new(target));
            let known = || self.fleet.standing(server).unwrap_or_default();
            let is_pushed = target.page.is_none();
            if target.epoch == 0 {
                self.standings.entry(server).or_insert_with(known);
            } else {
                // What we knew under an older epoch, another collector may have overtaken.
                self.standings.insert(server, known());
            }
            let last = self.standings.get(&server).and_then(|standing| standing.last_scrape);
            let last = last.map_or(0, |at| Tick::try_from(at.as_millis()).unwrap_or(0));
            match target.epoch {
                _ if is_pushed => self.silence.heard(server, now),
                0 => unknown.push(server),
                _ => taken_over.push((server, last)),
            }
        }
        self.schedule.add(&unknown, now);
        self.schedule.take_over(&taken_over, now);
        self.watch.learn(self.targets.iter().map(|(server, entry)| (*server, entry.side)));
        self.room.fit(self.targets.values().map(|entry| entry.target.connections()));
        if !self.room.keeps_connections() {
            self.targets.values_mut().filter_map(|entry| entry.memory.as_mut()).for_each(Memory::hang_up);
        }
        self.shared.metrics.targets.set(self.targets.len() as i64);
    }

    fn has_room(&self) -> bool {
        self.room.has_room(self.scrapes.len(), self.connections)
    }

    fn start_due(&mut self) {
        let now = self.clock.now();
        // Asked before each: a process that was stopped must not go on with what it held then.
        while self.has_room() && !self.term.is_over() {
            let Ok(place) = self.queue.clone().try_reserve_owned() else {
                self.queue_full = true;
                return;
            };
            let Some(flight) = self.schedule.take_due(now) else { return };
            let Some(entry) = self.targets.get_mut(&flight.server) else { continue };
            let Some(page) = entry.target.page.clone() else { continue };
            self.shared.metrics.scrape_lag.observe(now.saturating_sub(flight.due) as f64 / 1000.0);
            let memory = entry.memory.take().unwrap_or_default();
            let at = start_of(flight.due, now);
            let known = self.standings.get(&flight.server).and_then(|standing| standing.host);
            let scrape = Arc::clone(&self.shared).scrape(Arc::clone(&entry.target), page, at, memory, known, place);
            let scrape = self.scrapes.spawn(scrape);
            let connections = entry.target.connections();
            self.connections += connections;
            self.flights.insert(scrape.id(), (flight, connections));
            entry.flight = Some(scrape);
        }
    }

    fn finish(&mut self, ended: Result<(task::Id, Done), task::JoinError>) {
        let id = ended.as_ref().map_or_else(task::JoinError::id, |(id, _)| *id);
        let Some((flight, connections)) = self.flights.remove(&id) else { return };
        self.connections -= connections;
        let now = self.clock.now();
        let again = match ended {
            // Its target was taken away or replaced meanwhile: what it found is nobody's.
            Ok(_) if !self.schedule.is_current(&flight) => return,
            Ok((_, done)) => self.judge(done, now),
            // Its target was taken away meanwhile.
            Err(error) if error.is_cancelled() => return,
            Err(panic) => {
                tracing::error!(server = %flight.server, error = %panic, "a scrape ended abnormally");
                self.shared.count(FailureReason::Local.name());
                self.asked.forget(flight.server);
                Again::Regular
            }
        };
        if let Some(next) = self.schedule.put_back(&flight, now, again) {
            self.shared.metrics.ticks_skipped.inc_by(next.skipped);
        }
    }

    /// Folds a report into its server's standing and queues both; tells whether the next scrape should come soon.
    fn judge(&mut self, done: Done, now: Tick) -> Again {
        let Done { report, epoch, mut memory, was_first, pages, place } = done;
        if self.shared.pages.keeps_all() || self.asked.waits_for(report.server) {
            self.shared.pages.put(&report, pages);
        }
        self.asked.answer(report.server);
        self.shared.await_pages(!self.asked.is_empty());
        if !self.room.keeps_connections() {
            memory.hang_up();
        }
        let mut side = None;
        if let Some(entry) = self.targets.get_mut(&report.server) {
            (entry.memory, entry.flight) = (Some(memory), None);
            side = entry.side;
        }
        let (server, is_up) = (report.server, matches!(report.outcome, Outcome::Up(_)));
        let known = self.standings.entry(server).or_default();
        let doubt = side.and_then(|side| self.watch.judge(side, &report, known, instant(now)));
        let rule = self.rule;
        let standing = self.fold(report, doubt, epoch, place);
        let (state, wants_recheck) = (&standing.state, standing.wants_recheck(&rule));
        let unverified = state.unverified;
        let may_fall = state.failures > 0 && state.health != Health::Down;
        let again = match () {
            () if wants_recheck => Again::ToDecide,
            () if is_up && was_first => Again::ForRates,
            () => Again::Regular,
        };
        self.watch.note(server, unverified, instant(now));
        if let Some(side) = side.filter(|_| may_fall) {
            self.call_witnesses(server, side, now);
        }
        again
    }

    /// Folds a report into its server's standing and queues both.
    fn fold(&mut self, report: Report, doubt: Option<Doubt>, epoch: u64, place: OwnedPermit<Record>) -> &Standing {
        let standing = self.standings.entry(report.server).or_default();
        let stranger = standing.stranger;
        let transition = standing.observe(&self.rule, &report, doubt);
        standing.epoch = epoch;
        if let Outcome::Failed(failure) = &report.outcome
            && standing.stranger != stranger
        {
            self.events.tell(EventKind::AnotherHost, report.server, report.at, &failure.detail);
        }
        place.send(Record { report, standing: standing.clone(), transition, epoch });
        standing
    }

    /// Has a server scraped at once, unless that is under way already; what it finds is told when it ends.
    fn take_want(&mut self, want: Want) {
        let Some(entry) = self.targets.get(&want.server) else { return want.refuse(NotScraped::NotHere) };
        if entry.target.page.is_none() {
            return want.refuse(NotScraped::Pushed);
        }
        let (server, is_waiting) = (want.server, entry.memory.is_some());
        let is_first = self.asked.wait(want);
        self.shared.await_pages(!self.asked.is_empty());
        if !is_first || !is_waiting {
            return;
        }
        let last = self.standings.get(&server).and_then(|standing| standing.last_scrape);
        self.schedule.hasten(server, self.asked.soonest(last, self.clock.now()));
    }

    /// Has servers elsewhere scraped at once, where a failure needs somebody else's answer to count.
    fn call_witnesses(&mut self, server: ServerId, side: Side, now: Tick) {
        let (targets, standings) = (&self.targets, &self.standings);
        let is_well = |witness: ServerId| standings.get(&witness).is_some_and(|standing| standing.state.failures == 0);
        let elsewhere = |witness: ServerId| targets.get(&witness).is_some_and(|entry| entry.memory.is_some());
        for witness in self.watch.witnesses(server, side, instant(now), |id| is_well(id) && elsewhere(id)) {
            self.schedule.hasten(witness, now);
        }
    }
}

impl Entry {
    fn new(target: &Target) -> Self {
        let side = target
            .page
            .as_ref()
            .map(|page| &page.endpoint)
            .and_then(|endpoint| endpoint.ip().map_or_else(|| Side::of_name(endpoint.host()), Side::of_address));
        Self { target: Arc::new(target.clone()), side, memory: Some(Memory::default()), flight: None }
    }
}

/// The moment of a scrape that was due at `due` and starts at `now`. Usually the tick, the same in every collector; a
/// scrape that comes late tells of the time when it was made.
fn start_of(due: Tick, now: Tick) -> Timestamp {
    instant(if now.saturating_sub(due) > LATE { now } else { due })
}

fn instant(tick: Tick) -> Timestamp {
    Timestamp::from_millis(i64::try_from(tick).unwrap_or(i64::MAX))
}
