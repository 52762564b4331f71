//! Hears news of the other collectors, and hands them to whom they concern.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::RedisResult;
use redis::aio::PubSub;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::CHANNEL;
use super::bus::ALIVE_EVERY;
use super::link::{CONNECT_BUDGET, Link};
use super::seal::Opener;
use crate::fleet::Fleet;
use crate::peers::{Neighbours, News};
use crate::server::ServerId;
use crate::time::Timestamp;

/// Silence, our own voice included, after which the subscription is made anew.
const SILENCE: Duration = Duration::from_secs(3 * ALIVE_EVERY.as_secs());
/// Between two attempts to subscribe.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// A standing that claims to be from later than this is not believed: it would hide every true one until then.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);

/// Whom news concern.
pub struct Hearers {
    /// Shows standings of servers that others scrape.
    pub fleet: Arc<Fleet>,
    /// True for servers that this collector scrapes: nobody else can know better.
    pub is_ours: Box<dyn Fn(ServerId) -> bool + Send + Sync>,
    /// Notified when there is something new in the store.
    pub look: Arc<Notify>,
    /// Count failed logins, and take note of changed users.
    pub neighbours: Neighbours,
}

/// Listens until `stop`. After every gap the store is looked at, because what was told meanwhile is lost.
pub async fn listen(link: Arc<Link>, mut opener: Opener, hearers: Hearers, stop: CancellationToken) {
    let mut attempt = 0;
    loop {
        let node = &link.url().nodes[attempt % link.url().nodes.len()];
        attempt += 1;
        let subscribed = stop.run_until_cancelled(timeout(CONNECT_BUDGET, subscribe(node))).await;
        match subscribed {
            None => return,
            Some(Ok(Ok(messages))) => {
                hearers.look.notify_one();
                if stop.run_until_cancelled(hear(messages, &link, &mut opener, &hearers)).await.is_none() {
                    return;
                }
            }
            // Told by the link, which fares no better.
            Some(Ok(Err(_)) | Err(_)) => link.count_error(),
        }
        if stop.run_until_cancelled(tokio::time::sleep(RETRY_EVERY)).await.is_none() {
            return;
        }
    }
}

async fn subscribe(node: &redis::Client) -> RedisResult<PubSub> {
    let mut messages = node.get_async_pubsub().await?;
    messages.subscribe(CHANNEL).await?;
    Ok(messages)
}

/// Hears messages until the connection ends or nothing comes any more.
async fn hear(mut messages: PubSub, link: &Link, opener: &mut Opener, hearers: &Hearers) {
    let mut messages = messages.on_message();
    while let Ok(Some(message)) = timeout(SILENCE, messages.next()).await {
        match opener.open(message.get_payload_bytes(), Timestamp::now()) {
            Ok(Some(news)) => hearers.hear(news),
            Ok(None) => {}
            Err(refusal) => {
                // Said once: whoever can write to Redis could fill the disk with it.
                if link.count_refused() {
                    tracing::warn!(%refusal, "a message on Redis is not believed; further ones are only counted");
                }
            }
        }
    }
}

impl Hearers {
    fn hear(&self, news: News) {
        match news {
            News::Standings(mut standings) => {
                let future = Timestamp::now() + CLOCKS_DIFFER;
                standings.retain(|(server, standing)| {
                    !(self.is_ours)(*server) && standing.last_scrape.is_none_or(|at| at <= future)
                });
                self.fleet.absorb_standings(&standings);
            }
            News::Inventory => self.look.notify_one(),
            News::User(username) => self.neighbours.users.heard(username),
            News::FailedLogin(keys) => self.neighbours.throttle.heard(keys, Instant::now()),
            News::KnownClient(client) => self.neighbours.throttle.heard_of(client, Instant::now()),
            News::Alive => {}
        }
    }
}
