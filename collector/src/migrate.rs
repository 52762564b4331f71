//! `migrate`: moves the fleet from the embedded store to MongoDB, or back, and tells how far it is.

use std::fmt;

use anyhow::{Context, bail};
use mect_fleet::Timestamp;
use mect_fleet::migration::{self, Moved, Span};
use mect_fleet::spool::{self, Spool};
use mect_fleet::store::Store;
use mect_fleet::store::embedded::Embedded;

use crate::config::{Config, ConfigError};
use crate::run;

mod progress;

use progress::Lines;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The data directory.
    Embedded,
    /// The database that `MONGO_URL` names.
    Mongo,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// How much.
    pub moved: Moved,
    /// Where it is now.
    pub to: Kind,
}

/// Moves the fleet. Runs until it is done; killed and run again, it comes to the same.
///
/// # Errors
/// A store cannot be opened or fails, a collector runs on one of them, or the target holds something else.
pub fn migrate(config: &Config, from: Kind, to: Kind) -> anyhow::Result<Done> {
    if from == to {
        bail!("--from and --to name the same store; give one as embedded, the other as mongo");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let moved = runtime.block_on(async {
        let (source, target) = (open(config, from, true).await?, open(config, to, false).await?);
        let now = Timestamp::now();
        let span = Span { oldest: now - run::retention(&config.store), now };
        Ok::<_, anyhow::Error>(migration::migrate(&source, &target, span, &mut Lines::new()).await?)
    })?;
    Ok(Done { moved, to })
}

async fn open(config: &Config, kind: Kind, is_source: bool) -> anyhow::Result<Store> {
    let data_dir = &config.store.data_dir;
    match kind {
        Kind::Embedded => {
            if is_source && !Embedded::exists(data_dir)? {
                bail!(
                    "{}: there is no store; name the data directory by `data_dir` in [store], or MECT_DATA_DIR",
                    data_dir.display()
                );
            }
            run::open_embedded(config).await.context("the data directory cannot be used")
        }
        Kind::Mongo => {
            let url = config.secrets.mongo_url.as_ref().ok_or_else(|| {
                ConfigError::at("environment: MONGO_URL", "is needed: it names the database to move from or to")
            })?;
            if is_source {
                refuse_spooled(config)?;
            }
            run::open_mongo(config, url).await
        }
    }
}

/// What waits in the spool is not in the database yet.
fn refuse_spooled(config: &Config) -> anyhow::Result<()> {
    let directory = run::spool_of(config);
    if !directory.try_exists().with_context(|| directory.display().to_string())? {
        return Ok(());
    }
    let waiting = Spool::open(&directory, spool::Options::default())?.stats().records;
    if waiting > 0 {
        bail!(
            "{}: {waiting} records are not in the database yet; start the collector, wait until mect_spool_records is 0, \
             stop it, and run this again",
            directory.display()
        );
    }
    Ok(())
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moved { servers, users, tokens, transitions, events, audit, scrapes } = self.moved;
        writeln!(
            f,
            "Done: {servers} servers, {users} users, {tokens} API tokens, {transitions} transitions, {events} events, \
             {audit} audit entries and {scrapes} scrapes were moved, read back and found the same. Sessions were not \
             moved: sign in again."
        )?;
        match self.to {
            Kind::Mongo => write!(
                f,
                "Start the collectors with this MONGO_URL, and with the SECRET_KEY of before (SECRET_KEY_FILE may name \
                 secret.key of the data directory) so that REST tokens stay valid."
            ),
            Kind::Embedded => write!(
                f,
                "Start the collector without MONGO_URL, and with the SECRET_KEY of before so that REST tokens stay valid."
            ),
        }
    }
}
