//! The changes role: by the time of the latest write that every server carries.
//!
//! That time is when the database began the write; it becomes visible when a majority has it. So a reader looks back by
//! more than that takes, and remembers what it has seen of that time, to hand on only what is new. Nearly every write is
//! visible within moments: each look goes back that far, and only now and then one as far as a write may take.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, doc};
use serde::Deserialize;

use super::date::timestamp;
use super::{Mongo, WRITE_WITHIN, server};
use crate::server::ServerId;
use crate::store::{Changed, Changes, Result};
use crate::time::Timestamp;

/// A write that becomes visible later than this after its beginning is missed until the next long look.
const LOOK_BACK: Duration = Duration::from_secs(4);
/// A write that becomes visible later than this is missed until the server's next one: twice what a write may take,
/// because a change of primary repeats one.
const LONG_LOOK_BACK: Duration = Duration::from_secs(2 * WRITE_WITHIN.as_secs());
/// A long look is made this often.
const LONG_LOOK_EVERY: Duration = Duration::from_secs(10);
/// Servers fetched by one query, some 2 MB.
const PAGE: usize = 1000;

/// What was seen of the time that the next look goes back.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When the servers were written that were found.
    written: HashMap<ServerId, Timestamp>,
    /// Where the last long look ended.
    long_look: Timestamp,
}

/// What tells of a write.
#[derive(Deserialize)]
struct Written {
    mect: Mark,
}

/// Whatever others wrote there must not hide the rest.
#[derive(Deserialize)]
#[serde(default)]
struct Mark {
    id: Bson,
    updated_at: Bson,
}

impl Default for Mark {
    fn default() -> Self {
        Self { id: Bson::Null, updated_at: Bson::Null }
    }
}

impl Mark {
    fn id(&self) -> Option<ServerId> {
        self.id.as_str()?.parse().ok()
    }
}

#[async_trait]
impl Changes for Mongo {
    async fn changed(&self, cursor: Timestamp) -> Result<Changed> {
        let is_long = {
            let seen = self.seen_changes.lock().unwrap_or_else(PoisonError::into_inner);
            cursor < seen.long_look || cursor.since(seen.long_look) >= LONG_LOOK_EVERY
        };
        let since = cursor - if is_long { LONG_LOOK_BACK } else { LOOK_BACK };
        let found = self.written_marks(doc! { server::UPDATED_AT: { "$gte": server::date(since) } }).await?;
        let written = found.iter().filter_map(|mark| Some((mark.id()?, timestamp(&mark.updated_at)?)));
        let written: Vec<_> = written.collect();
        let next = written.iter().map(|(_, at)| *at).max().unwrap_or(cursor).max(cursor);
        let fresh: Vec<String> = {
            let seen = self.seen_changes.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = |(id, at): &&(ServerId, Timestamp)| seen.written.get(id).is_none_or(|seen| seen < at);
            written.iter().filter(is_new).map(|(id, _)| id.to_string()).collect()
        };
        let mut servers = Vec::with_capacity(fresh.len());
        for page in fresh.chunks(PAGE) {
            servers.extend(self.read_standings(doc! { server::ID: { "$in": page } }).await?);
        }
        // Only now: what could not be fetched must come again.
        let mut seen = self.seen_changes.lock().unwrap_or_else(PoisonError::into_inner);
        seen.written.extend(written);
        if is_long {
            seen.long_look = next;
            seen.written.retain(|_, at| *at >= next - LONG_LOOK_BACK);
        }
        Ok(Changed { servers, next })
    }

    async fn identities(&self) -> Result<HashSet<ServerId>> {
        Ok(self.written_marks(doc! { server::ID: { "$gt": "" } }).await?.iter().filter_map(Mark::id).collect())
    }
}

impl Mongo {
    /// The marks of the servers that `filter` matches.
    async fn written_marks(&self, filter: bson::Document) -> Result<Vec<Mark>> {
        let projection = doc! { "_id": 0, server::ID: 1, server::UPDATED_AT: 1 };
        let servers = self.servers.clone_with_type::<Written>();
        Ok(self.all(servers.find(filter).projection(projection)).await?.into_iter().map(|found| found.mect).collect())
    }
}
