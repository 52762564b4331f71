//! Servers that others added to the collection: the old system, or an operator by hand. They get our sub-document, and
//! a `server_id` if they have none; nothing else of them changes.

use std::collections::HashSet;

use bson::{Bson, Document, doc};

use super::date::timestamp;
use super::{Mongo, server};
use crate::server::ServerId;
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

/// Draws of an identity that another server has already, in a row, before giving up. One in a million million.
const DRAWS: usize = 10;

impl Mongo {
    /// Adopts every server that has an address and no identity of ours; returns how many.
    pub(super) async fn adopt_servers(&self) -> Result<u64> {
        let strangers = self.servers.find(doc! { server::ID: Bson::Null, "ip": { "$gt": "" } });
        let mut strangers: Vec<Document> = self.all(strangers).await?;
        let mut adopted = 0;
        for draw in 0..DRAWS {
            if strangers.is_empty() {
                return Ok(adopted);
            }
            let mut given = HashSet::new();
            let updates = strangers.iter().map(|stranger| {
                let own = stranger.get_str("server_id").ok().and_then(|id| id.parse::<ServerId>().ok());
                // What somebody else has, or had a moment ago, is not given a second time.
                let id = match own.filter(|id| draw == 0 && given.insert(*id)) {
                    Some(id) => id,
                    None => ServerId::random().map_err(|error| StoreError::Backend(Box::new(error)))?,
                };
                Ok(adoption(stranger, id))
            });
            let updated = self.update(self.servers.name(), updates.collect::<Result<_>>()?).await?;
            adopted += updated.matched;
            let mut place = 0..;
            strangers.retain(|_| place.next().is_some_and(|place| updated.duplicates.contains(&place)));
        }
        Err(StoreError::Conflict("no identity is free for a server".into()))
    }

    /// Says how many servers cannot be adopted.
    pub(super) async fn warn_of_nameless(&self) -> Result<()> {
        let nameless = self.servers.count_documents(doc! { "ip": { "$not": { "$gt": "" } } });
        let nameless = self.call(nameless).await?;
        if nameless > 0 {
            tracing::warn!(nameless, "MongoDB: servers without an address in `ip` are left aside");
        }
        Ok(())
    }
}

fn adoption(stranger: &Document, id: ServerId) -> Document {
    let born = match stranger.get("_id") {
        Some(Bson::ObjectId(id)) => Some(Timestamp::from_millis(id.timestamp().timestamp_millis())),
        _ => None,
    };
    let seen = ["first_heartbeat", "last_heartbeat"].into_iter().find_map(|key| stranger.get(key).and_then(timestamp));
    let registered_at = seen.or(born).unwrap_or_else(Timestamp::now);
    let mut set = server::identity(id);
    set.insert(server::REGISTERED_AT, server::date(registered_at));
    set.insert(server::UPDATED_AT, "$$NOW");
    set.insert("server_id", doc! { "$ifNull": ["$server_id", id.to_string()] });
    doc! {
        "q": { "_id": stranger.get("_id"), server::ID: Bson::Null },
        "u": [{ "$set": set }],
    }
}
