//! Asks whether Redis is there, for whoever wants to know once.

use std::time::{Duration, Instant};

use redis::cmd;
use tokio::time::timeout;

use super::link::{CONNECT_BUDGET, Connection, SLOW, describe};
use super::url::RedisUrl;

/// Connects and has one command answered; returns how long the answer took.
///
/// # Errors
/// Why not, without addresses or passwords.
pub async fn ping(url: &RedisUrl) -> Result<Duration, String> {
    let ask = async {
        let connection = Connection::open(url).await?;
        let started = Instant::now();
        connection.run(vec![cmd("PING")]).await?;
        Ok(started.elapsed())
    };
    match timeout(CONNECT_BUDGET, ask).await {
        Ok(answered) => answered.map_err(|error| describe(&error)),
        Err(_) => Err(SLOW.to_owned()),
    }
}
