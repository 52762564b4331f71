//! The mailbox role: one document per server in `pushes`, deleted by the database after an hour.

use async_trait::async_trait;
use bson::{Document, doc};

use super::{Mongo, server};
use crate::collecting::Push;
use crate::store::{Mailbox, Result, StoreError};

/// Collection of the heartbeats.
pub(super) const PUSHES: &str = "pushes";
/// What was left in this time before now, by the database's clock, is recent.
const RECENT_MS: i64 = 30_000;

#[async_trait]
impl Mailbox for Mongo {
    async fn leave(&self, push: &Push) -> Result<()> {
        let reading = bson::serialize_to_bson(&push.reading).map_err(|error| StoreError::Backend(Box::new(error)))?;
        let (server, at) = (push.server.to_string(), server::date(push.at));
        let is_newer = doc! { "$gt": [at, { "$ifNull": ["$at", server::date(crate::Timestamp::default())] }] };
        let kept = |key: &str, new: bson::Bson| doc! { "$cond": [&is_newer, new, format!("${key}")] };
        let set = doc! {
            "reading": kept("reading", doc! { "$literal": reading }.into()),
            "left_at": kept("left_at", "$$NOW".into()),
            "at": kept("at", at.into()),
        };
        let update = doc! { "q": { "_id": server }, "u": [{ "$set": set }], "upsert": true };
        self.update(PUSHES, vec![update]).await?;
        Ok(())
    }

    async fn recent(&self) -> Result<Vec<Push>> {
        let since = doc! { "$gte": ["$left_at", { "$subtract": ["$$NOW", RECENT_MS] }] };
        let pushes = self.database.collection::<Document>(PUSHES);
        let found = self.all(pushes.find(doc! { "$expr": since })).await?;
        let push = |found: &Document| {
            Some(Push {
                server: found.get_str("_id").ok()?.parse().ok()?,
                at: super::date::timestamp(found.get("at")?)?,
                reading: bson::deserialize_from_bson(found.get("reading")?.clone()).ok()?,
            })
        };
        Ok(found.iter().filter_map(push).collect())
    }
}
