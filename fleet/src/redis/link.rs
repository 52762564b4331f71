//! The way to Redis for everything that is sent there: connected when first needed, bounded in time, never needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisResult};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::url::RedisUrl;

/// An answer that takes longer is not waited for: the work behind it is worth less than being on time.
pub const CALL_BUDGET: Duration = Duration::from_millis(50);
/// Connecting takes several round trips, and an encrypted one more. Only the senders in the background wait for it.
pub(super) const CONNECT_BUDGET: Duration = Duration::from_secs(2);

/// The way to Redis. What cannot be sent is dropped; the breaker keeps a dead server from being asked again and again.
pub struct Link {
    url: RedisUrl,
    connection: tokio::sync::Mutex<Option<Connection>>,
    breaker: Mutex<Breaker>,
    /// Of the last call; `None` before the first.
    answered: Mutex<Option<bool>>,
    errors: AtomicU64,
    refused: AtomicU64,
}

#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// A way to the server or cluster of `url`. Connects when something is sent.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            connection: tokio::sync::Mutex::default(),
            breaker: Mutex::default(),
            answered: Mutex::default(),
            errors: AtomicU64::default(),
            refused: AtomicU64::default(),
        }
    }

    /// Sends commands; true when Redis did them all.
    pub async fn send(&self, commands: Vec<Cmd>) -> bool {
        if !self.breaker().permits(Instant::now()) {
            return false;
        }
        let connection = match self.connected().await {
            Ok(connection) => connection,
            Err(reason) => return self.failed(&reason),
        };
        match timeout(CALL_BUDGET, connection.run(commands)).await {
            Ok(Ok(())) => self.succeeded(),
            Ok(Err(error)) => {
                if error.is_io_error() || error.is_connection_dropped() {
                    self.connection.lock().await.take();
                }
                self.failed(&describe(&error))
            }
            Err(_) => {
                // What is still under way there must not pile up behind a server that stands still.
                self.connection.lock().await.take();
                self.failed(SLOW)
            }
        }
    }

    /// True when the last call was answered.
    pub fn is_up(&self) -> bool {
        *self.lock_answered() == Some(true)
    }

    /// Calls that failed so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Messages of the bus that were refused so far: not ours, damaged, or told before.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a refused message; true for the first one.
    pub(super) fn count_refused(&self) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts a failed subscription.
    pub(super) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn url(&self) -> &RedisUrl {
        &self.url
    }

    async fn connected(&self) -> Result<Connection, String> {
        // Held while connecting: whoever comes meanwhile wants the same connection.
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let connection = match timeout(CONNECT_BUDGET, Connection::open(&self.url)).await {
            Ok(opened) => opened.map_err(|error| describe(&error))?,
            Err(_) => return Err(SLOW.to_owned()),
        };
        Ok(slot.insert(connection).clone())
    }

    fn succeeded(&self) -> bool {
        self.breaker().succeeded();
        if self.lock_answered().replace(true) != Some(true) {
            tracing::info!("Redis answers");
        }
        true
    }

    fn failed(&self, reason: &str) -> bool {
        self.breaker().failed(Instant::now());
        self.count_error();
        if self.lock_answered().replace(false) != Some(false) {
            tracing::warn!(reason, "Redis does not answer; going on without it");
        }
        false
    }

    fn lock_answered(&self) -> MutexGuard<'_, Option<bool>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) const SLOW: &str = "no answer in time";

/// What went wrong, without addresses or passwords: the server's code, or the kind of error.
pub(super) fn describe(error: &RedisError) -> String {
    error.code().unwrap_or_else(|| error.category()).to_owned()
}

impl Connection {
    pub(super) async fn open(url: &RedisUrl) -> RedisResult<Self> {
        if url.is_cluster {
            let nodes = url.nodes.iter().map(|node| node.get_connection_info().clone());
            let cluster = ClusterClientBuilder::new(nodes)
                .connection_timeout(CONNECT_BUDGET)
                .response_timeout(CALL_BUDGET)
                // The next call comes soon enough.
                .retries(1)
                .build()?;
            return cluster.get_async_connection().await.map(Self::Cluster);
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_BUDGET))
            .set_response_timeout(Some(CONNECT_BUDGET));
        url.nodes[0].get_multiplexed_async_connection_with_config(&limits).await.map(Self::Single)
    }

    pub(super) async fn run(self, commands: Vec<Cmd>) -> RedisResult<()> {
        match self {
            Self::Single(mut connection) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command).ignore();
                }
                pipeline.exec_async(&mut connection).await
            }
            // Their keys may be on different nodes, which a pipeline cannot reach.
            Self::Cluster(connection) => {
                let run = async |command: Cmd| connection.clone().req_packed_command(&command).await;
                try_join_all(commands.into_iter().map(run)).await.map(|_| ())
            }
        }
    }
}
