//! The inventory role: every change sets the fields it means and no other.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use bson::{Document, doc};

use super::{Mongo, server};
use crate::server::{FlagsPatch, Server, ServerId, ServerPatch};
use crate::store::{Inventory, Registration, Result, StoreError};
use crate::time::Timestamp;

/// Addresses asked for at once.
const ADDRESSES: usize = 5000;
/// Identities drawn for one batch, in a row, before giving up. One in a million million.
const DRAWS: usize = 10;
/// Attempts to change a server that others change at the same time.
const TURNS: usize = 50;

#[async_trait]
impl Inventory for Mongo {
    async fn servers(&self) -> Result<Vec<Server>> {
        let documents = self.server_documents(Document::new()).await?;
        Ok(documents.iter().filter_map(server::server).collect())
    }

    async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        let mut known = self.by_address(&registrations).await?;
        for _ in 0..DRAWS {
            let wanted = wanted(&registrations).into_iter();
            let updates =
                wanted.filter_map(|wanted| wanted.update(&known, now).transpose()).collect::<Result<Vec<_>>>()?;
            if updates.is_empty() {
                let found = registrations.iter().map(|registration| known.get(&registration.ip).cloned());
                return found.collect::<Option<_>>().ok_or_else(|| damaged("a server that was just written is gone"));
            }
            // An identity or an address that somebody else took in the same moment: the next turn sees it.
            self.update(self.servers.name(), updates).await?;
            known = self.by_address(&registrations).await?;
        }
        Err(StoreError::Conflict("servers change faster than they can be registered".into()))
    }

    async fn create_server(&self, registration: Registration, now: Timestamp) -> Result<Server> {
        let taken = || StoreError::Conflict(format!("a server with address {} exists already", registration.ip));
        for _ in 0..DRAWS {
            let id = ServerId::random().map_err(|error| StoreError::Backend(Box::new(error)))?;
            let server = Server::new(id, &registration, now);
            let mut set = server::fields(&server)?;
            set.insert(server::UPDATED_AT, "$$NOW");
            // By address and identity: sent again it falls on itself, and a taken address on the unique index.
            let one = doc! { "ip": &server.ip, server::ID: id.to_string() };
            let update = doc! { "q": one, "u": [{ "$set": set }], "upsert": true };
            let updated = self.update(self.servers.name(), vec![update]).await?;
            if updated.duplicates.is_empty() {
                return Ok(server);
            }
            if self.by_address(std::slice::from_ref(&registration)).await?.contains_key(&registration.ip) {
                return Err(taken());
            }
        }
        Err(taken())
    }

    async fn set_flags(&self, ip: &str, patch: FlagsPatch) -> Result<Option<Server>> {
        self.change(doc! { "ip": ip }, &ServerPatch { flags: patch, ..ServerPatch::default() }).await
    }

    async fn edit_server(&self, id: ServerId, patch: ServerPatch) -> Result<Option<Server>> {
        self.change(doc! { server::ID: id.to_string() }, &patch).await
    }

    async fn edit_servers(&self, edits: Vec<(ServerId, ServerPatch)>) -> Result<Vec<Server>> {
        let mut servers = Vec::with_capacity(edits.len());
        for edits in edits.chunks(ADDRESSES) {
            servers.extend(self.change_many(edits).await?);
        }
        Ok(servers)
    }

    async fn delete_server(&self, id: ServerId) -> Result<bool> {
        Ok(self.delete(doc! { server::ID: id.to_string() }).await?.is_some())
    }

    async fn delete_silent(&self, oldest: Timestamp, keep: &HashSet<ServerId>) -> Result<Vec<Server>> {
        // Whoever was written since is not silent: adopted from the old system just now, or edited.
        let untouched = doc! { "static": { "$ne": true }, server::UPDATED_AT: { "$lt": server::date(oldest) } };
        let documents = self.server_documents(untouched).await?;
        let mut deleted = Vec::new();
        for document in documents {
            let Some(server) = server::server(&document).filter(|server| !keep.contains(&server.id)) else { continue };
            // A standing that cannot be read says nothing: the server stays until it is heard of again.
            let Ok(standing) = server::standing(&document) else { continue };
            if standing.last_heartbeat.unwrap_or(server.registered_at) >= oldest {
                continue;
            }
            // As it was read: a heartbeat or an edit that came in between keeps the server.
            let unchanged = document.get_document("mect").ok().and_then(|ours| ours.get("updated_at")).cloned();
            let filter = doc! { server::ID: server.id.to_string(), server::UPDATED_AT: unchanged };
            deleted.extend(self.delete(filter).await?);
        }
        Ok(deleted)
    }
}

impl Mongo {
    /// The documents of servers that `filter` matches, without what we never read.
    pub(super) async fn server_documents(&self, filter: Document) -> Result<Vec<Document>> {
        let found = self.servers.find(filter).projection(doc! { "load": 0, "services": 0 });
        Ok(self.all(found).await?)
    }

    async fn by_address(&self, registrations: &[Registration]) -> Result<HashMap<String, Server>> {
        let mut known = HashMap::new();
        for registrations in registrations.chunks(ADDRESSES) {
            let addresses: Vec<_> = registrations.iter().map(|registration| registration.ip.as_str()).collect();
            let documents = self.server_documents(doc! { "ip": { "$in": addresses } }).await?;
            let servers = documents.iter().filter_map(server::server);
            known.extend(servers.map(|server| (server.ip.clone(), server)));
        }
        Ok(known)
    }

    async fn delete(&self, filter: Document) -> Result<Option<Server>> {
        let Some(document) = self.call(self.servers.find_one_and_delete(filter)).await? else { return Ok(None) };
        let server = server::server(&document);
        let last_scrape = server::standing(&document).ok().and_then(|standing| standing.last_scrape);
        if let (Some(server), Some(last_scrape)) = (&server, last_scrape) {
            self.note_last_hours(server.id, last_scrape).await?;
        }
        Ok(server)
    }

    /// Changes one server. Read, changed and written if nobody changed it meanwhile: else once more.
    async fn change(&self, filter: Document, patch: &ServerPatch) -> Result<Option<Server>> {
        let mut written = None;
        for _ in 0..TURNS {
            let found = self.server_documents(filter.clone()).await?;
            let Some(before) = found.first().and_then(server::server) else { return Ok(None) };
            // A write whose answer was lost was sent twice, and found itself done.
            if written.as_ref() == Some(&before) {
                return Ok(written);
            }
            let Some((after, update)) = changed(&before, patch.clone())? else { return Ok(Some(before)) };
            let updated = self.update(self.servers.name(), vec![update]).await?;
            if !updated.duplicates.is_empty() {
                return Err(StoreError::Conflict(format!("a server with address {} exists already", after.ip)));
            }
            if updated.matched > 0 {
                return Ok(Some(after));
            }
            written = Some(after);
        }
        Err(contended())
    }

    async fn change_many(&self, edits: &[(ServerId, ServerPatch)]) -> Result<Vec<Server>> {
        let ids: Vec<_> = edits.iter().map(|(id, _)| id.to_string()).collect();
        let mut written: HashMap<ServerId, Server> = HashMap::new();
        for _ in 0..TURNS {
            let documents = self.server_documents(doc! { server::ID: { "$in": &ids } }).await?;
            let found: HashMap<_, _> =
                documents.iter().filter_map(server::server).map(|server| (server.id, server)).collect();
            let mut updates = Vec::new();
            for (id, patch) in edits {
                let Some(before) = found.get(id).filter(|found| written.get(id) != Some(*found)) else { continue };
                if let Some((after, update)) = changed(before, patch.clone())? {
                    updates.push(update);
                    written.insert(*id, after);
                }
            }
            if updates.is_empty() {
                return Ok(edits.iter().filter_map(|(id, _)| found.get(id).cloned()).collect());
            }
            self.update(self.servers.name(), updates).await?;
        }
        Err(contended())
    }
}

/// What a patch makes of a server, and the update that writes it as long as nobody else changed the server; `None` when
/// it changes nothing.
fn changed(before: &Server, patch: ServerPatch) -> Result<Option<(Server, Document)>> {
    if let Some(expected) = patch.revision.filter(|expected| *expected != before.revision) {
        return Err(StoreError::Outdated { expected, found: before.revision });
    }
    let mut after = before.clone();
    patch.apply(&mut after);
    if after == *before { Ok(None) } else { Ok(Some((after.clone(), write(before, &after)?))) }
}

/// Writes what differs, as long as nobody else changed the server.
fn write(before: &Server, after: &Server) -> Result<Document> {
    let mut set = server::difference(before, after)?;
    set.insert(server::UPDATED_AT, "$$NOW");
    Ok(doc! { "q": server::at_revision(before), "u": [{ "$set": set }] })
}

fn contended() -> StoreError {
    StoreError::Conflict("the server changes faster than it can be edited; try again".into())
}

/// What a batch says of one address: what a new server starts with from the first registration, name and place from the
/// last.
struct Wanted<'a> {
    first: &'a Registration,
    last: &'a Registration,
}

fn wanted(registrations: &[Registration]) -> Vec<Wanted<'_>> {
    let mut places = HashMap::new();
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for registration in registrations {
        let place = *places.entry(&registration.ip).or_insert(wanted.len());
        match wanted.get_mut(place) {
            Some(known) => known.last = registration,
            None => wanted.push(Wanted { first: registration, last: registration }),
        }
    }
    wanted
}

impl Wanted<'_> {
    /// What makes the address known as wanted; `None` when it is.
    fn update(&self, known: &HashMap<String, Server>, now: Timestamp) -> Result<Option<Document>> {
        if let Some(before) = known.get(&self.first.ip) {
            let mut after = before.clone();
            self.last.renew(&mut after);
            return if after == *before { Ok(None) } else { write(before, &after).map(Some) };
        }
        let id = ServerId::random().map_err(|error| StoreError::Backend(Box::new(error)))?;
        let mut server = Server::new(id, self.first, now);
        self.last.renew(&mut server);
        // Of a server that somebody else added nothing is lost; the next turn tells it name and place.
        let new = server::fields(&server)?.into_iter();
        let mut set: Document =
            new.map(|(path, value)| (path.clone(), doc! { "$ifNull": [format!("${path}"), value] }.into())).collect();
        set.insert(server::UPDATED_AT, "$$NOW");
        Ok(Some(doc! { "q": { "ip": &self.first.ip }, "u": [{ "$set": set }], "upsert": true }))
    }
}

fn damaged(detail: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "server".into(), detail: detail.to_string() }
}
