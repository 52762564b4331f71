//! The engine: starts each scrape when the schedule says so, judges what comes back, hands it to the recorder.
//!
//! Everything known of a target lives in one place at a time: in the engine while the target waits, inside its scrape
//! while that is under way. So no target is scraped twice at once, and nothing is locked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mect_fleet::store::Record;
use mect_fleet::{Failure, FailureReason, Fleet, Outcome, Reading, Report, Rule, ServerId, Standing, Timestamp};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::discovery::{Target, TargetSet};
use crate::metrics::{Metrics, ScrapeResult};
use crate::parse::{self, ErrorKind, ParseError};
use crate::reading::{Counters, Gather};
use crate::record::Queue;
use crate::schedule::{Flight, Schedule, Tick};
use crate::scrape::{Connection, Page, Scraper};

/// After a stop was asked for, scrapes under way may end within this time; later ones leave no trace.
const DRAIN: Duration = Duration::from_secs(2);

/// Scrapes start at multiples of this, up to 50 ms late. Those that start together share wake-ups and warm caches: at
/// 300 scrapes a second that took 140 µs of processor time each instead of 250.
const SLOT: Tick = 50;

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
    /// Scrapes at once.
    pub max_in_flight: usize,
    /// Where records go.
    pub queue: Queue,
    /// Where the standing of a new target comes from.
    pub fleet: Arc<Fleet>,
    /// Counts.
    pub metrics: Metrics,
}

/// The engine and the targets that wait in it.
pub struct Engine {
    shared: Arc<Shared>,
    rule: Rule,
    schedule: Schedule,
    targets: HashMap<ServerId, Entry>,
    /// Of every server scraped since the start, also of those whose target went: the view may lag behind by a batch,
    /// and a standing taken up from there would tell a flip twice.
    standings: HashMap<ServerId, Standing>,
    scrapes: JoinSet<Done>,
    flights: HashMap<task::Id, Flight>,
    max_in_flight: usize,
    queue: Queue,
    /// The queue was full; nothing starts until it has a place.
    queue_full: bool,
    fleet: Arc<Fleet>,
    clock: Clock,
}

/// What every scrape needs.
struct Shared {
    scraper: Scraper,
    page_limits: parse::Limits,
    metrics: Metrics,
}

/// A target; its memory is away while a scrape is under way.
struct Entry {
    target: Arc<Target>,
    memory: Option<Memory>,
}

/// What one scrape leaves for the next.
#[derive(Default)]
struct Memory {
    counters: Option<Counters>,
    connection: Option<Connection>,
}

/// A scrape that ended.
struct Done {
    report: Report,
    memory: Memory,
    /// No earlier page to compare with: a second scrape soon gives the rates.
    was_first: bool,
    place: OwnedPermit<Record>,
}

impl Engine {
    /// An engine without targets.
    pub fn new(parts: Parts) -> Self {
        let Parts { scraper, page_limits, rule, schedule, max_in_flight, queue, fleet, metrics } = parts;
        Self {
            shared: Arc::new(Shared { scraper, page_limits, metrics }),
            rule,
            schedule,
            targets: HashMap::new(),
            standings: HashMap::new(),
            scrapes: JoinSet::new(),
            flights: HashMap::new(),
            max_in_flight,
            queue,
            queue_full: false,
            fleet,
            clock: Clock::start(),
        }
    }

    /// Scrapes the targets of the latest set until `shutdown`, then lets scrapes under way end.
    pub async fn run(mut self, mut sets: watch::Receiver<TargetSet>, shutdown: CancellationToken) {
        sets.mark_changed();
        let queue = self.queue.clone();
        loop {
            let has_room = !self.queue_full && self.scrapes.len() < self.max_in_flight;
            let due = if has_room { self.schedule.next_due() } else { None };
            let start = due.map(|due| due.next_multiple_of(SLOT));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Ok(()) = sets.changed() => {
                    let set = Arc::clone(&sets.borrow_and_update());
                    self.reconcile(&set);
                }
                Some(ended) = self.scrapes.join_next_with_id() => self.finish(ended),
                _place = queue.reserve(), if self.queue_full => self.queue_full = false,
                () = self.clock.sleep_until(start) => self.start_due(),
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
        let schedule = &mut self.schedule;
        self.targets.retain(|server, entry| {
            let stays = wanted.get(server).is_some_and(|target| **target == *entry.target);
            if !stays {
                schedule.remove(*server);
            }
            stays
        });
        let view = self.fleet.view();
        let new: Vec<_> = set.iter().filter(|target| !self.targets.contains_key(&target.server)).collect();
        for target in &new {
            let entry = Entry { target: Arc::new((*target).clone()), memory: Some(Memory::default()) };
            self.targets.insert(target.server, entry);
            let known = || view.by_id(target.server).map(|view| view.standing.clone()).unwrap_or_default();
            self.standings.entry(target.server).or_insert_with(known);
        }
        let new: Vec<_> = new.iter().map(|target| target.server).collect();
        self.schedule.add(&new, self.clock.now());
        self.shared.metrics.targets.set(self.targets.len() as i64);
    }

    fn start_due(&mut self) {
        let now = self.clock.now();
        while self.scrapes.len() < self.max_in_flight {
            let Ok(place) = self.queue.clone().try_reserve_owned() else {
                self.queue_full = true;
                return;
            };
            let Some(flight) = self.schedule.take_due(now) else { return };
            let Some(entry) = self.targets.get_mut(&flight.server) else { continue };
            self.shared.metrics.scrape_lag.observe(now.saturating_sub(flight.due) as f64 / 1000.0);
            let memory = entry.memory.take().unwrap_or_default();
            let scrape = Arc::clone(&self.shared).scrape(Arc::clone(&entry.target), memory, place);
            self.flights.insert(self.scrapes.spawn(scrape).id(), flight);
        }
    }

    fn finish(&mut self, ended: Result<(task::Id, Done), task::JoinError>) {
        let id = ended.as_ref().map_or_else(task::JoinError::id, |(id, _)| *id);
        let Some(flight) = self.flights.remove(&id) else { return };
        let now = self.clock.now();
        let wants_recheck = match ended {
            // Its target was taken away or replaced meanwhile: what it found is nobody's.
            Ok(_) if !self.schedule.is_current(&flight) => return,
            Ok((_, done)) => self.judge(done),
            Err(panic) => {
                tracing::error!(server = %flight.server, error = %panic, "a scrape ended abnormally");
                self.shared.count(&Outcome::Failed(Failure::new(FailureReason::Local, "")));
                false
            }
        };
        if let Some(next) = self.schedule.put_back(&flight, now, wants_recheck) {
            self.shared.metrics.ticks_skipped.inc_by(next.skipped);
        }
    }

    /// Folds a report into its server's standing and queues both; true when the next scrape should come soon.
    fn judge(&mut self, done: Done) -> bool {
        let Done { report, memory, was_first, place } = done;
        if let Some(entry) = self.targets.get_mut(&report.server) {
            entry.memory = Some(memory);
        }
        let standing = self.standings.entry(report.server).or_default();
        let transition = standing.observe(&self.rule, &report);
        let lacks_rates = was_first && matches!(report.outcome, Outcome::Up(_));
        let wants_recheck = standing.state.wants_recheck() || lacks_rates;
        let record = Record { report, standing: standing.clone(), transition };
        place.send(record);
        wants_recheck
    }
}

impl Shared {
    /// Scrapes a target once and reads its page.
    async fn scrape(self: Arc<Self>, target: Arc<Target>, mut memory: Memory, place: OwnedPermit<Record>) -> Done {
        let (at, started) = (Timestamp::now(), Instant::now());
        let page = self.scraper.scrape(&target, &mut memory.connection).await;
        let duration = started.elapsed();
        let was_first = memory.counters.is_none();
        let read = page.and_then(|page| self.read(&page, &mut memory.counters));
        let (samples, outcome) = match read {
            Ok((samples, reading)) => (samples, Outcome::Up(reading)),
            Err(failure) => (0, Outcome::Failed(failure)),
        };
        self.count(&outcome);
        self.metrics.scrape_duration.observe(duration.as_secs_f64());
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        Done { report: Report { server: target.server, at, duration_ms, samples, outcome }, memory, was_first, place }
    }

    fn read(&self, page: &Page, counters: &mut Option<Counters>) -> Result<(u32, Reading), Failure> {
        let parsed = parse::text(&page.bytes, &self.page_limits).map_err(|error| unreadable(&error))?;
        self.metrics.page_bytes.inc_by(page.bytes.len() as u64);
        self.metrics.samples.inc_by(parsed.samples().len() as u64);
        let mut gather = Gather::default();
        parsed.samples().iter().for_each(|sample| gather.take(sample));
        let (reading, now) = gather.finish(page.answered_at, counters.as_ref());
        *counters = Some(now);
        Ok((parsed.samples().len() as u32, reading))
    }

    fn count(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Up(_) => "success",
            Outcome::Failed(failure) => failure.reason.name(),
        };
        self.metrics.scrapes.get_or_create(&ScrapeResult { result }).inc();
    }
}

/// Names the failure of a page that was refused.
fn unreadable(error: &ParseError) -> Failure {
    let reason = match error.kind {
        ErrorKind::Syntax => FailureReason::Parse,
        ErrorKind::Utf8 => FailureReason::Utf8,
        ErrorKind::Limit => FailureReason::Limit,
        ErrorKind::Truncated => FailureReason::Truncated,
    };
    Failure::new(reason, error.to_string())
}

/// Wall-clock milliseconds that never step back: taken once at the start and carried on by the monotonic clock.
struct Clock {
    started: tokio::time::Instant,
    epoch: Tick,
}

impl Clock {
    fn start() -> Self {
        let epoch = Tick::try_from(Timestamp::now().as_millis()).unwrap_or(0);
        Self { started: tokio::time::Instant::now(), epoch }
    }

    fn now(&self) -> Tick {
        self.epoch + self.started.elapsed().as_millis() as Tick
    }

    /// Sleeps until `tick`; for ever without one.
    async fn sleep_until(&self, tick: Option<Tick>) {
        match tick {
            Some(tick) => {
                let since_start = Duration::from_millis(tick.saturating_sub(self.epoch));
                tokio::time::sleep_until(self.started + since_start).await;
            }
            None => std::future::pending().await,
        }
    }
}
