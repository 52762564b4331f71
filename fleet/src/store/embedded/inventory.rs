//! The inventory role: servers by identity, found by address.

use std::collections::HashSet;

use async_trait::async_trait;
use redb::{ReadableTable, Table, WriteTransaction};

use super::tables::{Key, SERVER_BY_IP, SERVERS, STANDINGS};
use super::{Embedded, document, standing};
use crate::server::{FlagsPatch, Server, ServerId, ServerPatch};
use crate::store::{Inventory, Registration, Result, StoreError};
use crate::time::Timestamp;
use crate::view::Standing;

const WHAT: &str = "server";

#[async_trait]
impl Inventory for Embedded {
    async fn servers(&self) -> Result<Vec<Server>> {
        self.read(|txn| {
            let servers = txn.open_table(SERVERS)?;
            servers.iter()?.map(|entry| decode(entry?.1.value())).collect()
        })
        .await
    }

    async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        self.write(move |txn| {
            let mut servers = Servers::open(txn)?;
            registrations.iter().map(|registration| servers.register(registration, now)).collect()
        })
        .await
    }

    async fn create_server(&self, registration: Registration, now: Timestamp) -> Result<Server> {
        self.write(move |txn| {
            let mut servers = Servers::open(txn)?;
            servers.refuse_taken(&registration.ip)?;
            servers.register(&registration, now)
        })
        .await
    }

    async fn set_flags(&self, ip: &str, patch: FlagsPatch) -> Result<Option<Server>> {
        let ip = ip.to_owned();
        self.write(move |txn| {
            let mut servers = Servers::open(txn)?;
            let Some(mut server) = servers.find(&ip)? else { return Ok(None) };
            let before = server.clone();
            ServerPatch { flags: patch, ..ServerPatch::default() }.apply(&mut server);
            servers.put_changed(&before, &server)?;
            Ok(Some(server))
        })
        .await
    }

    async fn edit_server(&self, id: ServerId, patch: ServerPatch) -> Result<Option<Server>> {
        self.write(move |txn| Servers::open(txn)?.edit(id, patch)).await
    }

    async fn edit_servers(&self, edits: Vec<(ServerId, ServerPatch)>) -> Result<Vec<Server>> {
        self.write(move |txn| {
            let mut servers = Servers::open(txn)?;
            edits.into_iter().filter_map(|(id, patch)| servers.edit(id, patch).transpose()).collect()
        })
        .await
    }

    async fn delete_server(&self, id: ServerId) -> Result<bool> {
        self.write(move |txn| Ok(Servers::open(txn)?.remove(txn, id)?.is_some())).await
    }

    async fn delete_silent(&self, oldest: Timestamp, keep: &HashSet<ServerId>) -> Result<Vec<Server>> {
        let known = self.servers().await?.into_iter();
        let candidates: Vec<_> = known.filter(|server| !server.is_static && !keep.contains(&server.id)).collect();
        if candidates.is_empty() {
            return Ok(candidates);
        }
        self.write(move |txn| {
            let mut servers = Servers::open(txn)?;
            let mut deleted = Vec::new();
            for server in candidates {
                let standing = txn.open_table(STANDINGS)?.get(&server.id.key())?.map(|s| standing::decode(s.value()));
                // A standing that cannot be read says nothing: the server stays until it is heard of again.
                let heartbeat = standing.transpose().map(|s| s.unwrap_or_default().last_heartbeat);
                if heartbeat.is_ok_and(|at| at.unwrap_or(server.registered_at) < oldest) {
                    deleted.extend(servers.remove(txn, server.id)?);
                }
            }
            Ok(deleted)
        })
        .await
    }
}

/// Puts a server with its identity and standing in the place of what is there of it. Addresses that servers exchanged
/// are right once all of them are put.
pub(super) fn put(txn: &WriteTransaction, server: &Server, standing: &Standing) -> Result<()> {
    let (mut servers, key) = (Servers::open(txn)?, server.id.key());
    if let Some(known) = servers.get(server.id)? {
        let is_its_own = servers.by_ip.get(known.ip.as_str())?.is_some_and(|holder| *holder.value() == key);
        if is_its_own {
            servers.by_ip.remove(known.ip.as_str())?;
        }
    }
    servers.by_ip.insert(server.ip.as_str(), &key)?;
    servers.put(server)?;
    let mut bytes = Vec::new();
    standing::encode(standing, standing.last_scrape.unwrap_or_default(), &mut bytes)?;
    txn.open_table(STANDINGS)?.insert(&key, bytes.as_slice())?;
    Ok(())
}

struct Servers<'txn> {
    by_id: Table<'txn, &'static Key, &'static [u8]>,
    by_ip: Table<'txn, &'static str, &'static Key>,
}

impl<'txn> Servers<'txn> {
    fn open(txn: &'txn WriteTransaction) -> Result<Self> {
        Ok(Self { by_id: txn.open_table(SERVERS)?, by_ip: txn.open_table(SERVER_BY_IP)? })
    }

    fn register(&mut self, registration: &Registration, now: Timestamp) -> Result<Server> {
        if let Some(mut server) = self.find(&registration.ip)? {
            let before = server.clone();
            registration.renew(&mut server);
            self.put_changed(&before, &server)?;
            return Ok(server);
        }
        let server = Server::new(self.unused_id()?, registration, now);
        self.by_ip.insert(server.ip.as_str(), &server.id.key())?;
        self.put(&server)?;
        Ok(server)
    }

    fn edit(&mut self, id: ServerId, patch: ServerPatch) -> Result<Option<Server>> {
        let Some(mut server) = self.get(id)? else { return Ok(None) };
        let before = server.clone();
        if let Some(expected) = patch.revision.filter(|expected| *expected != server.revision) {
            return Err(StoreError::Outdated { expected, found: server.revision });
        }
        patch.apply(&mut server);
        if server.ip != before.ip {
            self.refuse_taken(&server.ip)?;
            self.by_ip.remove(before.ip.as_str())?;
            self.by_ip.insert(server.ip.as_str(), &id.key())?;
        }
        self.put_changed(&before, &server)?;
        Ok(Some(server))
    }

    fn find(&self, ip: &str) -> Result<Option<Server>> {
        let Some(key) = self.by_ip.get(ip)? else { return Ok(None) };
        let found = self.by_id.get(key.value())?;
        // The index and the document are always written together.
        let found = found.ok_or_else(|| StoreError::damaged(WHAT, format_args!("{ip} points nowhere")))?;
        decode(found.value()).map(Some)
    }

    fn get(&self, id: ServerId) -> Result<Option<Server>> {
        self.by_id.get(&id.key())?.map(|found| decode(found.value())).transpose()
    }

    fn refuse_taken(&self, ip: &str) -> Result<()> {
        match self.by_ip.get(ip)? {
            Some(_) => Err(StoreError::Conflict(format!("a server with address {ip} exists already"))),
            None => Ok(()),
        }
    }

    /// Forgets a server and its standing.
    fn remove(&mut self, txn: &WriteTransaction, id: ServerId) -> Result<Option<Server>> {
        let Some(server) = self.get(id)? else { return Ok(None) };
        self.by_id.remove(&id.key())?;
        self.by_ip.remove(server.ip.as_str())?;
        txn.open_table(STANDINGS)?.remove(&id.key())?;
        Ok(Some(server))
    }

    fn put_changed(&mut self, before: &Server, server: &Server) -> Result<()> {
        if before == server { Ok(()) } else { self.put(server) }
    }

    fn put(&mut self, server: &Server) -> Result<()> {
        self.by_id.insert(&server.id.key(), document::encode(server)?.as_slice())?;
        Ok(())
    }

    fn unused_id(&self) -> Result<ServerId> {
        loop {
            let id = ServerId::random().map_err(StoreError::backend)?;
            if self.by_id.get(&id.key())?.is_none() {
                return Ok(id);
            }
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Server> {
    document::decode::<Server>(WHAT, bytes).map(Server::layered)
}
