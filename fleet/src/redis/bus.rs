//! Tells news to the other collectors.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::CHANNEL;
use super::link::Link;
use super::seal::Sealer;
use crate::peers::News;
use crate::time::Timestamp;

/// A collector says this often that it is there; see [`super::listen`].
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Standings in one message: far below the size that is refused, and soon read.
const STANDINGS: usize = 256;

/// Publishes what `inbox` brings until `stop`. What Redis does not take is dropped.
pub async fn publish(link: Arc<Link>, mut sealer: Sealer, mut inbox: mpsc::Receiver<News>, stop: CancellationToken) {
    let mut alive = tokio::time::interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = inbox.recv() => match news {
                Some(news) => news,
                None => return,
            },
            _ = alive.tick() => News::Alive,
        };
        let commands: Vec<_> = split(news)
            .filter_map(|news| {
                let message = sealer.seal(&news, Timestamp::now())?;
                Some(redis::cmd("PUBLISH").arg(CHANNEL).arg(message).to_owned())
            })
            .collect();
        link.send(commands).await;
    }
}

/// News in parts that are small enough.
fn split(news: News) -> impl Iterator<Item = News> {
    let parts: Vec<_> = match news {
        News::Standings(standings) => {
            standings.chunks(STANDINGS).map(|chunk| News::Standings(chunk.to_vec())).collect()
        }
        other => vec![other],
    };
    parts.into_iter()
}
