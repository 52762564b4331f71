//! Joins the parts: opens the store, starts each loop, and ends them in the order in which data flows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mect_fleet::store::embedded::{self, Embedded};
use mect_fleet::store::{Recorder, Store};
use mect_fleet::{Fleet, Timestamp};
use mect_web::Secret;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, ConfigError, Web};
use crate::discovery::{Discovery, TargetSet, file_sd};
use crate::engine::{self, Engine};
use crate::metrics::{self, Metrics};
use crate::record::Writer;
use crate::schedule::Schedule;
use crate::scrape::{Limits, Scraper};
use crate::{parse, simulate};

mod identity;
mod limits;

/// A new snapshot is shown at most this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// History is compressed and old history deleted this often.
const MAINTAIN_EVERY: Duration = Duration::from_secs(300);
/// Seconds of a day.
const DAY: u64 = 86_400;

/// Runs the collector until SIGINT or SIGTERM.
///
/// # Errors
/// A part cannot start: the data directory is held, the address is in use, and the like.
pub fn serve(config: Config) -> anyhow::Result<()> {
    limits::raise_open_files(config.scrape.max_in_flight);
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve_until_signal(config))
}

async fn serve_until_signal(config: Config) -> anyhow::Result<()> {
    let store = open_store(&config).await?;
    let first_password = identity::first_admin(&config, &store).await?;
    let settings = identity::web_settings(&config, identity::secret_key(&config)?)?;
    let fleet = Arc::new(Fleet::load(store.inventory.clone(), store.recorder.standings().await?).await?);

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    metrics::register_on_demand(&mut registry, fleet.clone(), config.store.data_dir.clone());

    let mut discovery = Discovery::new(&config, fleet.clone());
    discovery.refresh().await?;
    let targets = discovery.subscribe();
    let listener = listen(&config.web).await?;
    let address = listener.local_addr()?;

    let stop_input = CancellationToken::new();
    let stop_upkeep = CancellationToken::new();
    let tasks = TaskTracker::new();
    let (queue, writer) = Writer::new(store.recorder.clone(), fleet.clone(), metrics.clone());
    let writer = tokio::spawn(writer.run());
    let engine = Engine::new(engine_parts(&config, queue, fleet.clone(), metrics)?);
    let engine = start_engine(engine, targets, stop_input.clone())?;
    tasks.spawn(discovery.run(stop_input.clone()));
    tasks.spawn(publish(fleet.clone(), stop_upkeep.clone()));
    tasks.spawn(maintain(store.recorder.clone(), config.store.retention_days, stop_upkeep.clone()));
    let parts = mect_web::Parts {
        fleet,
        accounts: store.accounts,
        history: store.history,
        registry: Arc::new(registry),
        settings,
    };
    let web_limits = mect_web::ServeLimits { max_connections: config.web.max_connections, ..Default::default() };
    tasks.spawn(mect_web::serve(listener, mect_web::router(parts), web_limits, stop_input.clone()));
    tasks.close();

    announce(&format!("http://{address}"), first_password.as_ref());
    stop_signal().await?;
    tokio::spawn(end_at_once());
    tracing::info!("stopping: no new scrapes; what was scraped is being recorded");
    stop_input.cancel();
    // The engine holds the only sender: the queue ends when the engine did, the writer when the queue is empty.
    tokio::task::spawn_blocking(move || engine.join()).await?.map_err(|_| anyhow::anyhow!("the engine panicked"))?;
    writer.await?;
    stop_upkeep.cancel();
    tasks.wait().await;
    Ok(())
}

async fn open_store(config: &Config) -> anyhow::Result<Store> {
    /// Bytes of a MiB.
    const MIB: usize = 1024 * 1024;
    let data_dir = config.store.data_dir.clone();
    let options = embedded::Options { cache_bytes: config.store.cache_mib * MIB };
    let opened = tokio::task::spawn_blocking(move || Embedded::open(&data_dir, options)).await?;
    Ok(Store::of(Arc::new(opened?)))
}

async fn listen(web: &Web) -> anyhow::Result<TcpListener> {
    TcpListener::bind(web.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address by `listen` in [web], or by MECT_LISTEN", web.listen)
    })
}

fn engine_parts(
    config: &Config,
    queue: crate::record::Queue,
    fleet: Arc<Fleet>,
    metrics: Metrics,
) -> anyhow::Result<engine::Parts> {
    let scrape = &config.scrape;
    let agent_key = config.secrets.agent_api_key.as_ref();
    let scraper = Scraper::new(Limits::from(scrape), scrape.keeps_connections(), agent_key)
        .map_err(|_| ConfigError::at("environment: AGENT_API_KEY", "holds characters that no HTTP header may have"))?;
    Ok(engine::Parts {
        scraper,
        page_limits: parse::Limits { samples: scrape.max_samples, ..Default::default() },
        rule: config.rule(),
        schedule: Schedule::new(scrape.interval(), scrape.recheck()),
        max_in_flight: scrape.max_in_flight,
        queue,
        fleet,
        metrics,
    })
}

/// Starts the engine on a thread of its own: scrapes never wake another core, and pages never wait for scrapes.
fn start_engine(
    engine: Engine,
    targets: watch::Receiver<TargetSet>,
    stop: CancellationToken,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || runtime.block_on(engine.run(targets, stop));
    std::thread::Builder::new().name("engine".into()).spawn(run)
}

async fn publish(fleet: Arc<Fleet>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PUBLISH_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        fleet.publish(Timestamp::now());
    }
}

async fn maintain(store: Arc<dyn Recorder>, retention_days: u32, stop: CancellationToken) {
    let retention = Duration::from_secs(u64::from(retention_days) * DAY);
    let mut ticks = tokio::time::interval(MAINTAIN_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = Timestamp::now();
        match store.maintain(now, now - retention).await {
            Ok(done) => tracing::debug!(?done, "history maintained"),
            Err(error) => tracing::error!(%error, "history not maintained; trying again later"),
        }
    }
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
    if stop_signal().await.is_ok() {
        tracing::warn!("ended at once; what was not recorded yet is lost");
        std::process::exit(1);
    }
}

/// Tells a person where to look. The first password is told here and nowhere else.
fn announce(url: &str, first_password: Option<&Secret>) {
    println!("Mect VPN Monitor is ready at {url}");
    if let Some(password) = first_password {
        let password = password.expose();
        println!(
            "First sign-in: user admin, password {password} (shown this once; choose your own at the first sign-in)"
        );
    }
}

/// Reads the target files that the configuration names and says what it found.
///
/// # Errors
/// A target file cannot be used.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let mut targets = config.targets.len();
    for file in config.file_sd.iter().flat_map(|file_sd| &file_sd.files) {
        targets += file_sd::read(file).map_err(|error| ConfigError::at("file_sd", error.to_string()))?.len();
    }
    println!("The configuration is good: {targets} targets, pages at http://{}", config.web.listen);
    Ok(())
}

/// Serves simulated exporters until SIGINT or SIGTERM.
///
/// # Errors
/// The port is in use, or the target file cannot be written.
pub fn simulate(options: simulate::Options, targets: Option<&Path>) -> anyhow::Result<()> {
    if options.servers == 0 {
        bail!("--servers: give 1 or more");
    }
    limits::raise_open_files(options.servers as usize);
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
