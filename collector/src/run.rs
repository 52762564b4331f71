//! Joins the parts: opens the store, starts each loop, and ends them in the order in which data flows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mect_fleet::collecting::{Collecting, Heartbeats};
use mect_fleet::store::Store;
use mect_fleet::{Fleet, TargetPolicy, Timestamp};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Web, is_here};
use crate::control::{self, Control};
use crate::discovery::{Discovery, TargetSet};
use crate::engine::{self, Asked, Engine, Pulse, Room};
use crate::events::Events;
use crate::geolocation::{Databases, Geolocation};
use crate::metrics::{self, Metrics};
use crate::on_demand::OnDemand;
use crate::pages::Pages;
use crate::push::Pushes;
use crate::record::{Keeper, Outage, Replay, Writer};
use crate::remote_write;
use crate::schedule::Schedule;
use crate::scrape::{Accesses, Limits, Scraper};
use crate::sharding::{self, Follower, Sharding, Term};
use crate::watch::{Unverified, Watch};
use crate::{parse, push, simulate};

pub mod by_hand;
mod identity;
mod installation;
mod limits;
mod live;
mod reload;
mod sent;
mod store;
mod systemd;
mod targets;
mod tasks;
mod tls;
mod upkeep;

use reload::Reloader;
use targets::ToldTargets;
use tasks::Tasks;
use tls::Certificate;
use upkeep::Maintenance;

pub(crate) use identity::companions_of;
pub(crate) use limits::{OTHER_FILES, open_files, open_files_allowed};
pub(crate) use store::{open_embedded, open_mongo, retention, spool_of};

/// A second signal that comes sooner is the first one passed on: by a shell, for example, that ends its jobs when it is
/// interrupted itself.
const SECOND_THOUGHT: Duration = Duration::from_secs(2);
/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// Runs the collector until SIGINT or SIGTERM.
///
/// # Errors
/// A part cannot start: the data directory is held, the address is in use, and the like.
pub fn serve(config: Config) -> anyhow::Result<()> {
    limits::raise_open_files();
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve_until_signal(config))
}

async fn serve_until_signal(config: Config) -> anyhow::Result<()> {
    config.check_for_serving()?;
    let started_at = Timestamp::now();
    // Before the data directory is touched: a mistake leaves no trace.
    identity::web_settings(&config, config.secrets.secret_key.clone().unwrap_or_else(identity::any_key))?;
    let certificate = Certificate::open(&config.web)?;
    let (accesses, policy) = (accesses(&config)?, Arc::new(config.target_policy()));
    let (store, spool) = store::open(&config).await?;
    let secret_key = identity::secret_key(&config)?;
    let (neighbours, live) = live::prepare(&config, &secret_key)?;
    let mut settings = identity::web_settings(&config, secret_key)?;
    settings.target_policy = Arc::clone(&policy);
    let standings = store::standings(&store, spool.as_ref()).await?;
    let fleet = Fleet::load(store.inventory.clone(), standings).await?;
    let fleet = Arc::new(fleet.telling(neighbours.peers.clone()));
    fleet.set_interval(config.scrape.interval());

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let pages = Pages::new(config.federation.raw, page_limits(&config));
    let data_dir = config.store.data_dir.clone();
    metrics::register_on_demand(&mut registry, fleet.clone(), pages.clone(), data_dir, spool.clone());

    let mut discovery = Discovery::new(&config, fleet.clone(), &accesses, &policy, metrics.clone())?;
    discovery.start().await?;
    limits::check_open_files(config.scrape.max_in_flight(discovery.subscribe().borrow().len()));
    let sharding = sharding(&config, &store, &fleet, discovery.subscribe(), &metrics)?;
    let targets = || sharding.as_ref().map_or_else(|| discovery.subscribe(), Sharding::subscribe);
    let term = sharding.as_ref().map_or_else(|| Arc::new(Term::endless()), Sharding::term);
    let (targets, ours, asked) = (targets(), targets(), targets());
    let listener = listen(&config.web).await?;
    let address = listener.local_addr()?;
    policy.deny_listener(address, is_here);
    // After all that may fail: a first password that was told must work, and one that works must have been told.
    identity::first_admin(&config, &store).await?;

    let stop_input = CancellationToken::new();
    let stop_upkeep = CancellationToken::new();
    let mut tasks = Tasks::default();
    let keeper = match spool {
        Some(spool) => {
            let outage = Outage::new(fleet.clone(), metrics.clone());
            let (keeper, replay) = Replay::new(&store, spool, outage, &metrics);
            tasks.spawn("replay", replay.run(stop_upkeep.clone()));
            keeper
        }
        None => Keeper::Own { store: store.recorder.clone(), metrics: metrics.clone() },
    };
    let parts = remote_write::Parts {
        fleet: fleet.clone(),
        history: store.history.clone(),
        pages: pages.clone(),
        ours: ours.clone(),
        all: discovery.subscribe(),
    };
    let tap = sent::start(&config, parts, &accesses, &mut registry, &mut tasks, &stop_upkeep)?;
    let (queue, writer) = Writer::new(keeper, fleet.clone(), metrics.clone());
    let mut writer = tokio::spawn(writer.telling(tap).run());
    let mailbox = store.shared.as_ref().map(|shared| shared.mailbox.clone());
    let (receiver, pushes) = push::Receiver::new(fleet.clone(), ours.clone(), mailbox);
    let mut installation = installation::Told::new(&config, &store, started_at, discovery.subscribe_problems());
    installation.share = sharding.as_ref().map(Sharding::subscribe_share);
    let told = Arc::new(ToldTargets::new(&config, discovery.subscribe(), discovery.subscribe_dropped()));
    let (guard, unverified) = watch(&config, &metrics);
    tasks.spawn("files of accesses", Arc::clone(&accesses).run(stop_upkeep.clone()));
    let (agent_key, reloads) = (settings.agent_key.clone(), discovery.reloads());
    let reloader = Reloader::new(config.source.clone(), reloads, Arc::clone(&accesses), agent_key);
    tasks.spawn("reloading at SIGHUP", Arc::clone(&reloader).at_hangups(stop_upkeep.clone()));
    tasks.spawn(
        "telling of servers that cannot be verified",
        upkeep::tell_unverified(unverified, store.journal.clone(), stop_upkeep.clone()),
    );
    let scraper = scraper(&config, accesses, policy);
    let (on_demand, asked_for) = OnDemand::new();
    let (events, waiting) = Events::new();
    tasks.spawn("telling of servers", waiting.write(store.journal.clone(), stop_upkeep.clone()));
    let asked_for = (pushes, asked_for, pages.clone());
    let engine = engine_parts(&config, scraper, queue, fleet.clone(), guard, term, asked_for, events, metrics);
    let engine = Engine::new(engine);
    let (pulse, pulses) = mpsc::channel(1);
    let engine = start_engine(engine, targets, pulses, stop_input.clone())?;
    let mut engine = tokio::task::spawn_blocking(move || engine.join());
    tasks.spawn("discovery", discovery.run(stop_input.clone()));
    tasks.spawn("publishing", upkeep::publish(fleet.clone(), stop_upkeep.clone()));
    let maintenance = Maintenance::new(&config.store, &store, fleet.clone());
    tasks.spawn("maintenance", maintenance.run(stop_upkeep.clone()));
    let look = Arc::new(Notify::new());
    if let Some(live) = live {
        metrics::register_redis(&mut registry, Arc::clone(&live.link));
        installation.redis = Some(Arc::clone(&live.link));
        live.start(&mut tasks, &fleet, neighbours.clone(), ours.clone(), look.clone(), &stop_upkeep);
    }
    if let Some(shared) = &store.shared {
        let follower = Follower::new(shared.changes.clone(), fleet.clone(), look);
        tasks.spawn("following other collectors", follower.run(stop_upkeep.clone()));
    }
    if let Some(sharding) = sharding {
        tasks.spawn("sharding", sharding.run(stop_upkeep.clone()));
    }
    let parts = control::Parts {
        fleet: fleet.clone(),
        targets: asked,
        discovered: told.clone(),
        store: installation.store.name(),
        backup: store.backup.clone(),
        companions: companions_of(&config),
        started_at,
    };
    match Control::bind(&config.store.data_dir, parts, stop_upkeep.clone()) {
        Ok(control) => tasks.spawn("control socket", control.run()),
        Err(error) => tracing::warn!(%error, "no control socket: `backup` and `doctor` cannot ask this collector"),
    }
    let databases = Databases::new(&config.geolocation.databases);
    let geolocation = Geolocation::new(databases, fleet.clone(), ours.clone());
    installation.databases = Some(geolocation.subscribe());
    tasks.spawn("geolocation", geolocation.run(stop_upkeep.clone()));
    tasks.spawn("collecting heartbeats", Arc::clone(&receiver).collect(stop_upkeep.clone()));
    let heartbeats = config.web.legacy_push.then_some(receiver as Arc<dyn Heartbeats>);
    identity::remember_clients(&store, &neighbours).await;
    let parts = mect_web::Parts {
        fleet,
        collecting: Collecting {
            targets: Some(told),
            heartbeats,
            installation: Some(Arc::new(installation)),
            scrapes: Some(on_demand),
            pages: Some(pages),
            reload: Some(reloader),
        },
        neighbours,
        accounts: store.accounts,
        history: store.history,
        journal: store.journal,
        registry: Arc::new(registry),
        settings,
    };
    let (limits, router) = (web_limits(&config.web), mect_web::router(parts));
    let scheme = if certificate.is_some() { "https" } else { "http" };
    match certificate {
        Some((certificate, tls)) => {
            tasks.spawn("certificate", certificate.run(stop_upkeep.clone()));
            tasks.spawn("web", mect_web::serve_tls(listener, router, limits, tls, stop_input.clone()));
        }
        None => tasks.spawn("web", mect_web::serve(listener, router, limits, stop_input.clone())),
    }

    if let Some(interval) = systemd::watchdog_interval() {
        tasks.spawn("watchdog", systemd::watch(pulse, interval, stop_input.clone()));
    }
    println!("Mect VPN Monitor is ready at {scheme}://{address}");
    systemd::ready();
    let failed = tokio::select! {
        signal = stop_signal() => {
            signal?;
            None
        }
        _ = &mut writer => Some("recording"),
        _ = &mut engine => Some("scraping"),
        part = tasks.ended() => Some(part),
    };
    tokio::spawn(end_at_once());
    match failed {
        None => tracing::info!("stopping: no new scrapes; what was scraped is being recorded"),
        Some(part) => tracing::error!(part, "a part of the collector ended by itself; stopping the rest"),
    }
    systemd::stopping();
    stop_input.cancel();
    // The engine holds the only sender: the queue ends when the engine did, the writer when the queue is empty.
    if !engine.is_finished() {
        engine.await?.map_err(|_| anyhow::anyhow!("the engine panicked"))?;
    }
    if !writer.is_finished() {
        writer.await?;
    }
    stop_upkeep.cancel();
    tasks.join().await;
    match failed {
        None => Ok(()),
        Some(part) => bail!("{part} ended by itself; see the log above, and start again"),
    }
}

/// Where the store is shared, the loop that divides the targets.
fn sharding(
    config: &Config,
    store: &Store,
    fleet: &Arc<Fleet>,
    discovered: watch::Receiver<TargetSet>,
    metrics: &Metrics,
) -> anyhow::Result<Option<Sharding>> {
    let Some(shared) = &store.shared else { return Ok(None) };
    Ok(Some(Sharding::new(sharding::Parts {
        leases: shared.leases.clone(),
        journal: store.journal.clone(),
        fleet: fleet.clone(),
        discovered,
        lease: config.collectors.lease(),
        member: sharding::member(config.collectors.name.clone(), &config.store.data_dir)
            .with_context(|| format!("{}: no identity for this collector", config.store.data_dir.display()))?,
        metrics: metrics.clone(),
    })))
}

fn web_limits(web: &Web) -> mect_web::ServeLimits {
    mect_web::ServeLimits {
        max_connections: web.max_connections,
        max_connections_per_address: web.max_connections_per_address,
        proxies: web.trusted_proxies.clone(),
        ..Default::default()
    }
}

async fn listen(web: &Web) -> anyhow::Result<TcpListener> {
    TcpListener::bind(web.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address by `listen` in [web], or by MECT_LISTEN", web.listen)
    })
}

#[expect(clippy::too_many_arguments, reason = "the parts are joined here, and each is of another kind")]
fn engine_parts(
    config: &Config,
    scraper: Scraper,
    queue: crate::record::Queue,
    fleet: Arc<Fleet>,
    watch: Watch,
    term: Arc<Term>,
    (pushes, asked, pages): (Pushes, Asked, Arc<Pages>),
    events: Events,
    metrics: Metrics,
) -> engine::Parts {
    let scrape = &config.scrape;
    engine::Parts {
        scraper,
        page_limits: page_limits(config),
        rule: config.rule(),
        schedule: Schedule::new(scrape.interval(), scrape.recheck()),
        watch,
        room: {
            let scrape = scrape.clone();
            Room::new(move |targets| scrape.max_in_flight(targets), limits::files_for_scrapes())
        },
        queue,
        fleet,
        term,
        pushes,
        silence: Duration::from_secs_f64(config.web.legacy_push_silence_seconds),
        asked,
        pages,
        events,
        metrics,
    }
}

fn page_limits(config: &Config) -> parse::Limits {
    parse::Limits { samples: config.scrape.max_samples, ..Default::default() }
}

fn watch(config: &Config, metrics: &Metrics) -> (Watch, watch::Receiver<Unverified>) {
    let (scrape, canaries) = (&config.scrape, config.guard.canaries.clone());
    Watch::new(scrape.interval(), scrape.recheck(), canaries, metrics.clone())
}

fn scraper(config: &Config, accesses: Arc<Accesses>, policy: Arc<TargetPolicy>) -> Scraper {
    Scraper::new(Limits::from(&config.scrape), config.scrape.keeps_connections(), accesses, policy)
}

fn accesses(config: &Config) -> Result<Arc<Accesses>, ConfigError> {
    Accesses::open(&config.access, config.secrets.agent_api_key.as_ref())
}

/// Starts the engine on a thread of its own: scrapes never wake another core, and pages never wait for scrapes.
fn start_engine(
    engine: Engine,
    targets: watch::Receiver<TargetSet>,
    pulses: mpsc::Receiver<Pulse>,
    stop: CancellationToken,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || runtime.block_on(engine.run(targets, pulses, stop));
    std::thread::Builder::new().name("engine".into()).spawn(run)
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// For who cannot wait, for example because the disk is full and nothing can be recorded: a second signal ends at once.
async fn end_at_once() {
    tokio::time::sleep(SECOND_THOUGHT).await;
    if stop_signal().await.is_ok() {
        tracing::warn!("ended at once; what was not recorded yet is lost");
        std::process::exit(1);
    }
}

/// Reads the target files that the configuration names and says what it found. Asks for no list: the network may be
/// another one where a configuration is checked.
///
/// # Errors
/// A target file cannot be used.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let targets = usable_targets(config)?;
    let lists = match config.http_sd.len() {
        0 => String::new(),
        lists => format!(", and those of [[http_sd]] ({lists}), which `doctor` asks for"),
    };
    println!("The configuration is good: {targets} targets{lists}, pages at http://{}", config.web.listen);
    Ok(())
}

/// Number of targets of a configuration with which everything could be started.
pub(crate) fn usable_targets(config: &Config) -> anyhow::Result<usize> {
    config.check_for_serving()?;
    identity::web_settings(config, config.secrets.secret_key.clone().unwrap_or_else(identity::any_key))?;
    Certificate::open(&config.web)?;
    accesses(config)?;
    Ok(Discovery::candidates_of(config)?.len())
}

/// Serves simulated exporters until SIGINT or SIGTERM.
///
/// # Errors
/// The port is in use, or the target file cannot be written.
pub fn simulate(options: simulate::Options, targets: Option<&Path>) -> anyhow::Result<()> {
    if options.servers == 0 {
        bail!("--servers: give 1 or more");
    }
    limits::raise_open_files();
    limits::check_open_files(options.servers as usize);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let port = options.port;
        let simulation = simulate::Simulation::bind(options).with_context(|| {
            format!("cannot listen on port {port} of the loopback device; choose another by --port")
        })?;
        if let Some(path) = targets {
            simulation.write_targets(path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!("simulating exporters on port {}", simulation.local_port());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Without a signal handler the process just ends at the signal, which is as good.
            let _ = stop_signal().await;
            stopped.cancel();
        });
        simulation.serve(stop).await;
        Ok(())
    })
}
