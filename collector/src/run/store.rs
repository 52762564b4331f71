//! Opens the store that the configuration names, and the spool in front of one that may be away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use mect_fleet::spool::{self, Spool};
use mect_fleet::store::Store;
use mect_fleet::store::embedded::{self, Embedded};
use mect_fleet::store::mongo::{self, Mongo};
use mect_fleet::{ServerId, Standing};
use mect_web::Secret;
use tokio::task::spawn_blocking;

use super::DAY;
use crate::config::{self, Config};
use crate::record::newest_standings;

/// Bytes of a MiB.
const MIB: usize = 1024 * 1024;
/// Directory of the spool, in the data directory.
const SPOOL: &str = "spool";

/// The store: MongoDB when `MONGO_URL` is set, else the embedded one; and the spool in front of MongoDB.
pub(super) async fn open(config: &Config) -> anyhow::Result<(Store, Option<Arc<Spool>>)> {
    match &config.secrets.mongo_url {
        Some(url) => {
            let store = whole(open_mongo(config, url).await?).await?;
            let directory = spool_of(config);
            let options =
                spool::Options { capacity_bytes: (config.store.spool_mib * MIB) as u64, ..Default::default() };
            let spool = spawn_blocking(move || Spool::open(&directory, options)).await??;
            Ok((store, Some(Arc::new(spool))))
        }
        None => Ok((whole(open_embedded(config).await?).await?, None)),
    }
}

/// Refuses a store to which a fleet is being moved.
async fn whole(store: Store) -> anyhow::Result<Store> {
    if store.transfer.mark().await?.is_some_and(|mark| mark.unfinished) {
        bail!("the store is the target of a move that was not finished; run `mect-collector migrate` again first");
    }
    Ok(store)
}

/// How long history is kept.
pub(crate) fn retention(settings: &config::Store) -> Duration {
    Duration::from_secs(u64::from(settings.retention_days) * DAY)
}

/// Where the spool is.
pub(crate) fn spool_of(config: &Config) -> PathBuf {
    config.store.data_dir.join(SPOOL)
}

/// The store alone, for who records nothing.
pub(super) async fn open_alone(config: &Config) -> anyhow::Result<Store> {
    match &config.secrets.mongo_url {
        Some(url) => open_mongo(config, url).await,
        None => {
            let data_dir = &config.store.data_dir;
            // Opening would make a new one, with nobody in it.
            if !data_dir.is_dir() {
                bail!(
                    "{} is no data directory; name the right configuration by --config, or the directory by \
                     MECT_DATA_DIR as the service has it",
                    data_dir.display()
                );
            }
            open_embedded(config).await
        }
    }
}

/// The store in the data directory, made if there is none.
pub(crate) async fn open_embedded(config: &Config) -> anyhow::Result<Store> {
    let data_dir = config.store.data_dir.clone();
    let options = embedded::Options { cache_bytes: config.store.cache_mib * MIB };
    let opened = spawn_blocking(move || Embedded::open(&data_dir, options)).await?;
    Ok(Store::of_own(Arc::new(opened?)))
}

/// The store in the database at `url`, made ready if it is not.
pub(crate) async fn open_mongo(config: &Config, url: &Secret) -> anyhow::Result<Store> {
    let opened = Mongo::open(url.expose(), mongo::Options { retention: retention(&config.store) }).await;
    let mongo = opened.context("the database that MONGO_URL names cannot be used")?;
    Ok(Store::of_shared(Arc::new(mongo)))
}

/// Where health goes on: what the store remembers, and what waits in the spool.
pub(super) async fn standings(store: &Store, spool: Option<&Arc<Spool>>) -> anyhow::Result<Vec<(ServerId, Standing)>> {
    let stored = store.recorder.standings().await?;
    let Some(spool) = spool.cloned() else { return Ok(stored) };
    let spooled = spawn_blocking(move || spool.standings()).await??;
    Ok(newest_standings(stored, spooled))
}
