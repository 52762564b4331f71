//! `server:{ip}` keys: each server as REST shows it, for other programs. Nothing here ever reads them.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Cmd;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::fleet::Fleet;
use crate::server::ServerId;
use crate::view::{FleetView, ServerView};

/// Seconds until a key of a server that nobody scrapes any more is gone: five missed scrapes, as it always was.
const TTL_SECONDS: u64 = 600;
/// Keys set by one call: small enough for [`super::CALL_BUDGET`].
const KEYS: usize = 128;

/// Writes the keys of the servers that this collector scrapes.
pub struct Cache {
    link: Arc<Link>,
    encode: fn(&ServerView) -> Vec<u8>,
    is_ours: Box<dyn Fn(ServerId) -> bool + Send + Sync>,
    /// What each key says.
    written: HashMap<ServerId, Arc<ServerView>>,
}

impl Cache {
    /// A cache of the servers for which `is_ours` holds, in the form that `encode` gives them.
    pub fn new(
        link: Arc<Link>,
        encode: fn(&ServerView) -> Vec<u8>,
        is_ours: Box<dyn Fn(ServerId) -> bool + Send + Sync>,
    ) -> Self {
        Self { link, encode, is_ours, written: HashMap::new() }
    }

    /// Writes what changes in the fleet until `stop`.
    pub async fn run(mut self, fleet: Arc<Fleet>, stop: CancellationToken) {
        let mut views = fleet.subscribe();
        views.mark_changed();
        while let Some(Ok(())) = stop.run_until_cancelled(views.changed()).await {
            let view = Arc::clone(&views.borrow_and_update());
            self.write(&view).await;
        }
    }

    /// Writes every server of ours that differs from its key. What cannot be written now is written with the next
    /// view.
    async fn write(&mut self, view: &FleetView) {
        let is_new = |server: &&Arc<ServerView>| {
            let written = self.written.get(&server.server.id);
            (self.is_ours)(server.server.id) && written.is_none_or(|written| !Arc::ptr_eq(written, server))
        };
        let changed: Vec<_> = view.servers().iter().filter(is_new).cloned().collect();
        for servers in changed.chunks(KEYS) {
            let commands = servers.iter().map(|server| self.set(server)).collect();
            if !self.link.send(commands).await {
                return;
            }
            self.written.extend(servers.iter().map(|server| (server.server.id, Arc::clone(server))));
        }
        if self.written.len() > view.servers().len() {
            self.written.retain(|server, _| view.by_id(*server).is_some());
        }
    }

    fn set(&self, server: &ServerView) -> Cmd {
        let key = format!("server:{}", server.server.ip);
        redis::cmd("SET").arg(key).arg((self.encode)(server)).arg("EX").arg(TTL_SECONDS).to_owned()
    }
}
