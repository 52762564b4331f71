//! Calls to the database: each with a bound, and those that the driver does not retry tried again.

use std::future::IntoFuture;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::action::Find;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::MongoError;
use super::{ANSWER_WITHIN, Mongo, WRITE_WITHIN};

/// Updates that one command carries at most. The server takes 100,000 or 48 MB, but a command must end well within
/// [`ANSWER_WITHIN`], also on a slow disk; beyond a thousand a larger one is no faster.
const UPDATES: usize = 1000;

/// What an update command did.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Documents that a filter matched, changed or not, and documents that were inserted.
    pub(super) matched: u64,
    /// Updates, by their place, that a unique index refused.
    pub(super) duplicates: Vec<usize>,
}

impl Mongo {
    /// Waits for the driver, but not for ever: it has no bound of its own for a node that hangs.
    pub(super) async fn call<T>(
        &self,
        action: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, MongoError> {
        match timeout(ANSWER_WITHIN, action).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(MongoError::slow(ANSWER_WITHIN)),
        }
    }

    /// Every document that `find` finds. Bounded by the time between two of them, however many there are.
    pub(super) async fn all<T>(&self, find: Find<'_, T>) -> Result<Vec<T>, MongoError>
    where
        T: DeserializeOwned + Send + Sync,
    {
        let mut found = self.call(find).await?;
        let mut documents = Vec::new();
        while let Some(document) = self.call(found.try_next()).await? {
            documents.push(document);
        }
        Ok(documents)
    }

    /// Runs many updates of one collection in few commands (bulk writes need a server of version 8), acknowledged by a
    /// journaled majority. They must be idempotent: a command that a change of primary broke is sent once more.
    pub(super) async fn update(&self, collection: &str, updates: Vec<Document>) -> Result<Updated, MongoError> {
        let mut updated = Updated::default();
        // No command without an update: the server refuses one.
        for (place, updates) in (0..).step_by(UPDATES).zip(updates.chunks(UPDATES)) {
            let command = doc! {
                "update": collection,
                "updates": updates,
                "ordered": false,
                // The driver adds none to a command.
                "writeConcern": { "w": "majority", "j": true, "wtimeout": WRITE_WITHIN.as_millis() as i64 },
            };
            let answer = self.command_twice(command).await?;
            updated.matched += number(answer.get("n"));
            for refused in answer.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
                let code = refused.get_i32("code").unwrap_or_default();
                let error = MongoError::write(code, refused.get_str("errmsg").unwrap_or_default());
                if !error.is_duplicate() {
                    return Err(error);
                }
                updated.duplicates.push(place + number(refused.get("index")) as usize);
            }
            if let Ok(unsure) = answer.get_document("writeConcernError") {
                let code = unsure.get_i32("code").unwrap_or_default();
                return Err(MongoError::write(code, unsure.get_str("errmsg").unwrap_or_default()));
            }
        }
        Ok(updated)
    }

    async fn command_twice(&self, command: Document) -> Result<Document, MongoError> {
        match self.call(self.database.run_command(command.clone())).await {
            Err(error) if error.is_transient => self.call(self.database.run_command(command)).await,
            answer => answer,
        }
    }
}

/// A count in an answer, whatever its type.
pub(super) fn number(value: Option<&Bson>) -> u64 {
    let number = match value {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    };
    u64::try_from(number).unwrap_or(0)
}
