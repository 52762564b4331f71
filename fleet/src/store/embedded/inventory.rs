//! The inventory role: servers by identity, found by address.

use async_trait::async_trait;
use redb::{ReadableTable, Table};

use super::tables::{Key, SERVER_BY_IP, SERVERS};
use super::{Embedded, document};
use crate::server::{FlagsPatch, Server, ServerId};
use crate::store::{Inventory, Registration, Result, StoreError};
use crate::time::Timestamp;

const WHAT: &str = "server";

#[async_trait]
impl Inventory for Embedded {
    async fn servers(&self) -> Result<Vec<Server>> {
        self.read(|txn| {
            let servers = txn.open_table(SERVERS)?;
            servers.iter()?.map(|entry| document::decode(WHAT, entry?.1.value())).collect()
        })
        .await
    }

    async fn register(&self, registrations: Vec<Registration>, now: Timestamp) -> Result<Vec<Server>> {
        self.write(move |txn| {
            let mut servers = Servers { by_id: txn.open_table(SERVERS)?, by_ip: txn.open_table(SERVER_BY_IP)? };
            registrations.into_iter().map(|registration| servers.register(registration, now)).collect()
        })
        .await
    }

    async fn set_flags(&self, ip: &str, patch: FlagsPatch) -> Result<Option<Server>> {
        let ip = ip.to_owned();
        self.write(move |txn| {
            let mut servers = Servers { by_id: txn.open_table(SERVERS)?, by_ip: txn.open_table(SERVER_BY_IP)? };
            let Some(mut server) = servers.find(&ip)? else { return Ok(None) };
            patch.apply(&mut server);
            servers.put(&server)?;
            Ok(Some(server))
        })
        .await
    }
}

struct Servers<'txn> {
    by_id: Table<'txn, &'static Key, &'static [u8]>,
    by_ip: Table<'txn, &'static str, &'static Key>,
}

impl Servers<'_> {
    fn register(&mut self, registration: Registration, now: Timestamp) -> Result<Server> {
        let Registration { ip, hostname, place, flags, is_static } = registration;
        if let Some(mut server) = self.find(&ip)? {
            if (&server.hostname, &server.place) != (&hostname, &place) {
                (server.hostname, server.place) = (hostname, place);
                self.put(&server)?;
            }
            return Ok(server);
        }
        let mut server = Server {
            id: self.unused_id()?,
            ip,
            hostname,
            place,
            gaming: false,
            streaming: false,
            paid: false,
            enabled: true,
            is_static,
            registered_at: now,
        };
        flags.apply(&mut server);
        self.by_ip.insert(server.ip.as_str(), &server.id.key())?;
        self.put(&server)?;
        Ok(server)
    }

    fn find(&self, ip: &str) -> Result<Option<Server>> {
        let Some(key) = self.by_ip.get(ip)? else { return Ok(None) };
        let found = self.by_id.get(key.value())?;
        // The index and the document are always written together.
        let found = found.ok_or_else(|| StoreError::damaged(WHAT, format_args!("{ip} points nowhere")))?;
        document::decode(WHAT, found.value()).map(Some)
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
