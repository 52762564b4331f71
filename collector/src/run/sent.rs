//! Starts what sends samples to other databases.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::config::Config;
use crate::metrics;
use crate::remote_write::{Parts, RemoteWrite, Tap};
use crate::scrape::Accesses;

/// Starts the loops for `[[remote_write]]`; gives where records are to be told, if the configuration names a receiver.
pub(super) fn start(
    config: &Config,
    parts: Parts,
    accesses: &Arc<Accesses>,
    registry: &mut Registry,
    tasks: &mut Tasks,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Tap>> {
    let Some((tap, remote_write)) = RemoteWrite::open(config, parts)? else { return Ok(None) };
    metrics::register_remote_write(registry, remote_write.counts());
    for sender in remote_write.senders(config, accesses)? {
        tasks.spawn("sending samples", sender.run(stop.clone()));
    }
    tasks.spawn("remote write", remote_write.run(stop.clone()));
    Ok(Some(tap))
}
